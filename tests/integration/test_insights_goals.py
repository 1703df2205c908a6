"""Goals on the real engine against events that are looked at one by one."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import pytest

from connectors.insights import Conversion, Insights, InvalidQuery, QueryTooLarge, Scope
from marketplace.goals import Goal, is_reached
from marketplace.rollups import SPARSE
from tests.kits.insights import ALL_SCOPES, SPLITS, World, of_event, scope_of, selected

GOALS = (
    Goal("Cart", "event", "add_to_cart"),
    Goal("Large", "event", "add_to_cart", (("size", "L"),)),
    Goal("Quoted", "page", "/it's*"),
    Goal("Any page", "page", "**"),
    Goal("Button", "target", "*-to-cart"),
    Goal("Any target", "target", "**"),
    Goal("Any product", "product", "**"),
    Goal("Product", "product", "p?"),
    Goal("Second", "product", "p2"),
)
"""One of each kind and more; a question mark stands for itself, so that one is never reached."""


def by_hand(world: World, scope: Scope, split: str) -> dict[tuple[str, str], Conversion]:
    found: dict[str, set[str]] = defaultdict(set)
    reached: dict[tuple[str, str], list[str]] = defaultdict(list)
    for fact, visit in world.known.events:
        value = of_event(fact, visit, split)
        if not selected(fact, visit, scope) or value is None or (split in SPARSE and value == ""):
            continue
        found[value].add(fact.visitor)
        for goal in GOALS:
            event = {"type": fact.type, "page": "", **fact.columns}
            if not fact.is_refire and is_reached(goal, event, fact.properties):
                reached[goal.name, value].append(fact.visitor)
    return {
        (goal.name, value): Conversion(
            goal.name, value, len(reached[goal.name, value]), len(set(reached[goal.name, value])), len(visitors)
        )
        for goal in GOALS
        for value, visitors in found.items()
    }


@pytest.mark.parametrize("scope", ALL_SCOPES, ids=lambda scope: f"{scope.store}-{scope.bots}")
def test_conversions_are_counted_as_by_hand(world: World, scope: Scope) -> None:
    asked = (scope, replace(scope, filters=(("channel", "Direct"),)), replace(scope, filters=(("device", "mobile"),)))
    for question in asked if scope.bots == "exclude" else asked[:1]:
        for split in SPLITS:
            answer = world.insights.conversions(question, GOALS, split, 10_000)
            assert list(answer) == [goal.name for goal in GOALS]
            rows = {(row.goal, row.value): row for rows in answer.values() for row in rows}
            assert rows == by_hand(world, question, split), split


def test_goals_are_reached_here_and_not_by_all(world: World) -> None:
    found = {name: rows[0] for name, rows in world.insights.conversions(scope_of("alpha"), GOALS).items()}
    for name in ("Cart", "Quoted", "Button", "Second"):
        assert 0 < found[name].converted < found[name].visitors
        assert found[name].rate == found[name].converted / found[name].visitors
    assert found["Product"].conversions == 0


def test_the_values_with_the_most_visitors_come_first_and_no_more_than_were_asked_for(world: World) -> None:
    scope = scope_of("beta", bots="include")
    (rows,) = world.insights.conversions(scope, GOALS[:1], "page", 3).values()
    largest = sorted(by_hand(world, scope, "page").values(), key=lambda row: (-row.visitors, row.value.encode()))
    assert rows == [row for row in largest if row.goal == "Cart"][:3]


@pytest.mark.parametrize("pattern", ["' OR 1=1 --", "\\", "(", "[a-", "{goal0:String}", ".*", "\N{SNOWMAN}"])
def test_a_pattern_is_a_pattern_whatever_it_holds(world: World, pattern: str) -> None:
    (rows,) = world.insights.conversions(scope_of("alpha"), [Goal("g", "target", pattern)]).values()
    assert [row.conversions for row in rows] == [0]


def test_goals_read_no_more_single_events_than_is_allowed(world: World) -> None:
    with pytest.raises(QueryTooLarge, match="single clicks"):
        Insights(world.clickhouse, max_rows=10).conversions(scope_of("alpha"), GOALS)
    with pytest.raises(InvalidQuery, match="no dimension"):
        world.insights.conversions(scope_of("alpha"), GOALS, "money")
