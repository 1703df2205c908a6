"""A store's report as the terminal prints it, and the ledger; the numbers are those of ``connectors.insights``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from connectors.clickhouse.client import ClickHouse
from connectors.insights import Bots, Insights, InvalidQuery, Row, Scope
from connectors.insights.keys import time_range
from connectors.insights.numbers import SessionRates
from marketplace.flows import EXPIRED
from marketplace.stores import SLUG
from marketplace.tables import LEDGER, ROLLUPS

__all__ = ["Analytics", "Bots", "InvalidQuery", "LedgerRow", "LedgerTotals", "ReportRow"]


@dataclass(frozen=True)
class ReportRow(SessionRates):
    """Numbers of one bucket and value.

    Attributes:
        bucket: ``2015-05-17T10:00:00+05:45`` for hours, ``2015-05-17`` for days, ``2015-05`` for months, in the
            store's own time.
        dimension, value: What was split by, and its value; empty for ``all``.
        views: Page views.
        actions: Clicks and named events.
        refires: The same visitor and target again within two seconds; neither views nor actions.
        visitors: Distinct visitors of the whole bucket, never a sum of smaller ones.
        visitors_error: 0 where ``visitors`` is exact, else one standard error of the estimate, in visitors.
        sessions: Sessions that began in the bucket.
        bounces: Sessions in which one page was seen and nothing done.
        duration_ms: The sum of the sessions' lengths.
    """

    bucket: str
    dimension: str
    value: str
    views: int
    actions: int
    refires: int
    visitors: int
    visitors_error: float
    sessions: int
    bounces: int
    duration_ms: int


@dataclass(frozen=True)
class LedgerRow:
    """Events of a store received in one hour, and their outcomes."""

    store: str
    hour: datetime
    received: int
    outcomes: dict[str, int]
    notes: dict[str, int]

    @property
    def difference(self) -> int:
        """Received less all outcomes; anything but zero is a bug."""
        return self.received - sum(self.outcomes.values())


@dataclass(frozen=True)
class LedgerTotals:
    """Sums over the whole ledger.

    Attributes:
        outcomes: Events by outcome.
        notes: Events by note, ``expired`` among them.
        applied: See :meth:`Analytics.applied`.
    """

    outcomes: dict[str, int]
    notes: dict[str, int]
    applied: dict[int, tuple[int, int]]


class Analytics:
    """Queries of reports and of the ledger.

    Args:
        clickhouse: Where the tables are.
    """

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse, self._insights = clickhouse, Insights(clickhouse)
        self._rollups = f"{clickhouse.database}.{ROLLUPS.name}"
        self._ledger = f"{clickhouse.database}.{LEDGER.name}"

    def report(
        self,
        store: str,
        zone: ZoneInfo,
        *,
        grain: str = "day",
        split: str = "all",
        since: datetime | None = None,
        until: datetime | None = None,
        bots: str = "exclude",
    ) -> list[ReportRow]:
        """Numbers by bucket and value, oldest bucket first and largest value first in it.

        Args:
            store: The slug.
            zone: The store's time zone; naive times are read in it.
            grain: ``hour``, ``day`` or ``month``.
            split: A registered dimension.
            since: The first moment (or day) that counts; a quarter of an hour that began before it does not.
            until: The first moment (or day) after the range.
            bots: ``exclude``, ``include`` or ``only``.

        Raises:
            InvalidQuery: No such store name, grain, dimension or choice.
            Unavailable: ClickHouse is unavailable.
        """
        return self.report_of(Scope(store, zone, since, until, bots), grain, split)

    def reports_of(self, scope: Scope, grain: str, splits: Sequence[str]) -> dict[str, list[ReportRow]]:
        """Reports of several dimensions; see :meth:`Insights.reports`."""
        found = self._insights.reports(scope, grain, splits)
        return {split: [_row(row, grain, split, scope.zone) for row in rows] for split, rows in found.items()}

    def report_of(self, scope: Scope, grain: str, split: str, limit: int | None = None) -> list[ReportRow]:
        """Numbers by bucket and value of a scope, filters included; see :meth:`Insights.report`."""
        rows = self._insights.report(scope, grain, split, limit)
        return [_row(row, grain, split, scope.zone) for row in rows]

    def ledger(
        self, store: str | None = None, since: datetime | None = None, until: datetime | None = None
    ) -> list[LedgerRow]:
        """The ledger by store and hour of receipt.

        Args:
            store: The slug; None for all.
            since: With a zone; hours that ended before it are left out.
            until: With a zone; hours that begin at it or later are left out.

        Raises:
            InvalidQuery: No such store name.
            Unavailable: ClickHouse is unavailable.
        """
        if store is not None and not SLUG.fullmatch(store):
            raise InvalidQuery(f"no store can be called {store!r}")
        whole_hour = since and since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        bounds = time_range("hour", whole_hour, until and until.astimezone(UTC))
        only = f"WHERE {'1' if store is None else 'store = {store:String}'}{bounds} "
        rows = self._clickhouse.rows(
            f"SELECT store, hour, kind, name, sum(events) FROM {self._ledger} {only}GROUP BY store, hour, kind, name "
            "ORDER BY store, hour",
            {"store": store or ""},
        )
        found: dict[tuple[str, datetime], LedgerRow] = {}
        for slug, hour, kind, name, events in rows:
            moment = hour.replace(tzinfo=UTC)
            row = found.setdefault((slug, moment), LedgerRow(slug, moment, 0, {}, {}))
            if kind == "received":
                found[slug, moment] = LedgerRow(slug, moment, int(events), row.outcomes, row.notes)
            else:
                (row.outcomes if kind == "outcome" else row.notes)[name] = int(events)
        return list(found.values())

    def applied(self) -> dict[int, tuple[int, int]]:
        """For each partition: the highest offset that is in all tables, and how many records were accounted for.

        Accounted for are events that were received and those that had expired before: together one for each offset.

        Raises:
            Unavailable: ClickHouse is unavailable.
        """
        return self.ledger_totals().applied

    def ledger_totals(self) -> LedgerTotals:
        """Sums over the whole ledger, by one query with a small result.

        Raises:
            Unavailable: ClickHouse is unavailable.
        """
        rows = self._clickhouse.rows(
            f"SELECT source_partition, toString(kind), name, sum(events), max(source_offset) FROM {self._ledger} "
            "GROUP BY source_partition, kind, name"
        )
        totals = LedgerTotals({}, {}, {})
        for partition, kind, name, events, offset in rows:
            if kind != "received":
                sums = totals.outcomes if kind == "outcome" else totals.notes
                sums[name] = sums.get(name, 0) + int(events)
            newest, accounted = totals.applied.get(int(partition), (-1, 0))
            counts = kind == "received" or name == EXPIRED
            totals.applied[int(partition)] = (max(newest, int(offset)), accounted + (int(events) if counts else 0))
        return totals

    def revision(self, store: str) -> str:
        """Names all events of a store that are counted, also those that were not accepted: equal where none is new.

        Raises:
            Unavailable: ClickHouse is unavailable.
        """
        rows = self._clickhouse.rows(
            f"SELECT source_partition, max(source_offset), sum(events) FROM {self._ledger} "
            "WHERE store = {store:String} GROUP BY source_partition ORDER BY source_partition",
            {"store": store},
        )
        return " ".join(f"{int(partition)}:{int(offset)}:{int(events)}" for partition, offset, events in rows)

    def stores(self) -> list[str]:
        """Slugs of the stores that have numbers.

        Raises:
            Unavailable: ClickHouse is unavailable.
        """
        query = f"SELECT DISTINCT store FROM {self._rollups} WHERE grain = 'day' AND dimension = 'all' ORDER BY store"
        return [str(row[0]) for row in self._clickhouse.rows(query)]


def _label(bucket: Any, grain: str, zone: ZoneInfo) -> str:
    if grain == "hour":
        return str(bucket.astimezone(zone).isoformat())
    day: date = bucket
    return f"{day:%Y-%m-%d}" if grain == "day" else f"{day:%Y-%m}"


def _row(row: Row, grain: str, split: str, zone: ZoneInfo) -> ReportRow:
    numbers = row.numbers
    return ReportRow(
        bucket=_label(row.bucket, grain, zone),
        dimension=split,
        value=row.value,
        views=numbers.views,
        actions=numbers.actions,
        refires=numbers.refires,
        visitors=numbers.visitors,
        visitors_error=numbers.visitors_error,
        sessions=numbers.sessions,
        bounces=numbers.bounces,
        duration_ms=numbers.duration_ms,
    )
