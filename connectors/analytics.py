"""The one query layer: dashboard, terminal report and REST API read the same numbers here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from connectors.clickhouse import ClickHouse
from marketplace.rollups import GRAINS, dimension
from marketplace.stores import SLUG
from marketplace.tables import (
    LEDGER,
    ROLLUPS,
    VISITOR_STATE,
    VISITORS_EXACT_UP_TO,
    VISITORS_RELATIVE_ERROR,
)

Bots = Literal["exclude", "include", "only"]
_BOTS: Final[dict[str, str]] = {"exclude": "is_bot = 0", "include": "1", "only": "is_bot = 1"}
_VISITORS: Final = f"{VISITOR_STATE.replace('(', 'Merge(')}(visitors)"
_SUMS: Final = "sum(clicks), sum(refires), sum(sessions), sum(bounces), sum(duration_ms)"


class BadQuestion(ValueError):
    """A report was asked for that there is none of; the message says what there is."""


@dataclass(frozen=True)
class ReportRow:
    """Numbers of one bucket and value.

    Attributes:
        bucket: ``2015-05-17T10:00:00+05:45`` for hours, ``2015-05-17`` for days, ``2015-05`` for months, in the
            store's own time.
        dimension, value: What was split by, and its value; empty for ``all``.
        clicks: Events but re-fires.
        refires: The same visitor and target again within two seconds.
        visitors: Distinct visitors of the whole bucket, never a sum of smaller ones.
        visitors_error: 0 where ``visitors`` is exact, else one standard error of the estimate, in visitors.
        sessions: Visits that began in the bucket.
        bounces: Those with a single click.
        duration_ms: Their lengths, added up.
    """

    bucket: str
    dimension: str
    value: str
    clicks: int
    refires: int
    visitors: int
    visitors_error: float
    sessions: int
    bounces: int
    duration_ms: int


@dataclass(frozen=True)
class LedgerRow:
    """What was received in an hour and what became of it."""

    store: str
    hour: datetime
    received: int
    outcomes: dict[str, int]
    notes: dict[str, int]

    @property
    def difference(self) -> int:
        """Received less all outcomes; anything but zero is an error of ours."""
        return self.received - sum(self.outcomes.values())


class Analytics:
    """Answers questions about stores.

    Args:
        clickhouse: Where the rollups are.
    """

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse
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
            since: The first moment (or day) that counts.
            until: The first that does not count any more.
            bots: Whether flagged events are left out, taken in, or the only ones.

        Raises:
            BadQuestion: No such store name, grain, dimension or choice.
            Unavailable: ClickHouse is away.
        """
        _check(store, grain, split, bots)
        bucket, stored, wall = _bucket_of(grain, zone)
        bounds = "".join(
            f" AND bucket {sign} toDateTime({int(_bound(moment, zone, wall).timestamp())}, 'UTC')"
            for sign, moment in ((">=", since), ("<", until))
            if moment is not None
        )
        rows = self._clickhouse.rows(
            f"SELECT {bucket} AS label, value, {_SUMS}, {_VISITORS} FROM {self._rollups} "
            "WHERE store = {store:String} AND grain = {stored:String} AND dimension = {split:String} "
            f"AND {_BOTS[bots]}{bounds} GROUP BY label, value "
            "HAVING sum(clicks) != 0 OR sum(refires) != 0 OR sum(sessions) != 0 "
            "ORDER BY label, sum(clicks) DESC, value",
            {"store": store, "stored": stored, "split": split},
        )
        return [_row(row, grain, split, zone) for row in rows]

    def ledger(self, store: str | None = None) -> list[LedgerRow]:
        """The ledger by store and hour of receipt.

        Raises:
            BadQuestion: No such store name.
            Unavailable: ClickHouse is away.
        """
        if store is not None and not SLUG.fullmatch(store):
            raise BadQuestion(f"no store can be called {store!r}")
        only = "" if store is None else "WHERE store = {store:String} "
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
        """For each partition: the highest offset that all tables hold, and how many records were accounted for.

        Raises:
            Unavailable: ClickHouse is away.
        """
        rows = self._clickhouse.rows(
            f"SELECT source_partition, max(source_offset), sumIf(events, kind = 'received') FROM {self._ledger} "
            "GROUP BY source_partition"
        )
        return {int(partition): (int(offset), int(events)) for partition, offset, events in rows}

    def stores(self) -> list[str]:
        """Stores that have numbers.

        Raises:
            Unavailable: ClickHouse is away.
        """
        query = f"SELECT DISTINCT store FROM {self._rollups} WHERE grain = 'day' AND dimension = 'all' ORDER BY store"
        return [str(row[0]) for row in self._clickhouse.rows(query)]


def _check(store: str, grain: str, split: str, bots: str) -> None:
    if not SLUG.fullmatch(store):
        raise BadQuestion(f"no store can be called {store!r}")
    if grain not in GRAINS:
        raise BadQuestion(f"no grain {grain!r}; there are {', '.join(GRAINS)}")
    if bots not in _BOTS:
        raise BadQuestion(f"no choice {bots!r} for bots; there are {', '.join(_BOTS)}")
    try:
        dimension(split)
    except KeyError as error:
        raise BadQuestion(str(error.args[0])) from error


def _bucket_of(grain: str, zone: ZoneInfo) -> tuple[str, str, bool]:
    """The bucket's expression, the stored grain it merges, and whether that is labelled by wall-clock date."""
    if grain == "hour":
        # Whole hours of the store's wall clock: what its offset has beyond whole hours shifts the cut.
        beyond = f"timezoneOffset(toTimeZone(bucket, '{zone.key}'))"
        return f"bucket - modulo(toUnixTimestamp(bucket) + {beyond}, 3600)", "quarter", False
    return ("bucket", "day", True) if grain == "day" else ("toStartOfMonth(bucket)", "day", True)


def _bound(moment: datetime, zone: ZoneInfo, wall: bool) -> datetime:
    local = moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)
    if not wall:
        return local.astimezone(UTC)
    return datetime(local.year, local.month, local.day, tzinfo=UTC)


def _label(bucket: Any, grain: str, zone: ZoneInfo) -> str:
    if grain == "hour":
        return str(bucket.replace(tzinfo=UTC).astimezone(zone).isoformat())
    return f"{bucket:%Y-%m-%d}" if grain == "day" else f"{bucket:%Y-%m}"


def _row(row: Sequence[Any], grain: str, split: str, zone: ZoneInfo) -> ReportRow:
    bucket, value, clicks, refires, sessions, bounces, duration_ms, visitors = row
    count = int(visitors)
    return ReportRow(
        bucket=_label(bucket, grain, zone),
        dimension=split,
        value=str(value),
        clicks=int(clicks),
        refires=int(refires),
        visitors=count,
        visitors_error=0.0 if count <= VISITORS_EXACT_UP_TO else round(count * VISITORS_RELATIVE_ERROR, 1),
        sessions=int(sessions),
        bounces=int(bounces),
        duration_ms=int(duration_ms),
    )
