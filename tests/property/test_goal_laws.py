"""Patterns of goals: what they fit, by an engine of expressions and by hand."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from marketplace.clicks.collect import ValidEvent, read_event
from marketplace.goals import (
    FIRST_GOALS,
    GOAL_KINDS,
    MAX_GOALS,
    Goal,
    InvalidGoal,
    checked_goals,
    expression_of,
    is_reached,
    reachable,
)

TEXTS = st.text(alphabet="/*ab.\\\n(\u00e9\U0001f600", max_size=8)


def by_expression(pattern: str, text: str) -> bool:
    # Python writes the same escapes in another way.
    python = re.sub(r"\\x\{([0-9a-f]+)\}", lambda found: re.escape(chr(int(found[1], 16))), expression_of(pattern))
    return re.fullmatch(python.removeprefix("^").removesuffix("$"), text) is not None


@given(pattern=TEXTS.filter(bool), text=TEXTS)
def test_an_expression_fits_what_the_pattern_does(pattern: str, text: str) -> None:
    goal = Goal("g", "target", pattern)
    assert is_reached(goal, event("click", target=text), {}) == by_expression(pattern, text)


@given(text=TEXTS.filter(lambda text: text != "" and "*" not in text))
def test_a_pattern_without_a_star_fits_itself_alone(text: str) -> None:
    goal = Goal("g", "product", text)
    assert is_reached(goal, event("click", product=text), {})
    assert not is_reached(goal, event("click", product=text + "x"), {})


@given(text=TEXTS)
def test_two_stars_fit_all_that_is_there_and_one_no_further_segment(text: str) -> None:
    assert is_reached(Goal("g", "page", "**"), event("view", page=text), {}) == (text != "")
    assert is_reached(Goal("g", "page", "*"), event("view", page=text), {}) == (text != "" and "/" not in text)


def event(kind: str, **texts: str) -> dict[str, str]:
    return {"type": kind, "page": "/", "target": "", "product": "", "name": "", **texts}


@pytest.mark.parametrize(
    ("goal", "reached", "missed"),
    [
        (Goal("g", "page", "/p/*"), event("view", page="/p/mug"), event("click", page="/p/mug")),
        (Goal("g", "page", "/p/*"), event("view", page="/p/"), event("view", page="/p/mug/reviews")),
        (Goal("g", "page", "/p/**"), event("view", page="/p/mug/reviews"), event("view", page="/q/p/mug")),
        (Goal("g", "target", "buy"), event("click", target="buy"), event("view", target="buy")),
        (Goal("g", "target", "**.pdf"), event("event", target="a.pdf", name="file_download"), event("event", name="x")),
        (Goal("g", "target", "**"), event("click", target="x"), event("click")),
        (Goal("g", "product", "*"), event("click", product="x"), event("click")),
        (Goal("g", "product", "mug"), event("event", product="mug", name="x"), event("view", product="mug")),
        (Goal("g", "event", "paid"), event("event", name="paid"), event("event", name="paid twice")),
    ],
)
def test_a_goal_is_reached_by_its_kind_of_event(goal: Goal, reached: dict[str, str], missed: dict[str, str]) -> None:
    assert is_reached(goal, reached, {})
    assert not is_reached(goal, missed, {})


def test_properties_of_a_goal_must_all_be_there() -> None:
    goal = Goal("g", "event", "paid", (("method", "card"), ("gift", "")))
    assert is_reached(goal, event("event", name="paid"), {"method": "card", "gift": "", "more": "x"})
    assert not is_reached(goal, event("event", name="paid"), {"method": "card"})
    assert not is_reached(goal, event("event", name="paid"), {"method": "cash", "gift": ""})


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"name": ""}, "a name has 1 to 60"),
        ({"name": " a"}, "a name has 1 to 60"),
        ({"name": "a\n"}, "a name has 1 to 60"),
        ({"kind": "wish"}, "its kind is one of page, target, product, event"),
        ({"pattern": ""}, "a pattern has 1 to 512"),
        ({"pattern": "/" * 513}, "a pattern has 1 to 512"),
        ({"name": "a/b"}, "a name has no slash"),
        ({"name": ".."}, "a name has no slash"),
        ({"pattern": "checkout"}, "begins with / or"),
        ({"properties": (("a", "b"),)}, "only named events have properties"),
        ({"kind": "event", "properties": (("a", "b"), ("a", "c"))}, "each once"),
        ({"kind": "event", "properties": (("", "b"),)}, "a property has a name"),
    ],
)
def test_a_goal_that_nothing_could_reach_is_refused_with_the_rule(fields: dict[str, object], why: str) -> None:
    with pytest.raises(InvalidGoal, match=re.escape(why)):
        Goal(**{"name": "g", "kind": "page", "pattern": "/", **fields})  # type: ignore[arg-type]  # that is the question


@given(name=st.text(min_size=1, max_size=64))
@example("sign\u200dup")
@example("a\0")
def test_a_goal_may_name_just_the_events_that_the_collector_takes(name: str) -> None:
    sent = read_event({"event_id": "e", "type": "event", "name": name}, "")
    goal = Goal("g", "event", name)

    try:
        taken = reachable(goal) == goal
    except InvalidGoal:
        taken = False

    assert taken == isinstance(sent, ValidEvent)


def test_goals_of_a_store_have_names_of_their_own_and_are_not_too_many() -> None:
    assert checked_goals(FIRST_GOALS) == FIRST_GOALS
    with pytest.raises(InvalidGoal, match="there is one of that name already"):
        checked_goals((*FIRST_GOALS, FIRST_GOALS[0]))
    with pytest.raises(InvalidGoal, match="at most 50 goals"):
        checked_goals(tuple(Goal(str(number), "page", "/") for number in range(MAX_GOALS + 1)))
    assert {goal.kind for goal in FIRST_GOALS} <= set(GOAL_KINDS)
