"""When Kafka counts as stuck, by a clock that is passed in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka.ack_watch import AckWatch
from connectors.kafka.records import AuthenticationFailed, Unavailable

STUCK_SECONDS = 3.0
STEP = 0.1


def silent(seconds: float = STUCK_SECONDS, watch: AckWatch | None = None) -> tuple[AckWatch, float]:
    """A watch on which one call has waited for so long, and the time."""
    watch = watch or AckWatch(STUCK_SECONDS)
    watch.began(0.0)
    now = 0.0
    while now < seconds:
        now += STEP
        watch.look(now)
    return watch, now


def admitted(watch: AckWatch, now: float) -> str:
    try:
        return "probe" if watch.admit(now) else "call"
    except Unavailable:
        return "refused"


def test_kafka_is_stuck_once_nothing_was_acknowledged_while_something_waited() -> None:
    watch, _ = silent(STUCK_SECONDS - 2 * STEP)
    assert not watch.stuck
    watch, now = silent()
    assert watch.stuck
    assert [admitted(watch, now) for _ in range(3)] == ["probe", "refused", "refused"]


@given(st.lists(st.floats(0.01, STUCK_SECONDS - 0.01), max_size=50), st.integers(1, 5))
def test_a_kafka_that_acknowledges_something_now_and_then_is_never_stuck(gaps: list[float], waiting: int) -> None:
    watch, now = AckWatch(STUCK_SECONDS), 0.0
    for _ in range(waiting):
        watch.began(now)
    for gap in gaps:
        before = now
        while now < before + gap:
            now = min(now + STEP, before + gap)
            assert not watch.look(now)
        watch.acked = True
        assert not watch.look(now)
        assert admitted(watch, now) == "call"


@given(st.lists(st.floats(0, 10), min_size=1, max_size=200))
def test_while_it_is_stuck_there_is_one_probe_in_two_seconds(pauses: list[float]) -> None:
    watch, now = silent()
    probed_at = float("-inf")
    for pause in pauses:
        now += pause
        kind = admitted(watch, now)
        assert kind == ("probe" if now >= probed_at + 2.0 else "refused")
        if kind == "probe":
            probed_at = now


def test_it_stays_stuck_when_nothing_waits_any_more_until_something_is_acknowledged() -> None:
    watch, now = silent()
    watch.ended()
    watch.look(now + 60)
    assert admitted(watch, now + 60) == "probe"
    watch.acked = True
    assert [admitted(watch, now + 60) for _ in range(3)] == ["call"] * 3
    assert not watch.look(now + 61)


@given(st.lists(st.floats(0, 1e6), max_size=20))
def test_silence_while_nothing_waits_is_no_sign(pauses: list[float]) -> None:
    watch, now = AckWatch(STUCK_SECONDS), 0.0
    for pause in pauses:
        now += pause
        assert not watch.look(now)
        watch.began(now)
        assert not watch.look(now)
        watch.ended()


@given(st.floats(10, 1e6))
def test_a_process_that_did_not_run_does_not_take_its_own_pause_for_kafkas(pause: float) -> None:
    watch, now = silent(STUCK_SECONDS - 1)
    assert not watch.look(now + pause)
    watch.acked = True
    assert not watch.look(now + pause + STEP)


def test_a_watch_for_ever_is_never_stuck() -> None:
    watch, _ = silent(60, AckWatch(float("inf")))
    assert not watch.stuck


def test_where_authentication_fails_half_a_second_of_silence_is_enough() -> None:
    watch = AckWatch(float("inf"))
    watch.began(0.0)
    watch.authentication_failed("no such user")
    assert not watch.look(0.4)
    assert watch.look(0.6)
    assert isinstance(watch.failure(), AuthenticationFailed)
    assert str(watch.failure()) == "no such user"


def test_one_broker_that_rejects_does_not_stop_a_producer_whom_others_acknowledge() -> None:
    watch, now = AckWatch(STUCK_SECONDS), 0.0
    watch.began(now)
    for _ in range(100):
        now += STEP
        watch.authentication_failed("no such user")
        watch.acked = True
        assert not watch.look(now)


def test_an_acknowledgement_ends_the_failure_of_authentication() -> None:
    watch, now = AckWatch(STUCK_SECONDS), 0.0
    watch.began(now)
    watch.authentication_failed("no such user")
    watch.look(now + 0.5)
    watch.acked = True
    assert not watch.look(now + 0.6)
    assert not isinstance(watch.failure(), AuthenticationFailed)
