"""Sums of the tables and the read models, for the summary."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from zoneinfo import ZoneInfo

from connectors.insights.report import Analytics, LedgerRow
from marketplace.clicks.outcomes import OUTCOMES
from ops.demo.report.models import ReadModels
from ops.demo.report.summary import StoreNumbers, Summary
from ops.demo.traffic.shops import DemoStore


def since(rows: Iterable[LedgerRow], before: Iterable[LedgerRow], stores: set[str]) -> list[LedgerRow]:
    """The ledger's growth for some stores, and for records of no store.

    Args:
        rows: The ledger now.
        before: The ledger as it was.
        stores: Their slugs.
    """
    earlier = {(row.store, row.hour): row for row in before}
    return [less(row, earlier.get((row.store, row.hour))) for row in rows if row.store in stores or row.store == ""]


def less(row: LedgerRow, earlier: LedgerRow | None) -> LedgerRow:
    """An hour's row minus an earlier state of it."""
    if earlier is None:
        return row
    return LedgerRow(
        row.store,
        row.hour,
        row.received - earlier.received,
        {name: count - earlier.outcomes.get(name, 0) for name, count in row.outcomes.items()},
        {name: count - earlier.notes.get(name, 0) for name, count in row.notes.items()},
    )


def add_ledger(summary: Summary, rows: Iterable[LedgerRow]) -> None:
    """Fill in events received, and their outcomes and notes."""
    summary.outcomes = {outcome.name: 0 for outcome in OUTCOMES}
    for row in rows:
        summary.received += row.received
        for name, count in row.outcomes.items():
            summary.outcomes[name] = summary.outcomes.get(name, 0) + count
        for name, count in row.notes.items():
            summary.notes[name] = summary.notes.get(name, 0) + count
    summary.ledger_difference = summary.received - sum(summary.outcomes.values())


def store_numbers(analytics: Analytics, models: ReadModels, opened: DemoStore) -> StoreNumbers:
    """A store's numbers: from the monthly reports, without and with only bots, and from Mongo and Redis.

    A run may span two months; visitors of several months cannot be added up, so those of the newest one are shown.
    """
    store, zone = opened.store, ZoneInfo(opened.store.timezone)
    months = analytics.report(store.slug, zone, grain="month")
    numbers = StoreNumbers(store.slug, store.title, store.timezone)
    for row in months:
        numbers.views += row.views
        numbers.actions += row.actions
        numbers.refires += row.refires
        numbers.sessions += row.sessions
        numbers.bounces += row.bounces
        numbers.visitors, numbers.visitors_error = row.visitors, row.visitors_error
    bots = analytics.report(store.slug, zone, grain="month", bots="only")
    numbers.bot_events = sum(row.views + row.actions for row in bots)
    numbers.mongo = _mongo(models.days(store.slug))
    numbers.redis = models.tile(store.slug)
    return numbers


def _mongo(days: list[dict[str, Any]]) -> dict[str, Any]:
    names = ("views", "actions", "refires", "sessions", "bounces", "bot_events")
    sums: dict[str, Any] = {name: sum(int(day[name]) for day in days) for name in names}
    return {"days": len(days), **sums, "newest_day": days[0]["day"] if days else ""}
