"""What `--only`, `--without` and `--no-services` come to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.stack.errors import StackError
from ops.stack.selection import Selection
from tests.kits.registry import KNOWN

PARTS = tuple(part.name for part in KNOWN.parts)
NAMES = st.frozensets(st.sampled_from(KNOWN.startable))


def selection(*, only: str = "", without: str = "", services: bool = True) -> Selection:
    return Selection(frozenset(only.split()), frozenset(without.split()), services)


def test_nothing_said_is_everything() -> None:
    assert Selection().resolve(KNOWN) == KNOWN.startable
    assert not Selection()


def test_without_services_there_are_the_parts() -> None:
    assert selection(services=False).resolve(KNOWN) == PARTS


def test_only_brings_what_it_needs() -> None:
    assert selection(only="collector").resolve(KNOWN) == ("kafka", "mongo", "collector")
    assert selection(only="redis collector").resolve(KNOWN) == ("kafka", "mongo", "redis", "collector")
    assert selection(only="redis", services=False).resolve(KNOWN) == ("redis",)


def test_without_leaves_out_what_nobody_needs() -> None:
    assert selection(without="dashboard flow").resolve(KNOWN) == (*PARTS, "collector")
    assert selection(without="redis flow dashboard").resolve(KNOWN) == ("kafka", "mongo", "clickhouse", "collector")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (selection(without="kafka"), "kafka cannot be left out: flow, collector, dashboard need it"),
        (selection(only="collector", without="mongo"), "mongo cannot be left out: collector needs it"),
        (selection(without="kafka"), "or name one elsewhere with MARKETPLACE_KAFKA_URL"),
        (selection(only="klicks"), "there is no klicks: choose from kafka, mongo, clickhouse, redis, flow, collector"),
        (selection(without="traffic"), "there is no traffic: choose from"),
        (selection(only="redis kafka", without="redis"), "--only asks for redis, which --without leaves out"),
        (selection(only="flow", services=False), "--only asks for flow, which --no-services leaves out"),
        (selection(without=" ".join(PARTS), services=False), "nothing is left to run"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(asked: Selection, said: str) -> None:
    with pytest.raises(StackError) as raised:
        asked.resolve(KNOWN)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_part_that_runs_elsewhere_may_be_left_out_and_is_used_all_the_same() -> None:
    asked = selection(only="collector", without="kafka")
    assert asked.resolve(KNOWN, elsewhere={"kafka"}) == ("kafka", "mongo", "collector")
    assert "kafka" not in selection(only="redis", without="kafka").resolve(KNOWN, elsewhere={"kafka"})


def test_a_selection_is_shown_as_it_was_asked_for() -> None:
    asked = Selection(frozenset({"flow", "redis"}), frozenset({"mongo"}), services=False)
    assert str(asked) == "--no-services --only flow,redis --without mongo"


@given(NAMES, NAMES, st.booleans(), NAMES)
def test_whatever_runs_has_what_it_needs_and_nothing_that_was_left_out(
    only: frozenset[str], without: frozenset[str], services: bool, elsewhere: frozenset[str]
) -> None:
    try:
        names = Selection(only, without, services).resolve(KNOWN, elsewhere)
    except StackError:
        return
    assert set(KNOWN.needed_by(names)) == set(names)
    assert only <= set(names)
    assert not (without - elsewhere).intersection(names)
