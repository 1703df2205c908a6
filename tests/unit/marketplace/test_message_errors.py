"""Errors by which a handler decides about its message."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka.group_client import OffsetGap
from marketplace.errors import MAX_RETRY_SECONDS, Action, Reject, Retry, Stop

EVERY_ACTION = [
    Retry(2.5, "locked"),
    Reject("unparseable", "no JSON"),
    Stop("a new schema"),
]


@pytest.mark.parametrize("error", EVERY_ACTION, ids=lambda error: type(error).__name__)
def test_a_decision_keeps_its_data_on_the_way_between_processes(error: Action) -> None:
    again = pickle.loads(pickle.dumps(error))

    assert type(again) is type(error)
    assert (vars(again), str(again)) == (vars(error), str(error))


def test_every_decision_is_tried_on_its_way_between_processes() -> None:
    assert {type(error) for error in EVERY_ACTION} == set(Action.__subclasses__())


def test_a_gap_keeps_its_numbers_on_the_way_between_processes() -> None:
    gap = pickle.loads(pickle.dumps(OffsetGap("orders", 3, 10, 25, 40)))

    assert (gap.topic, gap.partition, gap.offset, gap.log_start, gap.log_end, gap.missing) == (
        "orders",
        3,
        10,
        25,
        40,
        15,
    )
    assert "15 records are gone" in str(gap)


@given(st.floats())
def test_a_retry_pauses_for_no_less_than_nothing_and_no_more_than_an_hour(seconds: float) -> None:
    assert 0.0 <= Retry(seconds).after_seconds <= MAX_RETRY_SECONDS == 60 * 60


@given(st.floats(0.0, MAX_RETRY_SECONDS))
def test_a_retry_within_the_hour_pauses_as_long_as_it_says(seconds: float) -> None:
    assert Retry(seconds).after_seconds == seconds


def test_a_decision_says_why_where_that_is_known() -> None:
    assert str(Retry(2.5)) == "retry in 2.5 s"
    assert str(Retry(2.5, "locked")) == "retry in 2.5 s: locked"
    assert str(Reject("unparseable")) == "unparseable"
    assert str(Reject("unparseable", "no JSON")) == "unparseable: no JSON"
