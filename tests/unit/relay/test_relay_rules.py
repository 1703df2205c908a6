"""How far the relay is behind, and when a failed task is started again, without a clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.relay import (
    CANARY_SECONDS,
    READY_LAG_SECONDS,
    Canary,
    Lag,
    Restarts,
    canary_of,
    encode_canary,
    is_history_lost,
)

SECONDS = st.integers(0, 10**6)


def test_a_canary_is_due_at_once_and_then_every_five_seconds() -> None:
    lag = Lag.begun(100.0)
    assert lag.is_due(100.0)
    lag = lag.written("a", 100.0)
    assert not lag.is_due(100.0 + CANARY_SECONDS - 0.1)
    assert lag.is_due(100.0 + CANARY_SECONDS)


def test_the_lag_is_the_way_of_the_canary_that_arrived_last() -> None:
    lag = Lag.begun(0.0).written("a", 0.0).arrived("a", 0.25)
    assert lag.seconds(0.25) == 0.25
    assert lag.seconds(CANARY_SECONDS) == 0.25


@given(way=st.integers(0, 100), silence=SECONDS)
def test_while_none_arrives_the_lag_grows_with_the_time_whether_one_is_written_or_not(way: int, silence: int) -> None:
    arrived = Lag.begun(0.0).written("a", 0.0).arrived("a", way)
    later = way + CANARY_SECONDS + silence
    for lag in (arrived, arrived.written("b", way + CANARY_SECONDS)):
        assert lag.seconds(later) >= silence
        assert lag.seconds(later + 10.0) >= lag.seconds(later)
    assert arrived.seconds(later + READY_LAG_SECONDS + CANARY_SECONDS + 0.1) > READY_LAG_SECONDS


def test_from_the_start_on_the_lag_grows_until_the_first_one_arrives() -> None:
    lag = Lag.begun(0.0).written("a", 0.0)
    assert lag.seconds(40.0) == 40.0
    assert lag.arrived("a", 41.0).seconds(41.0) == 41.0


def test_a_canary_that_arrives_ends_the_wait_for_those_before_it() -> None:
    lag = Lag.begun(0.0).written("lost", 0.0).written("b", 5.0).arrived("b", 5.5)
    assert (lag.waiting, lag.seconds(5.5)) == ((), 0.5)
    lag = Lag.begun(0.0).written("a", 0.0).written("b", 5.0).arrived("a", 6.0)
    assert lag.waiting == (("b", 5.0),)


def test_canaries_of_others_and_second_copies_change_nothing() -> None:
    lag = Lag.begun(0.0).written("a", 0.0).arrived("a", 1.0)
    assert lag.arrived("a", 9.0) == lag.arrived("another's", 9.0) == lag


def test_however_long_none_arrives_only_some_are_remembered_and_the_newest_ends_the_wait() -> None:
    lag = Lag.begun(0.0)
    for number in range(1_000):
        lag = lag.written(str(number), number * CANARY_SECONDS)
    assert len(lag.waiting) < 30
    assert lag.waiting[0] == ("0", 0.0)
    assert lag.arrived("999", 5_000.0).seconds(5_000.0) == 5_000.0 - 999 * CANARY_SECONDS


def test_a_failed_task_is_started_at_once_and_then_more_and_more_seldom_for_ever() -> None:
    restarts, now, pauses = Restarts(), 1_000.0, []
    assert restarts.is_due(now)
    for _ in range(12):
        restarts = restarts.restarted(now).stands()
        pauses.append(restarts.pause_seconds)
        assert not restarts.is_due(now + restarts.pause_seconds - 0.01)
        now += restarts.pause_seconds
        assert restarts.is_due(now)
    assert pauses[:8] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert (set(pauses[8:]), restarts.count) == ({60.0}, 12)


def test_a_minute_of_running_is_forgiveness_and_moments_of_it_are_not() -> None:
    restarts = Restarts().restarted(0.0).restarted(1.0).restarted(3.0)
    assert restarts.runs(4.0).runs(50.0).stands().runs(100.0).pause_seconds == restarts.pause_seconds
    steady = restarts.runs(4.0).runs(64.0)
    assert steady.stands().is_due(64.1)
    assert steady.count == 3


def test_what_starts_from_the_beginning_has_the_same_pauses_and_is_no_restart() -> None:
    resent = Restarts().resent(0.0)
    assert (resent.count, resent.is_due(0.5), resent.is_due(1.0)) == (0, False, True)


@pytest.mark.parametrize(
    ("reason", "lost"),
    [
        ("DebeziumException: The connector is trying to read change stream starting at {sec=-1}, but this is no longer "
         "available on the server. Reconfigure the connector to use a snapshot mode when needed.", True),
        ("MongoCommandException: Command failed with error 286 (ChangeStreamHistoryLost)", True),
        ("Resume of change stream was not possible, as the resume point may no longer be in the oplog.", True),
        ("RecordTooLargeException: The request included a message larger than the max message size", False),
        ("MongoTimeoutException: Timed out while waiting for a server", False),
        ("", False),
    ],
)  # fmt: skip
def test_lost_changes_are_known_among_other_reasons(reason: str, lost: bool) -> None:
    assert is_history_lost(reason) is lost


@pytest.mark.parametrize("value", [None, b"", b"{}", b"[1]", b"\xff", b'{"id": 3}'])
def test_what_is_no_canary_is_none(value: bytes | None) -> None:
    assert canary_of(value) is None


def test_a_canary_is_read_as_it_was_written() -> None:
    assert canary_of(encode_canary(Canary("canary:1"))) == Canary("canary:1")
