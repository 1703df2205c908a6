from hypothesis import given
from hypothesis import strategies as st

from runtime.breaker import CircuitBreaker


def test_a_closed_breaker_admits_everybody() -> None:
    breaker = CircuitBreaker()
    assert all(breaker.admits(0.0) for _ in range(3))
    assert not breaker.open


def test_after_a_failure_calls_fail_fast_until_the_pause_is_over() -> None:
    breaker = CircuitBreaker([1.0])
    breaker.failed(10.0)
    assert breaker.open
    assert not breaker.admits(10.9)
    assert breaker.retry_after(10.25) == 0.75
    assert breaker.admits(11.0)


def test_one_probe_at_a_time_until_it_reports() -> None:
    breaker = CircuitBreaker([1.0], probe_seconds=5.0)
    breaker.failed(0.0)
    assert [breaker.admits(1.0) for _ in range(3)] == [True, False, False]
    breaker.succeeded()
    assert [breaker.admits(1.0) for _ in range(3)] == [True, True, True]


def test_a_probe_that_never_reports_is_replaced() -> None:
    breaker = CircuitBreaker([1.0], probe_seconds=5.0)
    breaker.failed(0.0)
    assert breaker.admits(1.0)
    assert not breaker.admits(5.9)
    assert breaker.admits(6.0)


def test_each_failed_probe_makes_the_pause_longer_up_to_the_last_one() -> None:
    breaker = CircuitBreaker([1.0, 2.0, 4.0])
    now, pauses = 0.0, []
    breaker.failed(now)
    for _ in range(4):
        pauses.append(breaker.retry_after(now))
        now += pauses[-1]
        assert breaker.admits(now)
        breaker.failed(now)
    assert pauses == [1.0, 2.0, 4.0, 4.0]


def test_failures_of_calls_that_were_under_way_do_not_lengthen_the_pause() -> None:
    breaker = CircuitBreaker([1.0, 100.0])
    for _ in range(50):
        breaker.failed(0.0)
    assert breaker.admits(1.0)


@given(st.lists(st.tuples(st.sampled_from(["admit", "fail", "succeed"]), st.floats(0, 30)), max_size=60))
def test_it_is_never_closed_for_good(steps: list[tuple[str, float]]) -> None:
    breaker, now = CircuitBreaker(), 0.0
    for step, seconds in steps:
        now += seconds
        if step == "admit":
            breaker.admits(now)
        elif step == "fail":
            breaker.failed(now)
        else:
            breaker.succeeded()
            assert breaker.admits(now)
    assert breaker.retry_after(now) <= 10.0
    assert breaker.admits(now + 10.0)
