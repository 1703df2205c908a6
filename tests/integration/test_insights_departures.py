"""Many visitors who left a stored set, beyond what a set holds exactly, and within bounds on what is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connectors.clickhouse.client import ClickHouse
from connectors.insights import Insights, QueryTooLarge, Scope
from marketplace.tables import VISITORS_RELATIVE_ERROR
from ops.stack import Stack
from tests.kits.insights import empty_tables, scope_of

DAY = datetime(2025, 3, 11, tzinfo=UTC)
NOON = f"toDateTime64({int(DAY.timestamp()) + 43_200}, 3, 'UTC')"
STAYED, LEFT = 300, 6_000


@pytest.fixture(scope="module")
def clickhouse(stack: Stack) -> Iterator[ClickHouse]:
    """A day on which nearly all visitors of a campaign turned out to have come by another one."""
    with empty_tables(stack.urls.clickhouse) as tables:
        everybody = f"range(1, {STAYED + LEFT + 1})"
        for grain, bucket in (("quarter", DAY + timedelta(hours=12)), ("day", DAY)):
            tables.command(
                f"INSERT INTO {tables.database}.rollups (store, grain, dimension, bucket, value, is_bot, views, "
                "visitor_ids, moved, source_partition, source_offset) "
                f"SELECT 'gamma', '{grain}', 'campaign', toDateTime({int(bucket.timestamp())}, 'UTC'), 'spring', 0, "
                f"{STAYED}, {everybody}, range({STAYED + 1}, {STAYED + LEFT + 1}), 0, 1"
            )
        tables.command(
            f"INSERT INTO {tables.database}.sessions (store, visitor, is_bot, started_at, ended_at, views, campaign, "
            f"sign, source_partition, source_offset) SELECT 'gamma', number + 1, 0, {NOON}, {NOON}, 1, "
            f"if(number < {STAYED}, 'spring', 'autumn'), 1, 0, 1 FROM numbers({STAYED + LEFT})"
        )
        yield tables


def question(**more: object) -> Scope:
    return replace(scope_of("gamma"), since=DAY - timedelta(days=1), until=DAY + timedelta(days=2), **more)  # type: ignore[arg-type]  # as given


def test_an_estimate_less_those_who_left_is_as_far_off_as_the_estimate_and_says_so(clickhouse: ClickHouse) -> None:
    insights = Insights(clickhouse)
    shown = [
        insights.breakdowns(question(), ["campaign"], order="visitors")["campaign"].rows[0].numbers,
        insights.numbers_of(question(), {"campaign": ["spring", "none"]})["campaign"]["spring"],
        insights.totals(question(filters=(("campaign", "spring"),))),
        insights.report(question(), "day", "campaign")[0].numbers,
    ]
    error = VISITORS_RELATIVE_ERROR * (STAYED + LEFT)
    for numbers in shown:
        assert numbers.visitors >= 0
        assert abs(numbers.visitors - STAYED) < 5 * error
        assert numbers.visitors_error == pytest.approx(error, rel=0.05)


def test_who_left_is_found_within_the_bound_where_single_events_have_to_be_read(clickhouse: ClickHouse) -> None:
    careful = Insights(clickhouse, max_rows=10)
    assert careful.totals(question(filters=(("campaign", "spring"),))).visitors_error > 0
    partly = replace(question(), since=DAY + timedelta(hours=11, minutes=15))
    clickhouse.command(
        f"INSERT INTO {clickhouse.database}.clicks (store, visitor, type, outcome, occurred_at, received_at) "
        f"SELECT 'gamma', number + 1, 'view', 'counted', {NOON}, {NOON} FROM numbers({STAYED + LEFT})"
    )
    for ask in (
        lambda: careful.breakdowns(partly, ["campaign"], order="visitors"),
        lambda: careful.report(partly, "day", "campaign"),
    ):
        with pytest.raises(QueryTooLarge):
            ask()
