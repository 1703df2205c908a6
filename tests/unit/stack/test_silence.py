"""When a process that does not answer stands still, and what never counts as standing still."""

from hypothesis import given
from hypothesis import strategies as st

from ops.stack.health.silence import ANSWERED, LEAST_MISSES, Silence, Timing, is_hang, lasts, missed, paused

_SECONDS = st.floats(0.01, 300)


def _asked(timing: Timing, answers: list[bool], began: float = 0.0) -> tuple[Silence, float]:
    """Checks in a row as the supervisor does them: one that is not answered takes all its time."""
    silence, now = ANSWERED, began
    for answered in answers:
        if answered:
            silence, now = ANSWERED, now + timing.every_seconds
        else:
            silence = missed(silence, now)
            now += timing.timeout_seconds + timing.again_seconds
    return silence, now


@given(st.floats(1, 200), st.lists(st.booleans(), max_size=40), _SECONDS)
def test_a_process_that_answered_last_never_hangs(hang_seconds: float, answers: list[bool], later: float) -> None:
    silence, now = _asked(Timing.of(hang_seconds), [*answers, True])
    assert not is_hang(silence, now + later, hang_seconds)


@given(st.floats(1, 200), st.floats(0, 1e9))
def test_a_process_that_stands_still_is_found_within_half_as_long_again_as_it_may(
    hang_seconds: float, began: float
) -> None:
    timing = Timing.of(hang_seconds)
    # It stops right after an answer, so that the first check to miss it comes a whole pause later.
    silence, now = ANSWERED, began + timing.every_seconds
    while not is_hang(silence, now, hang_seconds):
        silence = missed(silence, now)
        now += timing.timeout_seconds + timing.again_seconds
    assert hang_seconds <= now - began <= hang_seconds * 1.5 + 0.001


def test_with_the_usual_patience_a_hang_is_found_within_fifty_seconds() -> None:
    timing = Timing.of(40.0)
    assert timing.every_seconds + timing.hang_seconds + timing.timeout_seconds <= 50


@given(st.integers(0, LEAST_MISSES - 1), st.floats(1, 1e6))
def test_few_misses_are_no_hang_however_long_ago_the_first_one_was(misses: int, later: float) -> None:
    silence = ANSWERED
    for _ in range(misses):
        silence = missed(silence, 0.0)
    assert not is_hang(silence, later, 1.0)


@given(st.floats(1, 60), st.floats(0, 1e6))
def test_time_in_which_nobody_looked_does_not_count(patience: float, stood_still: float) -> None:
    silence = ANSWERED
    for number in range(10):
        silence = missed(silence, number * patience / 11)
    now = patience * 10 / 11
    assert not is_hang(paused(silence, stood_still), now + stood_still, patience)
    assert is_hang(paused(silence, stood_still), now + stood_still + patience / 5, patience)


def test_a_silence_lasts_since_the_first_check_that_was_missed() -> None:
    silence = missed(missed(ANSWERED, 100.0), 106.0)
    assert lasts(silence, 141.0) == 41.0
    assert lasts(ANSWERED, 141.0) == 0.0
