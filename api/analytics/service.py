"""A store's numbers: the query layer's, as bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from api.analytics.answers import AnswerCache, Encoded
from api.analytics.tables import as_csv
from connectors.clickhouse.client import ClickHouse
from connectors.insights import Conversion, Insights, Numbers, Scope
from connectors.insights.report import Analytics, LedgerRow, ReportRow
from marketplace.clicks.outcomes import OUTCOMES
from marketplace.goals import Goal

MAX_ROWS: Final = 20_000
"""Of one answer."""

LIVE_MINUTES: Final = 30
_LIVE_SECONDS: Final = 2


class AnalyticsService:
    """Answers questions about stores.

    Args:
        insights: The queries of numbers.
        analytics: The queries of reports and of the ledger.
        answers: Keeps answers.
        clock: The time.
    """

    def __init__(
        self,
        insights: Insights,
        analytics: Analytics,
        answers: AnswerCache,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._insights, self._analytics, self._answers, self._clock = insights, analytics, answers, clock

    @staticmethod
    def on_clickhouse(
        clickhouse: ClickHouse, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> AnalyticsService:
        """On the tables of a database; the caller closes the client and the service."""
        analytics = Analytics(clickhouse)
        return AnalyticsService(Insights(clickhouse), analytics, AnswerCache(analytics.revision), clock)

    def close(self) -> None:
        """Start no further query."""
        self._answers.close()

    def now(self) -> datetime:
        """The time."""
        return self._clock()

    async def totals(self, scope: Scope) -> Encoded:
        """Numbers of the whole range."""

        def query() -> bytes:
            return _json({**_head(scope), "numbers": _numbers(self._insights.totals(scope))})

        return await self._answers.answer(scope.store, ("totals", scope), query)

    async def trend(self, scope: Scope, grain: str, dimension: str, *, csv: bool) -> Encoded:
        """Numbers by bucket and value."""

        def query() -> bytes:
            rows = self._analytics.report_of(scope, grain, dimension, MAX_ROWS)
            if csv:
                return as_csv([field.name for field in fields(ReportRow)], map(astuple, rows))
            return _json({**_head(scope), "grain": grain, "rows": [asdict(row) for row in rows]})

        return await self._answers.answer(scope.store, ("trend", scope, grain, dimension, csv), query)

    async def breakdowns(self, scope: Scope, dimensions: Sequence[str], limit: int, order: str) -> Encoded:
        """The largest values of dimensions."""

        def query() -> bytes:
            found = self._insights.breakdowns(scope, dimensions, limit, order)
            listed = [
                {
                    "dimension": each.dimension,
                    "rows": [{"value": row.value, **_numbers(row.numbers)} for row in each.rows],
                    "more": each.more,
                }
                for each in (found[name] for name in dimensions)
            ]
            return _json({**_head(scope), "order": order, "breakdowns": listed})

        return await self._answers.answer(scope.store, ("breakdowns", scope, tuple(dimensions), limit, order), query)

    async def goals(self, scope: Scope, goals: Sequence[Goal], dimension: str, limit: int) -> Encoded:
        """How often goals were reached, by the values of a dimension."""

        def query() -> bytes:
            found = self._insights.conversions(scope, goals, dimension, limit + 1)
            listed = [
                {"goal": name, "rows": [_conversion(row) for row in rows[:limit]]} for name, rows in found.items()
            ]
            more = any(len(rows) > limit for rows in found.values())
            return _json({**_head(scope), "dimension": dimension, "goals": listed, "more": more})

        return await self._answers.answer(scope.store, ("goals", scope, tuple(goals), dimension, limit), query)

    async def live(self, scope: Scope) -> Encoded:
        """The last half hour by minute, and the newest events."""
        # Time passes without events, too.
        tick = int(self._clock().timestamp()) // _LIVE_SECONDS
        now = datetime.fromtimestamp(tick * _LIVE_SECONDS, UTC) + timedelta(seconds=_LIVE_SECONDS)

        def query() -> bytes:
            minutes = self._insights.live_minutes(scope, now, LIVE_MINUTES)
            latest = self._insights.latest(scope, now, minutes=LIVE_MINUTES)
            return _json(
                {
                    "store": scope.store,
                    "minutes": [{**asdict(each), "minute": _utc(each.minute)} for each in minutes],
                    "latest": [{**asdict(each), "at": _utc(each.at)} for each in latest],
                }
            )

        return await self._answers.answer(scope.store, ("live", scope, tick), query)

    async def ledger(self, scope: Scope, *, csv: bool) -> Encoded:
        """What became of every event, by hour of receipt."""

        def query() -> bytes:
            rows = self._analytics.ledger(scope.store, scope.since, scope.until)
            if csv:
                names = [outcome.name for outcome in OUTCOMES]
                counts = [[_utc(row.hour), row.received, *map(row.outcomes.get, names), row.difference] for row in rows]
                return as_csv(["hour", "received", *names, "difference"], [[n or 0 for n in row] for row in counts])
            return _json({**_head(scope), "rows": [_ledger_row(row) for row in rows]})

        return await self._answers.answer(scope.store, ("ledger", scope, csv), query)


def _head(scope: Scope) -> dict[str, Any]:
    return {
        "store": scope.store,
        "timezone": scope.zone.key,
        "from": scope.since.isoformat() if scope.since else None,
        "to": scope.until.isoformat() if scope.until else None,
        "bots": scope.bots,
        "filters": [f"{name}:{value}" for name, value in scope.filters],
        "attribution": scope.attribution,
    }


def _numbers(numbers: Numbers) -> dict[str, Any]:
    return {**asdict(numbers), "visitors_error": numbers.visitors_error}


def _conversion(row: Conversion) -> dict[str, Any]:
    return {
        "value": row.value,
        "conversions": row.conversions,
        "converted": row.converted,
        "visitors": row.visitors,
        "rate": row.rate,
        "estimated": row.is_estimate,
    }


def _ledger_row(row: LedgerRow) -> dict[str, Any]:
    return {
        "hour": _utc(row.hour),
        "received": row.received,
        "outcomes": row.outcomes,
        "notes": row.notes,
        "difference": row.difference,
    }


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(document: dict[str, Any]) -> bytes:
    return msgspec.json.encode(document)
