"""Tables and their CSV: each dimension has the numbers that mean something for it."""

from __future__ import annotations

import csv
import io

import pytest

from connectors.insights import Breakdown, Conversion, Numbers, Row
from dashboards.ui.columns import column_config, drawn, order_of
from dashboards.ui.table_csv import BOM, goals_to_csv, to_csv

TEA = Row(None, "/tea", Numbers(views=40, actions=3, visitors=20, sessions=10, bounces=4, duration_ms=5_000))


def lines_of(text: str) -> list[dict[str, str]]:
    assert text.startswith(BOM)
    return list(csv.DictReader(io.StringIO(text.removeprefix(BOM), newline="")))


@pytest.mark.parametrize(
    ("dimension", "shown"),
    [
        ("page", ["page", "visitors", "share", "sessions", "views", "actions", "bounced", "length"]),
        ("exit_page", ["exit_page", "sessions", "share", "exit_rate", "bounced", "length"]),
        ("target", ["target", "actions", "share", "visitors"]),
        ("event", ["event", "actions", "share", "visitors"]),
    ],
)
def test_a_table_has_no_column_that_would_be_empty_by_nature(dimension: str, shown: list[str]) -> None:
    assert drawn(dimension, [TEA], order_of(dimension, "visitors")).column_names == shown


def test_the_exit_rate_is_exits_of_the_views_of_the_page_and_empty_where_these_are_not_known() -> None:
    other = Row(None, "/pots", Numbers(sessions=1))
    table = drawn("exit_page", [TEA, other], "sessions", views={"/tea": 40})
    assert table["exit_rate"].to_pylist() == [25.0, None]
    first, second = lines_of(to_csv(Breakdown("exit_page", (TEA, other), more=False), views={"/tea": 40}))
    assert (first["sessions"], first["exit_rate"], second["exit_rate"]) == ("10", "0.25", "")
    assert "views" not in first


def test_a_row_is_compared_with_the_same_value_of_the_period_before() -> None:
    fresh = Row(None, "/new", Numbers(visitors=5))
    table = drawn("page", [TEA, fresh], "visitors", before={"/tea": Numbers(visitors=16), "/gone": Numbers(visitors=9)})
    assert table["change"].to_pylist() == [25.0, None]
    assert "change" not in drawn("page", [TEA], "visitors").column_names


@pytest.mark.parametrize(("more", "missing"), [(False, "0"), (True, "")])
def test_a_csv_has_the_numbers_of_the_period_before_and_none_where_they_are_not_known(more: bool, missing: str) -> None:
    fresh = Row(None, "/new", Numbers(visitors=5))
    before = Breakdown("page", (Row(None, "/tea", Numbers(visitors=16, sessions=4, bounces=1)),), more=more)
    first, second = lines_of(to_csv(Breakdown("page", (TEA, fresh), more=False), before=before))
    assert (first["visitors"], first["visitors_before"], first["bounce_rate_before"]) == ("20", "16", "0.25")
    assert (second["visitors"], second["visitors_before"], second["bounce_rate_before"]) == ("5", missing, "")
    exits = to_csv(Breakdown("exit_page", (TEA,), more=False), before=before)
    assert [name for name in lines_of(exits)[0] if name.endswith("_before")] == [
        "sessions_before", "bounces_before", "bounce_rate_before", "duration_ms_before",
    ]  # fmt: skip


@pytest.mark.parametrize(("dimension", "title"), [("page", "Entries"), ("exit_page", "Exits"), ("country", "Visits")])
def test_sessions_that_began_or_ended_there_say_so(dimension: str, title: str) -> None:
    assert column_config(dimension)["sessions"]["label"] == title


def test_a_csv_has_the_names_of_countries_beside_their_codes_and_rates() -> None:
    swiss = Row(None, "CH", Numbers(views=4, visitors=3, sessions=3, bounces=1))
    unknown = Row(None, "", Numbers(views=1, visitors=1))
    first, second = lines_of(to_csv(Breakdown("country", (swiss, unknown), more=False)))
    assert (first["country"], first["name"], first["bounce_rate"]) == ("CH", "Switzerland", "0.333333")
    assert (second["country"], second["name"], second["bounce_rate"]) == ("", "Unknown", "")


def test_the_csv_of_goals_has_each_goal_with_its_value_its_rate_and_the_period_before() -> None:
    rows = [Conversion("=Paid", "CH", 5, 3, 9), Conversion("=Paid", "", 0, 0, 0)]
    first, second = lines_of(
        goals_to_csv(rows, "country", before={("=Paid", "CH"): Conversion("=Paid", "CH", 2, 2, 8)})
    )
    assert (first["goal"], first["country"], first["name"]) == ("'=Paid", "CH", "Switzerland")
    assert (first["conversions"], first["converted"], first["visitors"], first["rate"]) == ("5", "3", "9", "0.333333")
    assert (first["conversions_before"], first["rate_before"]) == ("2", "0.25")
    assert (second["name"], second["rate"], second["visitors_before"]) == ("Unknown", "", "0")
    assert list(lines_of(goals_to_csv(rows))[0]) == [
        "goal",
        "conversions",
        "converted",
        "visitors",
        "visitors_error",
        "rate",
    ]
