"""The same numbers everywhere: dashboard, ``marketplace report --json`` and query layer agree on all of them."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from connectors.clickhouse.client import ClickHouse
from connectors.insights import Insights, Row, Scope
from connectors.mongo.client import connect
from connectors.mongo.stores import MongoStores
from dashboards.ui.formats import duration, percent
from marketplace.goals import FIRST_GOALS
from marketplace.rollups import GRAINS
from ops.cli import make_app
from ops.stack import Stack
from tests.integration.dashboard_numbers import APRIL, MARCH, OF_SENDERS
from tests.kits.clicks import STORES
from tests.kits.insights import BOTS, FILTERABLE, SPLITS, empty_tables, fill, known_log

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class World:
    """Known clicks in tables and stores in a database of their own."""

    insights: Insights
    environment: dict[str, str]


@pytest.fixture(scope="module")
def world(stack: Stack) -> Iterator[World]:
    with empty_tables(stack.urls.clickhouse) as clickhouse:
        fill(clickhouse, known_log(seed=7))
        client = connect(stack.urls.mongo)
        for store in STORES.values():
            MongoStores(client, clickhouse.database).upsert_store(store)
        yield World(Insights(clickhouse), environment_of(stack, clickhouse))
        client.drop_database(clickhouse.database)
        client.close()


def environment_of(stack: Stack, clickhouse: ClickHouse) -> dict[str, str]:
    names = {"KAFKA": "kafka", "MONGO": "mongo", "CLICKHOUSE": "clickhouse", "REDIS": "redis"}
    urls = {f"MARKETPLACE_{name}_URL": str(getattr(stack.urls, part)) for name, part in names.items()}
    return {**urls, "MARKETPLACE_DATABASE": clickhouse.database}


def bucket_text(row: Row, zone: ZoneInfo, grain: str) -> str:
    """A bucket as the terminal's report writes it."""
    if isinstance(row.bucket, datetime):
        return row.bucket.astimezone(zone).isoformat()
    assert isinstance(row.bucket, date)
    return f"{row.bucket:%Y-%m-%d}" if grain == "day" else f"{row.bucket:%Y-%m}"


@pytest.mark.parametrize(("store", "bots"), list(zip(sorted(STORES), BOTS, strict=True)))
def test_the_terminal_reports_what_the_query_layer_answers(world: World, store: str, bots: str) -> None:
    zone = ZoneInfo(STORES[store].timezone)
    app, compared = make_app(["report"]), 0
    for grain in GRAINS:
        for split in SPLITS:
            arguments = ["--store", store, "--grain", grain, "--dimension", split, "--bots", bots, "--json"]
            done = CliRunner().invoke(app, ["report", *arguments], env=world.environment)
            assert done.exit_code == 0, done.output
            expected = [
                {
                    "bucket": bucket_text(row, zone, grain),
                    "dimension": split,
                    "value": row.value,
                    "visitors_error": row.numbers.visitors_error,
                    **asdict(row.numbers),
                }
                for row in world.insights.report(Scope(store, zone, bots=bots), grain, split)
            ]
            assert json.loads(done.stdout)["rows"] == expected
            compared += len(expected)
    assert compared > 100


def test_the_terminals_table_and_its_csv_have_the_rates_of_the_query_layer(world: World) -> None:
    zone, asked = ZoneInfo(STORES["alpha"].timezone), ["report", "--store", "alpha", "--grain", "month"]
    app = make_app(["report"])
    for split in ("all", "page", "product"):
        done = CliRunner().invoke(app, [*asked, "--dimension", split, "--csv"], env=world.environment)
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        found = world.insights.report(Scope("alpha", zone), "month", split)
        assert [
            (row["bucket"], row["value"], row["sessions"], row["bounce_rate"], row["session_seconds"]) for row in rows
        ] == [
            (
                bucket_text(row, zone, "month"),
                row.value,
                str(row.numbers.sessions),
                *("" if rate is None else str(round(rate, 6)) for rate in rates_of(row)),
            )
            for row in found
        ]
        assert ("title" in rows[0]) is (split == "product")
    lines = CliRunner().invoke(app, asked, env=world.environment).stdout.splitlines()
    shown = [line.strip().split(maxsplit=7)[6:] for line in lines[2:]]
    months = world.insights.report(Scope("alpha", zone), "month", "all")
    assert shown == [[percent(row.numbers.bounce_rate), duration(row.numbers.session_seconds)] for row in months]


def rates_of(row: Row) -> tuple[float | None, float | None]:
    numbers = row.numbers
    if not numbers.sessions:
        return None, None
    return numbers.bounces / numbers.sessions, numbers.duration_ms / 1_000 / numbers.sessions


def test_reports_of_all_dimensions_at_once_are_those_of_each(world: World) -> None:
    scope = Scope("alpha", ZoneInfo(STORES["alpha"].timezone))
    for grain in GRAINS:
        at_once = world.insights.reports(scope, grain, SPLITS)
        assert at_once == {split: world.insights.report(scope, grain, split) for split in SPLITS}


def test_the_terminal_credits_visits_as_the_query_layer_does(world: World) -> None:
    app, scope = make_app(["report"]), Scope("alpha", ZoneInfo(STORES["alpha"].timezone), attribution="last_non_direct")
    arguments = ["--store", "alpha", "--grain", "month", "--dimension", "channel", "--json"]
    done = CliRunner().invoke(app, ["report", *arguments, "--attribution", scope.attribution], env=world.environment)
    assert done.exit_code == 0, done.output
    found = [(row.value, row.numbers.sessions) for row in world.insights.report(scope, "month", "channel")]
    assert [(row["value"], row["sessions"]) for row in json.loads(done.stdout)["rows"]] == found
    usual = world.insights.report(replace(scope, attribution="visit"), "month", "channel")
    assert found != [(row.value, row.numbers.sessions) for row in usual]


def test_the_terminal_reports_the_goals_of_a_store_by_every_dimension(world: World) -> None:
    app, scope = make_app(["report"]), Scope("alpha", ZoneInfo(STORES["alpha"].timezone))
    for split in SPLITS:
        arguments = ["--store", "alpha", "--goals", "--dimension", split, "--json"]
        done = CliRunner().invoke(app, ["report", *arguments], env=world.environment)
        assert done.exit_code == 0, done.output
        shown = {each["goal"]: each["rows"] for each in json.loads(done.stdout)["goals"]}
        found = world.insights.conversions(scope, STORES["alpha"].goals, split, 1_000)
        assert list(shown) == [goal.name for goal in FIRST_GOALS]
        for name, rows in found.items():
            assert [
                (row["value"], row["conversions"], row["converted"], row["visitors"], row["rate"])
                for row in shown[name]
            ] == [(row.value, row.conversions, row.converted, row.visitors, row.rate) for row in rows]
    table = CliRunner().invoke(app, ["report", "--store", "alpha", "--goals"], env=world.environment).stdout
    text = CliRunner().invoke(app, ["report", "--store", "alpha", "--goals", "--csv"], env=world.environment).stdout
    (reached,) = world.insights.conversions(scope, FIRST_GOALS[:1])[FIRST_GOALS[0].name]
    assert reached.conversions > 0
    (row,) = (row for row in csv.DictReader(io.StringIO(text)) if row["goal"] == FIRST_GOALS[0].name)
    assert (row["conversions"], row["converted"]) == (str(reached.conversions), str(reached.converted))
    line = next(line for line in table.splitlines() if FIRST_GOALS[0].name in line)
    assert line.split()[-4:] == [
        f"{reached.conversions:,}",
        f"{reached.converted:,}",
        f"{reached.visitors:,}",
        f"{reached.rate:.2%}",
    ]


def test_the_dashboard_shows_what_the_query_layer_answers(world: World) -> None:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("dashboard_numbers.py"))],
        env={**world.environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown: dict[str, Any] = json.loads(done.stdout)
    assert set(shown) == {f"{store} {bots}" for store in STORES for bots in BOTS}
    compared = 0
    for name, numbers in shown.items():
        store, bots = name.split()
        scope = Scope(store, ZoneInfo(STORES[store].timezone), bots=bots)
        assert numbers["totals"] == dict.fromkeys(GRAINS, asdict(world.insights.totals(scope)))
        for grain in GRAINS:
            assert numbers["trend"][grain] == [plain(row) for row in world.insights.report(scope, grain, "all")]
        credited = replace(scope, attribution="last_non_direct")
        senders = [split for split, _ in OF_SENDERS]
        by_sender = world.insights.breakdowns(credited, senders, 10_000, "sessions")
        assert numbers["attributed"] == {split: [plain(row) for row in by_sender[split].rows] for split in senders}
        for split in FILTERABLE:
            expected = world.insights.breakdowns(scope, [split], 10_000)[split].rows
            assert numbers["breakdowns"][split] == [plain(row) for row in expected]
            if bots != "exclude":
                continue
            # What rows are compared with is what a report of that period says.
            reported = world.insights.report(replace(scope, since=MARCH, until=APRIL), "month", split)
            shown_before, there = numbers["compared"][split], {row.value for row in expected}
            assert shown_before == {row.value: asdict(row.numbers) for row in reported if row.value in there}
            compared += len(shown_before)
    assert compared > 100


def plain(row: Row) -> list[Any]:
    """A row as JSON has it."""
    return [None if row.bucket is None else str(row.bucket), row.value, asdict(row.numbers)]
