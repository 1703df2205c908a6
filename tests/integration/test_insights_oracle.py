"""The query layer on the real engine against numbers counted in plain Python from the same clicks."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import combinations
from typing import Any

import pytest

from connectors.clickhouse.client import ClickHouse
from connectors.insights import InvalidQuery, Numbers, Row, Scope, TrendWithTotals
from connectors.insights.departures import who_left
from connectors.insights.insights import SESSION_SECONDS_BOUNDS, SESSION_VIEWS_BOUNDS
from connectors.insights.sources import _facts, needs_facts, stored_rows
from marketplace.rollups import GRAINS, SPARSE
from marketplace.tables import VISITOR_STATE
from ops.oracle import RollupKey
from ops.oracle.counting import Visit
from tests.kits.clicks import STORES, differences
from tests.kits.depth import CHAOS_SEEDS, share
from tests.kits.insights import (
    ALL_SCOPES,
    BOTS,
    FILTERABLE,
    SEED,
    SPLITS,
    STORED_FILTERS,
    Known,
    World,
    as_answer,
    of_event,
    scope_of,
    selected_visit,
)

ADDITIVE = ("views", "actions", "refires", "sessions", "bounces", "duration_ms")
STORED_SPLITS = ("all", *STORED_FILTERS)
BUCKETS = ["", "hour", "day", "month", "weekhour"]


def named(scope: Scope) -> str:
    return f"{scope.store}-{scope.bots}"


def turn(values: Sequence[Any], scope: Scope, other: int) -> list[Any]:
    """A third of the values, in ``make chaos`` all: any two of store, choice of bots and the other get each value."""
    place = (sorted(STORES).index(scope.store) + BOTS.index(scope.bots) + other) % 3
    return share(values, place, range(3))


def test_the_clicks_cover_what_the_questions_are_about(world: World) -> None:
    outcomes = world.known.expected.by_outcome()
    assert outcomes["counted"] > 300
    assert outcomes["bot"] > 50
    assert outcomes["refire"] > 20
    assert outcomes["duplicate"] > 10
    moved = world.clickhouse.rows(f"SELECT sum(length(moved)) FROM {world.clickhouse.database}.rollups")
    assert int(moved[0][0]) > 100, "visits came to begin with other events"
    assert all(len(world.known.values("alpha", name)) > 1 for name in FILTERABLE if name not in ("campaign", "target"))


@pytest.mark.parametrize("scope", ALL_SCOPES, ids=named)
@pytest.mark.parametrize("grain", GRAINS)
def test_every_report_is_the_oracles(world: World, scope: Scope, grain: str) -> None:
    for split in turn(SPLITS, scope, GRAINS.index(grain)):
        found = as_answer(world.insights.report(scope, grain, split))
        assert differences(world.known.answer(scope, grain, split), found) == {}, split
        assert differences(_by_the_oracle(world.known, scope, grain, split), found) == {}, split


def _by_the_oracle(known: Known, scope: Scope, grain: str, split: str) -> dict[tuple[Any, str], Numbers]:
    """The oracle's own rollups, which the count by filters is held to as well."""

    def asked(key: RollupKey) -> bool:
        return (key.store, key.grain, key.dimension, key.bots) == (scope.store, grain, split, scope.bots)

    return {
        (key.bucket if grain == "hour" else key.bucket.date(), key.value): Numbers(**numbers._asdict())
        for key, numbers in known.expected.rollups.items()
        if asked(key)
    }


@pytest.mark.parametrize("scope", ALL_SCOPES, ids=named)
def test_totals_trend_and_heat_map_are_the_oracles(world: World, scope: Scope) -> None:
    whole = world.known.answer(scope, "", "all")
    assert world.insights.totals(scope) == whole[None, ""]
    for grain in GRAINS:
        expected = world.known.answer(scope, grain, "all")
        assert as_answer(world.insights.trend(scope, grain)) == expected
        course = world.insights.trend_with_totals(scope, grain)
        assert (as_answer(course.rows), course.totals) == (expected, whole[None, ""])
    cells = as_answer(world.insights.heatmap(scope))
    assert cells == world.known.answer(scope, "weekhour", "all")
    for name in ADDITIVE:
        assert sum(getattr(cell, name) for cell in cells.values()) == getattr(whole[None, ""], name)


@pytest.mark.parametrize("scope", ALL_SCOPES, ids=named)
@pytest.mark.parametrize("order", ["views", "actions", "visitors", "sessions"])
def test_breakdowns_are_the_largest_values_in_their_order(world: World, scope: Scope, order: str) -> None:
    found = world.insights.breakdowns(scope, FILTERABLE, limit=3, order=order)
    assert list(found) == list(FILTERABLE)
    for split in FILTERABLE:
        whole = world.known.answer(scope, "", split)
        rows = [Row(None, value, numbers) for (_, value), numbers in whole.items()]
        rows.sort(
            key=lambda row: (
                -getattr(row.numbers, order),
                -row.numbers.views - row.numbers.actions,
                -row.numbers.sessions,
                row.value.encode(),
            )
        )
        assert list(found[split].rows) == rows[:3]
        assert found[split].more == (len(rows) > 3)


def test_each_breakdown_may_have_an_order_of_its_own(world: World) -> None:
    for scope in (scope_of("alpha"), scope_of("alpha", filters=(("device", "desktop"),))):
        orders = {"channel": "sessions", "page": "visitors", "product": "actions", "device": "sessions"}
        found = world.insights.breakdowns(scope, list(orders), 3, orders)
        for split, order in orders.items():
            assert found[split] == world.insights.breakdowns(scope, [split], 3, order)[split]


def test_an_order_that_there_is_none_of_is_refused(world: World) -> None:
    with pytest.raises(InvalidQuery, match="no order 'money'; there are views, actions, visitors, sessions"):
        world.insights.breakdowns(scope_of("alpha"), ["page"], order="money")
    with pytest.raises(InvalidQuery, match="no order 'money'"):
        world.insights.breakdowns(scope_of("alpha"), ["page", "city"], order={"page": "views", "city": "money"})


def test_a_filter_alone_gives_the_stored_numbers_of_its_value(world: World) -> None:
    scope = scope_of("alpha", bots="include")
    for name in STORED_FILTERS:
        stored = {row.value: row.numbers for row in world.insights.breakdowns(scope, [name], 1_000)[name].rows}
        assert set(stored) == set(world.known.values("alpha", name))
        for value, numbers in stored.items():
            only = replace(scope, filters=((name, value),))
            assert world.insights.totals(only) == numbers, (name, value)
            assert world.insights.breakdowns(only, [name])[name].rows == (Row(None, value, numbers),)


def test_every_pair_of_filters_is_counted_as_by_hand(world: World) -> None:
    chance = random.Random(SEED)
    for (at, one), (then, other) in combinations(enumerate(FILTERABLE), 2):
        # In every run each is there with a third of the others.
        if not share([True], (at + then) % 3, range(3)):
            continue
        fact, visit = chance.choice([event for event in world.known.events if not event[0].is_refire])
        one_value, other_value = (
            visit.exit.columns["page"] if name == "exit_page" else of_event(fact, visit, name) or ""
            for name in (one, other)
        )
        filters = ((one, one_value), (other, other_value))
        scope = scope_of(fact.store, bots="include", filters=filters)
        assert world.insights.totals(scope) == world.known.answer(scope, "", "all")[None, ""], filters
        split, grain = chance.choice(SPLITS), chance.choice(GRAINS)
        found = as_answer(world.insights.report(scope, grain, split))
        assert differences(world.known.answer(scope, grain, split), found) == {}, (filters, split, grain)


@pytest.mark.parametrize("name", FILTERABLE)
def test_a_filter_on_one_dimension_splits_every_other(world: World, name: str) -> None:
    for value in world.known.values("beta", name)[: 4 if CHAOS_SEEDS >= 3 else 2]:
        scope = scope_of("beta", filters=((name, value),))
        found = world.insights.breakdowns(scope, FILTERABLE, 1_000)
        for split in FILTERABLE:
            expected = world.known.answer(scope, "", split)
            assert as_answer(found[split].rows) == expected, (value, split)
        assert as_answer(world.insights.heatmap(scope)) == world.known.answer(scope, "weekhour", "all")


@pytest.mark.parametrize("name", sorted(SPARSE))
def test_having_no_product_or_campaign_can_be_filtered_by(world: World, name: str) -> None:
    scope = scope_of("alpha", filters=((name, ""),))
    expected = world.known.answer(scope, "", "all")[None, ""]
    assert expected.views + expected.actions > 0
    assert world.insights.totals(scope) == expected
    assert as_answer(world.insights.trend(scope, "day")) == world.known.answer(scope, "day", "all")
    assert world.insights.breakdowns(scope, [name])[name].rows == ()


def asked(clickhouse: ClickHouse, source: tuple[str, dict[str, object]]) -> dict[tuple[Any, ...], list[int]]:
    """What a source holds, merged; what is all zero is as good as not there."""
    inner, parameters = source
    rows = clickhouse.rows(
        "SELECT k, split, answer, sum(w), sum(a), sum(r), sum(s), sum(b), sum(d), "
        f"{VISITOR_STATE.replace('(', 'Merge(')}(v) FROM ({inner}) GROUP BY k, split, answer",
        parameters,
    )
    return {tuple(row[:3]): list(map(int, row[3:])) for row in rows if any(row[3:9])}


def stored(world: World, scope: Scope, bucket: str, splits: Sequence[str]) -> dict[tuple[Any, ...], list[int]]:
    """What rollups hold, without the visitors who left."""
    found = asked(world.clickhouse, stored_rows(scope, bucket, splits, world.clickhouse.database))
    query, parameters = who_left(scope, bucket, splits, world.clickhouse.database)
    for *key, visitors in world.clickhouse.rows(query, parameters):
        if tuple(key) in found:
            found[tuple(key)][-1] -= int(visitors)
    return found


@pytest.mark.parametrize("bucket", BUCKETS)
def test_single_clicks_and_stored_numbers_say_the_same(world: World, bucket: str) -> None:
    chance = random.Random(SEED)
    moments = [None, *(datetime.fromtimestamp(fact.occurred_ms / 1000, UTC) for fact in world.known.facts[::40])]
    for scope in (each for each in ALL_SCOPES if turn([True], each, BUCKETS.index(bucket))):
        since, until = chance.choice(moments), chance.choice(moments)
        name = chance.choice(STORED_FILTERS)
        value = chance.choice(world.known.values(scope.store, name))
        questions: list[tuple[Scope, Sequence[str]]] = [
            (scope, STORED_SPLITS),
            (replace(scope, since=since, until=until), STORED_SPLITS),
            (replace(scope, filters=((name, value),)), ["all"]),
            (replace(scope, since=since, until=until, filters=((name, value),)), [name]),
        ]
        for question, splits in questions:
            assert not needs_facts(question, splits)
            single = asked(world.clickhouse, _facts(question, bucket, splits, world.clickhouse.database))
            assert differences(single, stored(world, question, bucket, splits)) == {}, (question, splits)


OF_REFERRAL = ("source", "medium", "campaign", "channel", "referrer")
WINDOW_MS = 30 * 86_400_000


def sent_by(visit: Visit, visits: Sequence[Visit], dimension: str) -> str:
    """Whom a visit is credited to: its own sender, else that of the visitor's last visit with one, within 30 days."""
    column = {"referrer": "referrer_host"}.get(dimension, dimension)
    earlier = [
        other
        for other in visits
        if (other.entry.partition, other.entry.visitor, other.entry.is_bot)
        == (visit.entry.partition, visit.entry.visitor, visit.entry.is_bot)
        and 0 <= visit.start_ms - other.start_ms <= WINDOW_MS
        and other.entry.columns["channel"] not in ("Direct", "Internal")
    ]
    credited = max(earlier, key=lambda other: other.start_ms, default=visit)
    return credited.entry.columns[column]


@pytest.mark.parametrize("scope", ALL_SCOPES, ids=named)
def test_a_direct_visit_is_credited_to_the_last_one_that_somebody_sent(world: World, scope: Scope) -> None:
    question = replace(scope, attribution="last_non_direct")
    chosen = [visit for visit in world.known.visits if selected_visit(visit, scope)]
    credit = {id(visit): {name: sent_by(visit, world.known.visits, name) for name in OF_REFERRAL} for visit in chosen}
    found = world.insights.breakdowns(question, OF_REFERRAL, 1_000)
    for split in OF_REFERRAL:
        numbers = {row.value: row.numbers for row in found[split].rows}
        values = {credit[id(visit)][split] for visit in chosen} - ({""} if split in SPARSE else set())
        assert set(numbers) == values
        for value in values:
            mine = [visit for visit in chosen if credit[id(visit)][split] == value]
            assert numbers[value].sessions == len(mine)
            assert numbers[value].views == sum(visit.views for visit in mine)
            assert numbers[value].visitors == len({visit.entry.visitor for visit in mine})


def test_attribution_changes_something_here(world: World) -> None:
    scope = scope_of("alpha", bots="include")
    own, last = (
        {row.value: row.numbers.sessions for row in world.insights.breakdowns(asked, ["channel"])["channel"].rows}
        for asked in (scope, replace(scope, attribution="last_non_direct"))
    )
    assert own["Direct"] > last["Direct"]
    assert sum(own.values()) == sum(last.values())


def test_ranges_begin_and_end_at_quarters_and_those_that_meet_count_nothing_twice(world: World) -> None:
    chance = random.Random(SEED)
    facts = [fact for fact in world.known.facts if fact.store == "gamma"]
    filters = (("page", facts[0].columns["page"]), ("device", facts[0].columns["device"]))
    for scope in (scope_of("gamma", bots="include"), scope_of("gamma", bots="include", filters=filters)):
        whole = world.insights.totals(scope)
        for _ in range(12):
            cut = datetime.fromtimestamp(chance.choice(facts).occurred_ms / 1000, UTC)
            before, after = replace(scope, until=cut), replace(scope, since=cut)
            for part in (before, after):
                expected = world.known.answer(part, "", "all").get((None, ""), Numbers())
                assert world.insights.totals(part) == expected
            parts = world.insights.totals(before), world.insights.totals(after)
            for name in ADDITIVE:
                assert sum(getattr(part, name) for part in parts) == getattr(whole, name)


@pytest.mark.parametrize("store", sorted(STORES))
def test_every_day_of_the_stores_calendar_is_counted_from_midnight_to_midnight(world: World, store: str) -> None:
    scope = scope_of(store, bots="include")
    days = world.known.answer(scope, "day", "all")
    for (day, _), numbers in days.items():
        assert isinstance(day, date)
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001  # on the store's clock
        one = replace(scope, since=midnight, until=midnight + timedelta(days=1))
        assert world.insights.totals(one) == numbers
        hours = world.insights.trend(one, "hour")
        assert sum(row.numbers.views for row in hours) == numbers.views


def test_a_range_in_which_nothing_happened_has_no_rows_and_zeros(world: World) -> None:
    nowhere = scope_of("alpha", since=datetime(2031, 1, 1), until=datetime(2031, 2, 1))  # noqa: DTZ001  # the store's clock
    for scope in (nowhere, replace(nowhere, filters=(("page", "/"), ("device", "mobile")))):
        assert world.insights.totals(scope) == Numbers()
        assert world.insights.trend(scope, "day") == []
        assert world.insights.trend_with_totals(scope, "day") == TrendWithTotals(Numbers(), ())
        assert world.insights.heatmap(scope) == []
        assert sum(world.insights.session_distribution(scope).by_seconds) == 0
        assert all(not found.rows and not found.more for found in world.insights.breakdowns(scope, FILTERABLE).values())


@pytest.mark.parametrize("scope", ALL_SCOPES, ids=named)
def test_classes_of_visits_sum_to_the_sessions(world: World, scope: Scope) -> None:
    for filters in ((), (("device", "desktop"),)):
        question = replace(scope, filters=filters)
        shape = world.insights.session_distribution(question)
        sessions = world.known.answer(question, "", "all").get((None, ""), Numbers()).sessions
        assert sum(shape.by_seconds) == sum(shape.by_views) == sessions
        chosen = [v for v in world.known.visits if selected_visit(v, question)]
        seconds = [_class((visit.end_ms - visit.start_ms) / 1000, SESSION_SECONDS_BOUNDS) for visit in chosen]
        views = [_class(visit.views, SESSION_VIEWS_BOUNDS) for visit in chosen]
        assert list(shape.by_seconds) == [seconds.count(at) for at in range(len(SESSION_SECONDS_BOUNDS) + 1)]
        assert list(shape.by_views) == [views.count(at) for at in range(len(SESSION_VIEWS_BOUNDS) + 1)]


def _class(number: float, bounds: Sequence[int]) -> int:
    return sum(number > bound for bound in bounds)
