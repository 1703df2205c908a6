"""Refreshes the read models of the store days that a batch touched, from the tables themselves."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from connectors.clickhouse import ClickHouse
from connectors.errors import Unavailable
from connectors.live_tile import LiveTile
from connectors.store_stats import DayStats, StoreStats
from flows.clicks.page_store import Fences
from flows.clicks.rows import BatchResult
from marketplace.tables import ROLLUPS, VISITOR_STATE

log = logging.getLogger(__name__)

StoreDay = tuple[str, int]
"""A slug and days since 1970 by the store's own date."""

_DAYS_AT_ONCE: Final = 500


class Projector:
    """Reads absolute numbers and writes them under deterministic ids with a revision: safe to repeat.

    Args:
        clickhouse: Where the rollups are.
        stats: The read model in Mongo.
        tile: The live tile in Redis.
        now: The clock.
    """

    def __init__(self, clickhouse: ClickHouse, stats: StoreStats, tile: LiveTile, now: Callable[[], datetime]) -> None:
        self._clickhouse, self._stats, self._tile, self._now = clickhouse, stats, tile, now

    def refresh(self, results: Sequence[BatchResult]) -> None:
        """Bring the touched days up to date.

        Raises:
            Unavailable: ClickHouse or Mongo is away. Redis being away only delays the tile.
        """
        touched = sorted({day for result in results for day in result.store_days})
        live: dict[str, dict[int, int]] = {}
        for result in results:
            for store, seen in result.live.items():
                mine = live.setdefault(store, {})
                for visitor, when in seen.items():
                    mine[visitor] = max(when, mine.get(visitor, 0))
        days = self.read(touched)
        self._stats.save(days)
        try:
            self._tile.save(days, live, int(self._now().timestamp() * 1000))
        except Unavailable as error:
            log.warning("the live tile is behind: %s", error)

    def catch_up(self, fences: Fences, window: int) -> None:
        """Refresh the days that the newest ``window`` records of each partition touched.

        A process that died between writing the tables and refreshing the read models left at most that much behind.

        Raises:
            Unavailable: ClickHouse or Mongo is away.
        """
        newest = [
            f"(source_partition = {partition} AND source_offset + {window} > {max(tables.values())})"
            for partition, tables in fences.items()
        ]
        if newest:
            rows = self._clickhouse.rows(
                f"SELECT DISTINCT store, toUInt32(bucket) FROM {self._clickhouse.database}.{ROLLUPS.name} "
                f"WHERE grain = 'day' AND dimension = 'all' AND ({' OR '.join(newest)})"
            )
            touched = sorted((str(store), int(seconds) // 86_400) for store, seconds in rows)
            self._stats.save(self.read(touched))

    def read(self, touched: Sequence[StoreDay]) -> list[DayStats]:
        """The days as the rollups have them.

        Raises:
            Unavailable: ClickHouse is away.
        """
        days: list[DayStats] = []
        # The days stand in the query's text, which has a largest size.
        for first in range(0, len(touched), _DAYS_AT_ONCE):
            days += self._read(touched[first : first + _DAYS_AT_ONCE])
        return days

    def _read(self, touched: Sequence[StoreDay]) -> list[DayStats]:
        wanted = ", ".join(f"('{store}', toDateTime({day * 86_400}, 'UTC'))" for store, day in touched)
        rows = self._clickhouse.rows(
            "SELECT store, bucket, sumIf(clicks, is_bot = 0), sumIf(refires, is_bot = 0), sumIf(sessions, is_bot = 0), "
            "sumIf(bounces, is_bot = 0), sumIf(clicks, is_bot = 1), sum(clicks) + sum(refires), "
            f"{VISITOR_STATE.replace('(', 'MergeIf(')}(visitors, is_bot = 0) "
            f"FROM {self._clickhouse.database}.{ROLLUPS.name} "
            f"WHERE grain = 'day' AND dimension = 'all' AND (store, bucket) IN ({wanted}) GROUP BY store, bucket"
        )
        return [self._day(row) for row in rows]

    def _day(self, row: tuple[Any, ...]) -> DayStats:
        store, bucket, clicks, refires, sessions, bounces, bot_clicks, revision, visitors = row
        return DayStats(
            store=store,
            day=f"{bucket:%Y-%m-%d}",
            revision=int(revision),
            clicks=int(clicks),
            refires=int(refires),
            visitors=int(visitors),
            sessions=int(sessions),
            bounces=int(bounces),
            bot_clicks=int(bot_clicks),
            processed_at=self._now(),
        )
