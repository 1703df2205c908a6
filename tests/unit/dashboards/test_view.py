"""Addresses that people share, mistype and make up; and how the dashboard is started."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import get_args

import pytest

from connectors.insights import Attribution, QueryTooLarge
from dashboards.__main__ import Address
from dashboards.data.periods import CUSTOM, PERIODS, Range, grains
from dashboards.data.view import ATTRIBUTIONS, View, from_query, to_query
from dashboards.ui.shell import invalid_text
from runtime.settings import InvalidSettings, load

ROOT = Path(__file__).resolve().parents[3]
STORES = ("alpha", "beta")


def test_the_usual_view_has_a_short_address() -> None:
    assert to_query(View("alpha")) == {"store": "alpha"}


def test_an_empty_address_is_the_usual_view_of_the_first_store() -> None:
    assert from_query({}, STORES) == (View("alpha"), [])


def test_a_view_is_read_from_its_address() -> None:
    query = {"store": "beta", "from": "2025-03-01", "to": "2025-03-09", "compare": "no", "page": "/a", "country": "NP"}
    days = Range(date(2025, 3, 1), date(2025, 3, 9))
    filters = (("country", "NP"), ("page", "/a"))
    assert from_query(query, STORES) == (View("beta", CUSTOM, days, compare=False, filters=filters), [])


def test_whom_visits_are_credited_to_is_in_the_address_and_stays_when_filters_change() -> None:
    query = {"store": "alpha", "attribution": "last_non_direct"}
    view, ignored = from_query(query, STORES)
    assert (view.attribution, ignored) == ("last_non_direct", [])
    assert to_query(view.toggled("channel", "Email")) == query | {"channel": "Email"}
    assert set(ATTRIBUTIONS) == set(get_args(Attribution))


def test_a_question_that_is_too_large_is_answered_by_what_would_make_it_smaller() -> None:
    error = QueryTooLarge("more than 10 of them: choose a shorter range or fewer filters")
    assert invalid_text(error, View("alpha")) == "More than 10 of them: choose a shorter range or fewer filters."
    credited = invalid_text(error, View("alpha", attribution="last_non_direct"))
    assert credited.endswith('fewer filters, or count visits as brought by "What brought the visit".')


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"store": "nobody"}, "store=nobody"),
        ({"period": "eternity"}, "period=eternity"),
        ({"period": "custom"}, "period=custom"),
        ({"bots": "none"}, "bots=none"),
        ({"attribution": "first"}, "attribution=first"),
        ({"metric": "money"}, "metric=money"),
        ({"grain": "week"}, "grain=week"),
        ({"compare": "maybe"}, "compare=maybe"),
        ({"from": "2025-13-01"}, "from=2025-13-01 to="),
        ({"from": "2025-03-09", "to": "2025-03-01"}, "from=2025-03-09 to=2025-03-01"),
        ({"from": "1999-12-31"}, "from=1999-12-31 to="),
        ({"from": "2001-01-01", "to": "2025-01-01"}, "from=2001-01-01 to=2025-01-01"),
        ({"to": ""}, "from= to="),
        ({"page": "x" * 501}, "page=… (too long)"),
    ],
)
def test_what_makes_no_sense_is_left_out_and_named(query: dict[str, str], named: str) -> None:
    assert from_query(query, STORES) == (View("alpha"), [named])


def test_one_end_alone_is_a_single_day() -> None:
    day = date(2025, 3, 1)
    assert from_query({"from": "2025-03-01"}, STORES)[0].custom == Range(day, day)
    assert from_query({"to": "2025-03-01"}, STORES)[0].custom == Range(day, day)


@pytest.mark.parametrize(
    ("period", "first", "last"),
    [
        ("today", "2025-03-31", "2025-03-31"),
        ("yesterday", "2025-03-30", "2025-03-30"),
        ("7d", "2025-03-25", "2025-03-31"),
        ("28d", "2025-03-04", "2025-03-31"),
        ("90d", "2025-01-01", "2025-03-31"),
        ("month", "2025-03-01", "2025-03-31"),
        ("last-month", "2025-02-01", "2025-02-28"),
        ("12mo", "2024-04-01", "2025-03-31"),
        ("all", "2024-12-25", "2025-03-31"),
    ],
)
def test_a_preset_means_these_days(period: str, first: str, last: str) -> None:
    days = View("alpha", period).range(date(2025, 3, 31), date(2024, 12, 25))
    assert days == Range(date.fromisoformat(first), date.fromisoformat(last))


def test_every_preset_is_tested() -> None:
    assert set(PERIODS) == {"today", "yesterday", "7d", "28d", "90d", "month", "last-month", "12mo", "all"}


@pytest.mark.parametrize(
    ("days", "offered"),
    [
        (1, ("hour", "day")),
        (2, ("hour", "day")),
        (3, ("day", "hour")),
        (14, ("day", "hour")),
        (15, ("day",)),
        (31, ("day",)),
        (32, ("day", "month")),
        (120, ("day", "month")),
        (121, ("month", "day")),
    ],
)
def test_a_range_is_drawn_in_the_grain_that_fits(days: int, offered: tuple[str, ...]) -> None:
    last = date(2025, 12, 31)
    assert grains(Range(date.fromordinal(last.toordinal() - days + 1), last)) == offered


@pytest.mark.parametrize("port", ["0", "65536", "-1", "eighty", "8501x", "²"])
def test_a_port_that_is_none_is_refused_with_the_name_of_the_setting(port: str) -> None:
    with pytest.raises(InvalidSettings, match=f"MARKETPLACE_DASHBOARD_PORT={port}: not a port"):
        load({"MARKETPLACE_DASHBOARD_PORT": port}, Address.read)


def test_an_empty_address_is_the_usual_one() -> None:
    empty = {f"MARKETPLACE_DASHBOARD_{name}": " " for name in ("HOST", "PORT", "NAMES", "API_URL")}
    usual = Address("127.0.0.1", 8501, (), "http://127.0.0.1:8000")
    assert load(empty, Address.read) == load({}, Address.read) == usual


def test_the_api_is_where_its_port_says_unless_a_url_is_given() -> None:
    port, url = {"MARKETPLACE_API_PORT": "8123"}, {"MARKETPLACE_DASHBOARD_API_URL": "https://api.example"}
    assert load(port, Address.read).api_url == "http://127.0.0.1:8123"
    assert load({**port, **url}, Address.read).api_url == "https://api.example"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "or set MARKETPLACE_KAFKA_URL"),
        (
            {
                **{f"MARKETPLACE_{part}_URL": "x" for part in ("KAFKA", "MONGO", "CLICKHOUSE", "REDIS")},
                "MARKETPLACE_DASHBOARD_PORT": "many",
            },
            "MARKETPLACE_DASHBOARD_PORT=many: not a port",
        ),
    ],
)
def test_settings_that_cannot_be_used_are_reported_in_one_line(changes: dict[str, str], said: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MARKETPLACE_")}
    done = subprocess.run(
        [sys.executable, "-m", "dashboards"],
        env={**clean, **changes, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert said in done.stderr
