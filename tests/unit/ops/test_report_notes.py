"""What a report says where it has no row, and where its range is rounded."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.insights import Conversion, Scope
from marketplace.rollups import QUARTER_MS
from ops.commands.report_goals import print_goals
from ops.commands.report_notes import nothing_of, rounded
from tests.kits.collector import SHOP

BERLIN = ZoneInfo("Europe/Berlin")
DAY = datetime.fromisoformat("2026-11-30")


def test_a_filter_that_meets_nothing_is_named_and_the_store_is_not_said_to_have_no_numbers() -> None:
    filters = (("campaign", "none"), ("country", "CH"))
    scope = Scope("my-shop", BERLIN, DAY, None, "include", filters)
    said = nothing_of(scope, "numbers")
    assert said.startswith("no numbers of my-shop with campaign:none and country:CH in that range; there may be some")
    empty = Scope("my-shop", BERLIN)
    assert nothing_of(empty, "numbers") == (
        "no numbers of my-shop yet; '--bots include' shows those of tools and crawlers too"
    )


def test_conversions_by_exit_page_are_not_said_to_lack_visitors(capsys: pytest.CaptureFixture[str]) -> None:
    none: dict[str, list[Conversion]] = {"Paid": []}
    print_goals(SHOP, Scope("shop", BERLIN), "exit_page", none, as_json=False)
    print_goals(SHOP, Scope("shop", BERLIN), "page", none, as_json=False)
    by_exit, by_page = capsys.readouterr().out.splitlines()
    assert by_exit.startswith("By exit_page there are no conversions")
    assert by_page.startswith("no visitors of shop yet")


def test_the_moments_that_a_range_is_rounded_to_are_said_in_the_stores_own_time() -> None:
    since, until = map(datetime.fromisoformat, ("2026-11-30T12:36", "2026-11-30T12:45"))
    scope = Scope("shop", BERLIN, since, until)
    assert rounded(scope) == (
        "Numbers are of whole quarters of an hour: --from 2026-11-30T12:36 means 2026-11-30T12:45."
    )


@given(st.datetimes(datetime.fromisoformat("2015-01-01"), datetime.fromisoformat("2030-01-01"), timezones=st.just(UTC)))
def test_something_is_said_exactly_where_a_moment_is_no_quarter_of_an_hour(moment: datetime) -> None:
    is_quarter = moment.timestamp() * 1_000 % QUARTER_MS == 0
    assert bool(rounded(Scope("shop", BERLIN, moment))) is not is_quarter
    assert rounded(Scope("shop", BERLIN, moment.replace(minute=45, second=0, microsecond=0))) == ""
