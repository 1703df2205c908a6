from hypothesis import given
from hypothesis import strategies as st

from runtime.backoff import Backoff
from runtime.breaker import CircuitBreaker


def opened(breaker: CircuitBreaker, now: float = 0.0) -> CircuitBreaker:
    breaker.failed(now, breaker.admit(now))
    return breaker


def test_a_closed_breaker_admits_everybody() -> None:
    breaker = CircuitBreaker()
    assert all(breaker.admit(0.0) for _ in range(3))
    assert not breaker.open


def test_after_a_failure_calls_fail_fast_until_the_pause_is_over() -> None:
    breaker = opened(CircuitBreaker(Backoff(1.0)), 10.0)
    assert breaker.open
    assert not breaker.admit(10.9)
    assert breaker.retry_after(10.25) == 0.75
    assert breaker.admit(11.0)


def test_one_probe_at_a_time_until_it_reports() -> None:
    breaker = opened(CircuitBreaker(Backoff(1.0), probe_seconds=5.0))
    assert [bool(breaker.admit(1.0)) for _ in range(3)] == [True, False, False]
    breaker.succeeded()
    assert [bool(breaker.admit(1.0)) for _ in range(3)] == [True, True, True]


def test_a_probe_that_never_reports_is_replaced_and_its_late_failure_changes_nothing() -> None:
    breaker = opened(CircuitBreaker(Backoff(1.0), probe_seconds=5.0))
    lost = breaker.admit(1.0)
    assert lost
    assert not breaker.admit(5.9)
    second = breaker.admit(6.0)
    assert second
    breaker.failed(6.5, lost)
    assert not breaker.admit(10.9)
    breaker.failed(10.9, second)
    assert breaker.retry_after(10.9) == 1.0


def test_each_failed_probe_makes_the_pause_longer_up_to_the_last_one() -> None:
    breaker, now, pauses = opened(CircuitBreaker(Backoff(1.0, 2.0, 4.0))), 0.0, []
    for _ in range(4):
        pauses.append(breaker.retry_after(now))
        now += pauses[-1]
        breaker.failed(now, breaker.admit(now))
    assert pauses == [1.0, 2.0, 4.0, 4.0]


@given(st.integers(1, 30), st.integers(0, 30))
def test_failures_of_calls_that_were_under_way_change_nothing_before_a_probe_beside_it_or_after_it(
    before: int, beside: int
) -> None:
    breaker = CircuitBreaker(Backoff(1.0, 100.0), probe_seconds=5.0)
    under_way = [breaker.admit(0.0) for _ in range(before + beside)]
    for ticket in under_way[:before]:
        breaker.failed(0.0, ticket)
    probe = breaker.admit(1.0)
    assert probe
    for ticket in under_way[before:]:
        breaker.failed(1.1, ticket)
    assert not breaker.admit(1.2)
    breaker.succeeded()
    for ticket in under_way:
        breaker.failed(1.3, ticket)
    assert not breaker.open


@given(st.lists(st.tuples(st.sampled_from(["admit", "fail", "stale", "succeed"]), st.floats(0, 30)), max_size=60))
def test_it_is_never_closed_to_calls_for_good(steps: list[tuple[str, float]]) -> None:
    breaker, now, tickets = CircuitBreaker(), 0.0, [1]
    for step, seconds in steps:
        now += seconds
        if step == "admit":
            tickets.append(breaker.admit(now) or tickets[-1])
        elif step == "fail":
            breaker.failed(now, tickets[-1])
        elif step == "stale":
            breaker.failed(now, tickets[0])
        else:
            breaker.succeeded()
            assert breaker.admit(now)
    # Sums of times are not exact.
    assert breaker.retry_after(now) <= 10.001
    assert breaker.admit(now + 10.001)
