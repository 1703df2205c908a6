"""A store's numbers by HTTP on real parts: the query layer's, as far back as the plan reaches."""

from __future__ import annotations

import csv
import io
import itertools
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from api.analytics.routes import ANALYTICS
from connectors.clickhouse.client import ClickHouse
from connectors.insights import Conversion, Insights, Scope
from connectors.insights.report import Analytics
from marketplace.goals import FIRST_GOALS
from marketplace.identity.roles import Permission
from marketplace.rollups import GRAINS
from ops.stack import Stack
from tests.kits.clicks import STORES
from tests.kits.insights import BOTS, FILTERABLE, SPLITS, empty_tables, fill, known_log
from tests.kits.tenancy import Run, Work, World, run_in_world

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
"""After the last event of the known log, and within a premium plan's history of all of them."""

ALL = sorted(path.rpartition("/")[2] for _, path in ANALYTICS.rules)
"""What can be asked of a store: the last part of each route's path."""


@pytest.fixture(scope="module")
def clickhouse(stack: Stack) -> Iterator[ClickHouse]:
    with empty_tables(stack.urls.clickhouse) as clickhouse:
        fill(clickhouse, known_log(seed=11))
        yield clickhouse


@pytest.fixture
def run(stack: Stack, database: str, clickhouse: ClickHouse) -> Run:
    def in_world(work: Work) -> None:
        async def prepared(world: World) -> None:
            world.now = NOW
            await world.user("ann", premium=True)
            await world.user("bob")
            for store in STORES.values():
                await world.store(store.slug, timezone=store.timezone, ann="owner", ida="analyst")
            await world.store("bobs", bob="owner")
            await work(world)

        run_in_world(stack.urls.mongo, database, prepared, clickhouse)

    return in_world


async def ask(world: World, store: str, what: str, who: str = "ann", **options: Any) -> httpx.Response:
    """Ask for numbers."""
    return await world.ask("GET", f"/v1/stores/{store}/analytics/{what}", who, **options)


async def numbers(world: World, store: str, what: str, **options: Any) -> Any:
    """The numbers that were asked for."""
    response = await ask(world, store, what, **options)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize(("store", "bots"), list(zip(sorted(STORES), BOTS, strict=True)))
def test_the_api_answers_what_the_query_layer_does(run: Run, clickhouse: ClickHouse, store: str, bots: str) -> None:
    insights, report = Insights(clickhouse), Analytics(clickhouse)
    zone = ZoneInfo(STORES[store].timezone)
    everything = Scope(store, zone, bots=bots)

    async def work(world: World) -> None:
        compared = 0
        for grain, split in itertools.product(GRAINS, SPLITS):
            asked = {"grain": grain, "dimension": split, "bots": bots}
            found = await numbers(world, store, "trend", params=asked)
            assert found["rows"] == [asdict(row) for row in report.report_of(everything, grain, split)]
            compared += len(found["rows"])
        assert compared > 100
        totals = insights.totals(everything)
        found = await numbers(world, store, "totals", params={"bots": bots})
        assert found["numbers"] == {**asdict(totals), "visitors_error": totals.visitors_error}
        for split in FILTERABLE:
            (breakdown,) = (
                await numbers(world, store, "breakdowns", params={"dimension": split, "limit": 1_000, "bots": bots})
            )["breakdowns"]
            rows = insights.breakdowns(everything, [split], 1_000)[split].rows
            assert [row["value"] for row in breakdown["rows"]] == [row.value for row in rows]
            assert [row["visitors"] for row in breakdown["rows"]] == [row.numbers.visitors for row in rows]

    run(work)


def test_the_goals_of_a_store_are_those_of_the_query_layer_by_every_dimension(run: Run, clickhouse: ClickHouse) -> None:
    insights, zone = Insights(clickhouse), ZoneInfo(STORES["alpha"].timezone)

    async def work(world: World) -> None:
        reached = 0
        for split in SPLITS:
            found = await numbers(world, "alpha", "goals", params={"dimension": split, "limit": 3})
            expected = insights.conversions(Scope("alpha", zone), FIRST_GOALS, split, 1_000)
            assert found["more"] == any(len(rows) > 3 for rows in expected.values())
            assert found["goals"] == [
                {
                    "goal": name,
                    "rows": [{**without_goal(row), "rate": row.rate, "estimated": False} for row in rows[:3]],
                }
                for name, rows in expected.items()
            ]
            reached += sum(row.conversions for rows in expected.values() for row in rows)
        assert reached > 100

    run(work)


def without_goal(row: Conversion) -> dict[str, Any]:
    """A row as the answer has it, below the goal's name."""
    return {name: value for name, value in asdict(row).items() if name != "goal"}


def test_ranges_and_filters_are_those_of_the_query_layer(run: Run, clickhouse: ClickHouse) -> None:
    insights, zone = Insights(clickhouse), ZoneInfo(STORES["alpha"].timezone)
    first, end = datetime(2025, 3, 9, 1, 15, tzinfo=zone), datetime(2025, 11, 2, tzinfo=zone)

    async def work(world: World) -> None:
        for filters in ((), (("page", "/it's"),), (("browser", "Chrome"), ("source", "google"))):
            scope = Scope("alpha", zone, first, end, filters=filters)
            asked = {
                "from": "2025-03-09T01:15", "to": "2025-11-02", "filter": [f"{name}:{value}" for name, value in filters]
            }  # fmt: skip
            found = await numbers(world, "alpha", "totals", params=asked)
            assert found["numbers"]["views"] == insights.totals(scope).views
            assert sorted(found["filters"]) == sorted(asked["filter"])

    run(work)


def test_a_table_has_the_rows_of_the_json_and_is_a_part_of_a_premium_plan(run: Run, clickhouse: ClickHouse) -> None:
    async def work(world: World) -> None:
        asked: dict[str, Any] = {"params": {"dimension": "page", "grain": "month"}, "headers": {"accept": "text/csv"}}
        table = await ask(world, "alpha", "trend", **asked)
        assert table.headers["content-type"] == "text/csv; charset=utf-8"
        assert table.headers["content-disposition"] == 'attachment; filename="alpha.csv"'
        titles, *rows = csv.reader(io.StringIO(table.text, newline=""))
        plain = (await numbers(world, "alpha", "trend", params=asked["params"]))["rows"]
        assert titles == list(plain[0])
        assert rows == [[str(value) for value in row.values()] for row in plain]
        refused = await ask(world, "bobs", "trend", "bob", headers={"accept": "text/csv"})
        assert (refused.status_code, refused.json()["type"]) == (403, "/problems/limit")
        other = await ask(world, "alpha", "trend", headers={"accept": "image/png"})
        assert (other.status_code, other.json()["type"]) == (406, "/problems/not-acceptable")

    run(work)


def test_the_ledger_accounts_for_every_event(run: Run, clickhouse: ClickHouse) -> None:
    expected = Analytics(clickhouse).ledger("alpha")

    async def work(world: World) -> None:
        rows = (await numbers(world, "alpha", "ledger"))["rows"]
        assert [row["received"] for row in rows] == [row.received for row in expected]
        assert all(row["received"] == sum(row["outcomes"].values()) and row["difference"] == 0 for row in rows)
        assert sum(row["received"] for row in rows) > 100
        half = await numbers(world, "alpha", "ledger", params={"from": rows[1]["hour"]})
        assert half["rows"] == rows[1:]
        before = await numbers(world, "alpha", "ledger", params={"to": rows[1]["hour"]})
        assert before["rows"] == rows[:1]
        table = await ask(world, "alpha", "ledger", headers={"accept": "text/csv"})
        assert len(list(csv.reader(io.StringIO(table.text)))) == len(rows) + 1

    run(work)


def test_a_free_plan_reaches_back_less_far_than_a_premium_one(run: Run) -> None:
    async def work(world: World) -> None:
        asked: dict[str, Any] = {"params": {"from": "2025-03-01"}}
        assert (await ask(world, "alpha", "totals", **asked)).status_code == 200
        refused = await ask(world, "bobs", "totals", "bob", **asked)
        assert (refused.status_code, refused.json()["type"]) == (403, "/problems/limit")
        assert "90 days" in refused.json()["detail"]

    run(work)


@pytest.mark.parametrize("what", ALL)
def test_numbers_are_for_members_and_for_keys_with_the_scope_alone(run: Run, what: str) -> None:
    async def work(world: World) -> None:
        assert (await ask(world, "alpha", what, "ida")).status_code == 200
        for who in ("bob", ""):
            refused = await ask(world, "alpha", what, who)
            assert refused.status_code == (404 if who else 401)
        assert (await ask(world, "bobs", what, "ann")).status_code == 404
        reader = await world.key("alpha", "ann", Permission.READ_NUMBERS)
        other = await world.key("alpha", "ann", Permission.READ_STORE)
        elsewhere = await world.key("beta", "ann", Permission.READ_NUMBERS)
        assert [(await ask(world, "alpha", what, key)).status_code for key in (reader, other, elsewhere)] == [
            200,
            403,
            404,
        ]

    run(work)


def test_what_did_not_change_is_not_sent_again_and_what_was_counted_is_there_in_a_second(
    run: Run, clickhouse: ClickHouse
) -> None:
    async def work(world: World) -> None:
        first = await ask(world, "gamma", "totals")
        again = await ask(world, "gamma", "totals", headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["cache-control"] == "private, no-cache"
        hour = int(Analytics(clickhouse).ledger("gamma")[0].hour.timestamp())
        rollups = f"{clickhouse.database}.rollups"
        clickhouse.command(f"INSERT INTO {rollups} SELECT * FROM {rollups} WHERE store = 'gamma'")
        clickhouse.command(
            f"INSERT INTO {clickhouse.database}.click_ledger (store, hour, kind, name, events, source_partition, "
            f"source_offset) VALUES ('gamma', toDateTime({hour}), 'received', 'received', 1, 0, 999999)"
        )
        deadline = time.monotonic() + 5
        while (newer := await ask(world, "gamma", "totals")).headers["etag"] == first.headers["etag"]:
            assert time.monotonic() < deadline
        assert newer.json()["numbers"]["views"] == 2 * first.json()["numbers"]["views"]

    run(work)


@pytest.mark.parametrize("what", ALL)
def test_what_is_kept_for_one_question_answers_no_other_one(run: Run, what: str) -> None:
    async def work(world: World) -> None:
        operation = world.openapi["paths"][f"/v1/stores/{{store}}/analytics/{what}"]["get"]
        if any(each["name"] == "from" for each in operation["parameters"]):
            # On this day the store has two hours of one name.
            for moment, written in (("05:30:00Z", "01:30:00-04:00"), ("06:30:00Z", "01:30:00-05:00")):
                found = await numbers(world, "alpha", what, params={"from": f"2025-11-02T{moment}"})
                assert found["from"] == f"2025-11-02T{written}"
        for zone in ("UTC", "Atlantic/Reykjavik", "Asia/Kathmandu"):
            assert (await world.edit("alpha", "ann", {"timezone": zone})).status_code == 200
            found = await numbers(world, "alpha", what)
            assert found.get("timezone", zone) == zone

    run(work)


@pytest.mark.parametrize("what", ALL)
def test_what_is_kept_of_a_store_is_for_nobody_else_however_it_is_asked_for(run: Run, what: str) -> None:
    async def work(world: World) -> None:
        keys = {name: await world.key(name, who, Permission.READ_NUMBERS)
                for name, who in (("alpha", "ann"), ("bobs", "bob"))}  # fmt: skip
        for accept in ("application/json", "text/csv"):
            kept = await ask(world, "alpha", what, headers={"accept": accept})
            assert kept.status_code in (200, 406)
            etag = kept.headers.get("etag", '"x"')
            asked: list[dict[str, Any]] = [{"accept": accept}, {"accept": accept, "if-none-match": etag}]
            for method, headers in itertools.product(("GET", "HEAD"), asked):
                for who in ("bob", keys["bobs"], ""):
                    theirs, nobodys = [
                        await world.ask(method, f"/v1/stores/{store}/analytics/{what}", who, headers=headers)
                        for store in ("alpha", "nowhere")
                    ]
                    assert theirs.status_code == nobodys.status_code == (404 if who else 401)
                    assert theirs.text.replace(theirs.headers["x-request-id"], "") == nobodys.text.replace(
                        nobodys.headers["x-request-id"], ""
                    )
                    assert theirs.headers.keys() == nobodys.headers.keys()
                    assert "etag" not in theirs.headers
                for who in ("ann", "ida", keys["alpha"]):
                    own = await world.ask(method, f"/v1/stores/alpha/analytics/{what}", who, headers=headers)
                    unchanged = "if-none-match" in headers and own.headers.get("etag") == etag
                    assert own.status_code == (304 if unchanged else kept.status_code)

    run(work)


@pytest.mark.parametrize(
    "query",
    [
        "trend?grain=week", "trend?dimension=nothing", "trend?dimension=", "totals?bots=maybe", "totals?from=now",
        "totals?filter=all:", "totals?filter=%7B%22$gt%22:%22%22%7D", "breakdowns?dimension=",
        "breakdowns?dimension=all",
        "breakdowns?dimension=page&limit=0", "breakdowns?dimension=page&limit=9223372036854775808",
        "breakdowns?dimension=page&order=revenue", "totals?from=2025-05-02&to=2025-05-01",
        "breakdowns?" + "&".join(["dimension=page"] * 7), "totals?" + "&".join(["filter=page:x"] * 11),
        "totals?filter=page:" + "x" * 301,
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_a_problem_that_names_the_parameter(run: Run, query: str) -> None:
    async def work(world: World) -> None:
        refused = await ask(world, "alpha", query)
        assert (refused.status_code, refused.json()["type"]) == (422, "/problems/invalid")
        assert refused.json()["errors"][0]["path"].startswith("query:")

    run(work)


@pytest.mark.parametrize("value", ["'; DROP TABLE clicks --", "{store:String}", "%s", "\x00", "\\", "☃"])
def test_a_value_is_a_value_whatever_it_holds(run: Run, value: str) -> None:
    async def work(world: World) -> None:
        found = await numbers(world, "alpha", "totals", params={"filter": f"page:{value}"})
        assert found["numbers"]["views"] == 0

    run(work)


def test_without_clickhouse_there_are_no_numbers_and_all_else_works(stack: Stack, database: str) -> None:
    async def work(world: World) -> None:
        await world.store("alpha", ann="owner")
        for what in ALL:
            response = await ask(world, "alpha", what)
            assert (response.status_code, response.json()["type"]) == (503, "/problems/unavailable")
            assert int(response.headers["retry-after"]) >= 1
        assert (await world.ask("GET", "/v1/stores/alpha", "ann")).status_code == 200

    run_in_world(stack.urls.mongo, database, work)


def test_the_last_half_hour_has_a_row_for_each_minute(run: Run) -> None:
    async def work(world: World) -> None:
        found = await numbers(world, "alpha", "live")
        assert len(found["minutes"]) == 30
        assert found["latest"] == []

    run(work)
