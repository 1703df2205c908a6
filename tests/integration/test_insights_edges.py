"""The query layer at its edges: the live minutes, too much to read, attacks, odd values, first days, changed clocks."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from connectors.insights import Insights, InvalidQuery, Numbers, QueryTooLarge, Scope
from ops.oracle import Fact
from tests.kits.clicks import STORES
from tests.kits.insights import NASTY, STORED_FILTERS, World, bucket_of, scope_of, selected


def test_live_minutes_are_each_of_the_last_minutes(world: World) -> None:
    fact = next(fact for fact in world.known.facts if fact.store == "alpha" and not fact.is_bot)
    now = datetime.fromtimestamp(fact.occurred_ms / 1000, UTC) + timedelta(minutes=12, seconds=3)
    scope = scope_of("alpha")
    found = world.insights.live_minutes(scope, now, minutes=30)
    minute = now.replace(second=0, microsecond=0)
    assert [live.minute for live in found] == [minute - timedelta(minutes=back) for back in range(29, -1, -1)]
    assert sum(live.views for live in found) > 0
    for live in found:
        inside = [
            fact
            for fact, visit in world.known.events
            if selected(fact, visit, scope) and 0 <= fact.occurred_ms - live.minute.timestamp() * 1000 < 60_000
        ]
        assert live.views == sum(fact.is_view and not fact.is_refire for fact in inside)
        assert live.actions == sum(not fact.is_view and not fact.is_refire for fact in inside)
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
            for fact, visit in world.known.events
            if selected(fact, visit, scope)
            and not fact.is_refire
            and fact.occurred_ms >= now.timestamp() * 1000 - 600 * 60_000
        ),
        reverse=True,
    )
    assert [round(live.at.timestamp() * 1000) for live in found] == expected[:7]
    assert found[0].page in {
        fact.columns["page"] for fact, _ in world.known.events if fact.occurred_ms == newest.occurred_ms
    }
    assert not any(newest.visitor in str(live) for live in found)


def test_a_question_that_reads_too_many_clicks_is_refused_and_says_how_to_ask_less(world: World) -> None:
    careful = Insights(world.clickhouse, max_rows=10)
    scope = scope_of("alpha", filters=(("page", "/wool"),))
    for ask in (
        lambda: careful.breakdowns(scope, ["country"]),
        lambda: careful.numbers_of(scope, {"country": ["GB"]}),
        lambda: careful.session_distribution(scope),
        lambda: careful.totals(replace(scope, filters=(("page", "/wool"), ("device", "mobile")))),
    ):
        with pytest.raises(QueryTooLarge, match="more than 10 of them: choose a shorter range or fewer filters"):
            ask()


def test_stored_numbers_answer_whatever_the_bound_on_clicks(world: World) -> None:
    careful = Insights(world.clickhouse, max_rows=1)
    scope = scope_of("alpha", filters=(("page", "/wool"),))
    assert careful.totals(scope) == world.insights.totals(scope)
    stored = world.insights.breakdowns(scope_of("alpha"), STORED_FILTERS)
    assert careful.breakdowns(scope_of("alpha"), STORED_FILTERS) == stored
    shown = {split: [row.value for row in found.rows[:3]] for split, found in stored.items()}
    assert careful.numbers_of(scope_of("alpha"), shown) == {
        split: {row.value: row.numbers for row in found.rows[:3]} for split, found in stored.items()
    }


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
        assert sum(world.insights.session_distribution(scope).by_seconds) == 0
    assert world.insights.numbers_of(scope_of("alpha"), {"page": [attack]}) == {"page": {}}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_looks_like_sql_is_no_name_of_a_store(world: World, attack: str) -> None:
    with pytest.raises(InvalidQuery, match="no store can be called"):
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


def test_hours_are_distinguished_where_the_clock_shows_one_twice(world: World) -> None:
    since = datetime(2025, 11, 2)  # noqa: DTZ001  # on the store's clock
    scope = scope_of("alpha", bots="include", since=since, until=since + timedelta(days=1))
    hours = [row.bucket for row in world.insights.trend(scope, "hour")]
    assert datetime(2025, 11, 2, 5, tzinfo=UTC) in hours
    assert datetime(2025, 11, 2, 6, tzinfo=UTC) in hours
    assert bucket_of(datetime(2025, 11, 2, 6, 30, tzinfo=UTC), "hour", scope) == datetime(2025, 11, 2, 6, tzinfo=UTC)


@pytest.mark.parametrize("scope", [scope_of("alpha"), scope_of("beta", bots="include", filters=(("product", "p1"),))])
def test_what_was_clicked_is_counted_by_target_and_by_product(world: World, scope: Scope) -> None:
    clicked = [
        fact
        for fact, visit in world.known.events
        if selected(fact, visit, scope) and not fact.is_view and not fact.columns["name"] and fact.columns["target"]
    ]

    def numbers(facts: list[Fact]) -> tuple[int, int]:
        return sum(not fact.is_refire for fact in facts), len({fact.visitor for fact in facts})

    by_target, by_product = defaultdict(list), defaultdict(list)
    for fact in clicked:
        by_target[fact.columns["target"]].append(fact)
        if fact.columns["target"] == "add-to-cart" and fact.columns["product"]:
            by_product[fact.columns["product"]].append(fact)

    found = world.insights.targets(scope)
    assert {each.name: (each.actions, each.visitors) for each in found} == {n: numbers(f) for n, f in by_target.items()}
    assert [each.actions for each in found] == sorted((each.actions for each in found), reverse=True)
    assert len(found) == 2
    carts = world.insights.targets_of_products(scope, "add-to-cart")
    assert {name: (each.actions, each.visitors) for name, each in carts.items()} == {
        name: numbers(facts) for name, facts in by_product.items()
    }
    assert carts


def test_what_is_clicked_reads_single_clicks_and_no_more_than_is_allowed(world: World) -> None:
    with pytest.raises(QueryTooLarge, match="single clicks"):
        Insights(world.clickhouse, max_rows=10).targets(scope_of("alpha"))
