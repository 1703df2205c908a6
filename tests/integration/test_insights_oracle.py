"""The query layer on the real engine against numbers counted in plain Python from the same clicks."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import combinations
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connectors.clickhouse import ClickHouse
from connectors.insights import BadQuestion, Insights, Numbers, Row, Scope, TooMuch
from connectors.insights.insights import VISIT_CLICKS, VISIT_SECONDS
from connectors.insights.sources import _facts, _stored, needs_facts
from marketplace.rollups import GRAINS, SPARSE
from marketplace.tables import VISITOR_STATE
from ops.oracle import RollupKey
from ops.stack import Stack
from tests.clicks_kit import STORES, differences
from tests.insights_kit import (
    BOTS,
    FILTERABLE,
    NASTY,
    SPLITS,
    Known,
    as_answer,
    bucket_of,
    empty_tables,
    fill,
    known_log,
    selected,
)

SEED = 20251122


@dataclass
class World:
    """Known clicks, and who answers questions about them."""

    clickhouse: ClickHouse
    insights: Insights
    known: Known


@pytest.fixture(scope="module")
def world(stack: Stack) -> Iterator[World]:
    log = known_log(SEED)
    with empty_tables(stack.urls.clickhouse) as clickhouse:
        fill(clickhouse, log)
        yield World(clickhouse, Insights(clickhouse), Known(log))


def scope_of(store: str, **more: Any) -> Scope:
    return Scope(store, ZoneInfo(STORES[store].timezone), **more)


ALL_SCOPES = [scope_of(store, bots=bots) for store in sorted(STORES) for bots in BOTS]


def named(scope: Scope) -> str:
    return f"{scope.store}-{scope.bots}"


def test_the_clicks_cover_what_the_questions_are_about(world: World) -> None:
    outcomes = world.known.expected.by_outcome()
    assert outcomes["counted"] > 300
    assert outcomes["bot"] > 50
    assert outcomes["refire"] > 20
    assert outcomes["duplicate"] > 10
    assert all(len(world.known.values("alpha", name)) > 1 for name in FILTERABLE if name != "campaign")


@pytest.mark.parametrize("scope", ALL_SCOPES, ids=named)
@pytest.mark.parametrize("grain", GRAINS)
def test_every_report_is_the_oracles(world: World, scope: Scope, grain: str) -> None:
    for split in SPLITS:
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
        assert as_answer(world.insights.trend(scope, grain)) == world.known.answer(scope, grain, "all")
    cells = as_answer(world.insights.heatmap(scope))
    assert cells == world.known.answer(scope, "weekhour", "all")
    for name in ("clicks", "refires", "sessions", "bounces", "duration_ms"):
        assert sum(getattr(cell, name) for cell in cells.values()) == getattr(whole[None, ""], name)


@pytest.mark.parametrize("scope", ALL_SCOPES, ids=named)
@pytest.mark.parametrize("order", ["clicks", "visitors", "sessions"])
def test_breakdowns_are_the_largest_values_in_their_order(world: World, scope: Scope, order: str) -> None:
    found = world.insights.breakdowns(scope, FILTERABLE, limit=3, order=order)
    assert list(found) == list(FILTERABLE)
    for split in FILTERABLE:
        whole = world.known.answer(scope, "", split)
        rows = [Row(None, value, numbers) for (_, value), numbers in whole.items()]
        rows.sort(key=lambda row: (-getattr(row.numbers, order), -row.numbers.clicks, row.value.encode()))
        assert list(found[split].rows) == rows[:3]
        assert found[split].more == (len(rows) > 3)


def test_an_order_that_there_is_none_of_is_refused(world: World) -> None:
    with pytest.raises(BadQuestion, match="no order 'money'; there are clicks, visitors, sessions"):
        world.insights.breakdowns(scope_of("alpha"), ["page"], order="money")


def test_a_filter_alone_gives_the_stored_numbers_of_its_value(world: World) -> None:
    scope = scope_of("alpha", bots="include")
    for name in FILTERABLE:
        stored = {row.value: row.numbers for row in world.insights.breakdowns(scope, [name], 1_000)[name].rows}
        assert set(stored) == set(world.known.values("alpha", name))
        for value, numbers in stored.items():
            only = replace(scope, filters=((name, value),))
            assert world.insights.totals(only) == numbers, (name, value)
            assert world.insights.breakdowns(only, [name])[name].rows == (Row(None, value, numbers),)


def test_every_pair_of_filters_is_counted_as_by_hand(world: World) -> None:
    chance = random.Random(SEED)
    for one, other in combinations(FILTERABLE, 2):
        fact = chance.choice([fact for fact in world.known.facts if not fact.is_refire])
        filters = ((one, fact.columns[one]), (other, fact.columns[other]))
        scope = scope_of(fact.store, bots="include", filters=filters)
        assert world.insights.totals(scope) == world.known.answer(scope, "", "all")[None, ""], filters
        split, grain = chance.choice(SPLITS), chance.choice(GRAINS)
        found = as_answer(world.insights.report(scope, grain, split))
        assert differences(world.known.answer(scope, grain, split), found) == {}, (filters, split, grain)


@pytest.mark.parametrize("name", FILTERABLE)
def test_a_filter_on_one_dimension_splits_every_other(world: World, name: str) -> None:
    for value in world.known.values("beta", name)[:4]:
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
    assert expected.clicks > 0
    assert world.insights.totals(scope) == expected
    assert as_answer(world.insights.trend(scope, "day")) == world.known.answer(scope, "day", "all")
    assert world.insights.breakdowns(scope, [name])[name].rows == ()


def asked(clickhouse: ClickHouse, source: tuple[str, dict[str, object]]) -> dict[tuple[Any, ...], tuple[int, ...]]:
    """What a source holds, merged; what is all zero is as good as not there."""
    inner, parameters = source
    rows = clickhouse.rows(
        f"SELECT k, split, answer, sum(c), sum(r), sum(s), sum(b), sum(d), {VISITOR_STATE.replace('(', 'Merge(')}(v) "
        f"FROM ({inner}) GROUP BY k, split, answer",
        parameters,
    )
    return {tuple(row[:3]): tuple(map(int, row[3:])) for row in rows if any(row[3:])}


@pytest.mark.parametrize("bucket", ["", "hour", "day", "month", "weekhour"])
def test_single_clicks_and_stored_numbers_say_the_same(world: World, bucket: str) -> None:
    chance = random.Random(SEED)
    moments = [None, *(datetime.fromtimestamp(fact.occurred_ms / 1000, UTC) for fact in world.known.facts[::40])]
    for scope in ALL_SCOPES:
        since, until = chance.choice(moments), chance.choice(moments)
        name = chance.choice(FILTERABLE)
        value = chance.choice(world.known.values(scope.store, name))
        questions: list[tuple[Scope, Sequence[str]]] = [
            (scope, SPLITS),
            (replace(scope, since=since, until=until), SPLITS),
            (replace(scope, filters=((name, value),)), ["all"]),
            (replace(scope, since=since, until=until, filters=((name, value),)), [name]),
        ]
        for question, splits in questions:
            assert not needs_facts(question, splits)
            both = [
                asked(world.clickhouse, source(question, bucket, splits, world.clickhouse.database))
                for source in (_facts, _stored)
            ]
            assert differences(both[0], both[1]) == {}, (question, splits)


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
            for name in ("clicks", "refires", "sessions", "bounces", "duration_ms"):
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
        assert sum(row.numbers.clicks for row in hours) == numbers.clicks


def test_a_range_in_which_nothing_happened_has_no_rows_and_zeros(world: World) -> None:
    nowhere = scope_of("alpha", since=datetime(2031, 1, 1), until=datetime(2031, 2, 1))  # noqa: DTZ001  # the store's clock
    for scope in (nowhere, replace(nowhere, filters=(("page", "/"), ("device", "mobile")))):
        assert world.insights.totals(scope) == Numbers()
        assert world.insights.trend(scope, "day") == []
        assert world.insights.heatmap(scope) == []
        assert sum(world.insights.visits(scope).by_seconds) == 0
        assert all(not found.rows and not found.more for found in world.insights.breakdowns(scope, FILTERABLE).values())


@pytest.mark.parametrize("scope", ALL_SCOPES, ids=named)
def test_classes_of_visits_sum_to_the_sessions(world: World, scope: Scope) -> None:
    for filters in ((), (("device", "desktop"),)):
        question = replace(scope, filters=filters)
        shape = world.insights.visits(question)
        sessions = world.known.answer(question, "", "all").get((None, ""), Numbers()).sessions
        assert sum(shape.by_seconds) == sum(shape.by_clicks) == sessions
        chosen = [v for v in world.known.visits if selected(v.entry, question)]
        seconds = [_class((visit.end_ms - visit.start_ms) / 1000, VISIT_SECONDS) for visit in chosen]
        clicks = [_class(visit.clicks, VISIT_CLICKS) for visit in chosen]
        assert list(shape.by_seconds) == [seconds.count(at) for at in range(len(VISIT_SECONDS) + 1)]
        assert list(shape.by_clicks) == [clicks.count(at) for at in range(len(VISIT_CLICKS) + 1)]


def _class(number: float, bounds: Sequence[int]) -> int:
    return sum(number > bound for bound in bounds)


def test_live_minutes_are_each_of_the_last_minutes(world: World) -> None:
    fact = next(fact for fact in world.known.facts if fact.store == "alpha" and not fact.is_bot)
    now = datetime.fromtimestamp(fact.occurred_ms / 1000, UTC) + timedelta(minutes=12, seconds=3)
    scope = scope_of("alpha")
    found = world.insights.live_minutes(scope, now, minutes=30)
    minute = now.replace(second=0, microsecond=0)
    assert [live.minute for live in found] == [minute - timedelta(minutes=back) for back in range(29, -1, -1)]
    assert sum(live.clicks for live in found) > 0
    for live in found:
        inside = [
            fact
            for fact in world.known.facts
            if selected(fact, scope) and 0 <= fact.occurred_ms - live.minute.timestamp() * 1000 < 60_000
        ]
        assert live.clicks == sum(not fact.is_refire for fact in inside)
        assert live.visitors == len({fact.visitor for fact in inside})


def test_the_latest_events_are_the_newest_first_without_repeats_or_names(world: World) -> None:
    newest = max(
        (fact for fact in world.known.facts if fact.store == "beta" and not fact.is_bot),
        key=lambda fact: fact.occurred_ms,
    )
    now = datetime.fromtimestamp(newest.occurred_ms / 1000, UTC) + timedelta(seconds=5)
    scope = scope_of("beta")
    found = world.insights.latest(scope, now, limit=7, minutes=600)
    expected = sorted(
        (
            fact.occurred_ms
            for fact in world.known.facts
            if selected(fact, scope)
            and not fact.is_refire
            and fact.occurred_ms >= now.timestamp() * 1000 - 600 * 60_000
        ),
        reverse=True,
    )
    assert [round(live.at.timestamp() * 1000) for live in found] == expected[:7]
    assert found[0].page == newest.columns["page"]
    assert not any(newest.visitor in str(live) for live in found)


def test_a_question_that_reads_too_many_clicks_is_refused_and_says_how_to_ask_less(world: World) -> None:
    careful = Insights(world.clickhouse, max_rows=10)
    scope = scope_of("alpha", filters=(("page", "/wool"),))
    for ask in (
        lambda: careful.breakdowns(scope, ["country"]),
        lambda: careful.visits(scope),
        lambda: careful.totals(replace(scope, filters=(("page", "/wool"), ("device", "mobile")))),
    ):
        with pytest.raises(TooMuch, match="more than 10 of them: choose a shorter range or fewer filters"):
            ask()


def test_stored_numbers_answer_whatever_the_bound_on_clicks(world: World) -> None:
    careful = Insights(world.clickhouse, max_rows=1)
    scope = scope_of("alpha", filters=(("page", "/wool"),))
    assert careful.totals(scope) == world.insights.totals(scope)
    assert careful.breakdowns(scope_of("alpha"), FILTERABLE) == world.insights.breakdowns(scope_of("alpha"), FILTERABLE)


ATTACKS = (
    "' OR 1=1 --",
    "'; DROP TABLE clicks; --",
    "\\' OR 1=1 --",
    "\\",
    "{store:String}",
    "%(store)s",
    "a\tb\nc\\N",
    "\N{SNOWMAN}\x00",
    "') UNION ALL SELECT 0, 'all', '', 9, 9, 9, 9, 9, [] --",
)


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_looks_like_sql_in_a_filter_is_a_value_that_nothing_has(world: World, attack: str) -> None:
    for filters in ((("page", attack),), (("page", attack), ("country", attack))):
        scope = scope_of("alpha", filters=filters)
        assert world.insights.totals(scope) == Numbers()
        assert world.insights.breakdowns(scope, ["source"])["source"].rows == ()
        assert sum(world.insights.visits(scope).by_seconds) == 0


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_looks_like_sql_is_no_name_of_a_store(world: World, attack: str) -> None:
    with pytest.raises(BadQuestion, match="no store can be called"):
        world.insights.totals(replace(scope_of("alpha"), store=attack))


def test_pages_with_quotes_backslashes_and_signs_are_filtered_by_like_others(world: World) -> None:
    pages = world.known.values("alpha", "page")
    assert len([page for page in pages if any(sign in page for sign in "'\"\\{%")]) >= len(NASTY) - 2
    for page in pages:
        scope = scope_of("alpha", bots="include", filters=(("page", page), ("device", "desktop")))
        expected = world.known.answer(scope, "", "all").get((None, ""), Numbers())
        assert world.insights.totals(scope) == expected, page


def test_the_first_day_is_the_stores_own_date(world: World) -> None:
    for store in STORES:
        scope = scope_of(store, bots="include")
        days = sorted(day for day, _ in world.known.answer(scope, "day", "all") if isinstance(day, date))
        first = world.insights.first_day(scope)
        assert first is not None
        assert first.date() == days[0]
    assert world.insights.first_day(Scope("nobody", ZoneInfo("UTC"))) is None


def test_hours_are_told_apart_where_the_clock_shows_one_twice(world: World) -> None:
    scope = scope_of("alpha", bots="include", since=datetime(2025, 11, 2), until=datetime(2025, 11, 3))  # noqa: DTZ001
    hours = [row.bucket for row in world.insights.trend(scope, "hour")]
    assert datetime(2025, 11, 2, 5, tzinfo=UTC) in hours
    assert datetime(2025, 11, 2, 6, tzinfo=UTC) in hours
    assert bucket_of(datetime(2025, 11, 2, 6, 30, tzinfo=UTC), "hour", scope) == datetime(2025, 11, 2, 6, tzinfo=UTC)
