"""Refreshes the read models of the store days that a batch changed, from the tables themselves.

The flow marks days dirty; a separate thread (``ReadModels``) reads and saves them and shows who is there, so that no
click waits for a busy day's visitors to be merged, or for a Redis that hangs.

While Mongo is unavailable the flow goes on counting, and the days that it changes are remembered. A process that dies
then has lost that memory: the next one begins by refreshing the days of the newest ``CATCH_UP_RECORDS`` records of
each partition, so no more than that may be counted ahead of Mongo. Beyond it the flow waits.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from connectors.clickhouse.client import ClickHouse
from connectors.errors import Refused, Unavailable
from connectors.mongo.store_stats import DayStats, StoreStats
from connectors.redis.live_tile import LiveTile
from flows.clicks.processed_batch import ProcessedBatch
from flows.clicks.read_models.dirty_days import Chunk, DirtyDays, StoreDay
from flows.delivery.fencing import Fences
from marketplace.tables import ROLLUPS, VISITOR_STATE
from runtime.breaker import CircuitBreaker

log = logging.getLogger(__name__)

CATCH_UP_RECORDS: Final = 2_000_000
"""How many of the newest records of each partition a start looks at."""

MAX_RECORDS_AHEAD: Final = CATCH_UP_RECORDS // 2
"""How many records of a partition may be counted while Mongo is unavailable; what is in flight comes on top."""

MAX_DAYS_BEHIND: Final = 100_000
"""How many store days may be remembered meanwhile, some ten megabytes."""

_DAYS_AT_ONCE: Final = 500
_REST_RATIO: Final = 4
LONGEST_REST_SECONDS: Final = 60.0
"""Between two times; so late a read model may be where merging a day takes long, or the machine is busy."""
_REST_AFTER_ERROR_SECONDS: Final = 0.5
_LEAVE_SECONDS: Final = 5.0
"""Less than the supervisor waits for a process to end."""
_CROWDED: Final = 0.9
"""With so much of the room for days taken there is no rest."""
_MAX_LIVE_VISITORS: Final = 200_000
"""Remembered while Redis cannot be asked, some 20 MB. Beyond it the tile lacks some until they click again."""
_CHUNKS_AT_ONCE: Final = 20
"""So that an epoch with much to make up for ends within seconds."""


class Projector:
    """Reads absolute numbers and writes them under deterministic ids with a revision: safe to repeat.

    Args:
        clickhouse: Where the rollups are.
        stats: The read model in Mongo.
        tile: The live tile in Redis.
        now: The wall clock.
        mongo: Shared by all who ask Mongo.
        monotonic: Seconds of a monotonic clock.
        max_days_dirty: How many days are remembered while Mongo is unavailable.
    """

    def __init__(
        self,
        clickhouse: ClickHouse,
        stats: StoreStats,
        tile: LiveTile,
        now: Callable[[], datetime],
        mongo: CircuitBreaker,
        monotonic: Callable[[], float] = time.monotonic,
        max_days_dirty: int = MAX_DAYS_BEHIND,
    ) -> None:
        self._max_days_dirty = max_days_dirty
        self._clickhouse, self._stats, self._tile, self._now = clickhouse, stats, tile, now
        self._mongo, self._redis, self._monotonic = mongo, CircuitBreaker(), monotonic
        self._live: dict[str, dict[int, int]] = {}
        self._live_lock = threading.Lock()
        self._dirty = DirtyDays()
        self._working, self._at_once = threading.Lock(), _DAYS_AT_ONCE
        self._again_at, self._leaving, self._leave_by = float("-inf"), False, float("inf")

    def mark_dirty(self, results: Sequence[ProcessedBatch]) -> None:
        """Remember the days that changed and who is there."""
        for result in results:
            self._dirty.mark(result.store_days, result.partition, result.first_offset, result.last_offset)
            self._remember_live(result.live)

    def check_room(self) -> None:
        """Whether more may be counted ahead of Mongo.

        Raises:
            Unavailable: Not now.
        """
        ahead, waiting = self._dirty.records, self._dirty.days
        crowded = 2 * ahead > MAX_RECORDS_AHEAD or waiting > _CROWDED * self._max_days_dirty
        if crowded and self._may_ask_mongo():
            self._again_at = float("-inf")
        if waiting > self._max_days_dirty or ahead > MAX_RECORDS_AHEAD:
            raise Unavailable(f"store_stats is too far behind: {waiting} days wait for Mongo, or to be merged")

    def find_dirty(self, fences: Fences) -> None:
        """Find the days that an earlier process may have left behind.

        Raises:
            Unavailable: ClickHouse is unavailable.
        """
        newest = [
            f"(source_partition = {partition} AND source_offset + {CATCH_UP_RECORDS} > {max(tables.values())})"
            for partition, tables in fences.items()
        ]
        if newest:
            rows = self._clickhouse.rows(
                f"SELECT DISTINCT store, toUInt32(bucket) FROM {self._clickhouse.database}.{ROLLUPS.name} "
                f"WHERE grain = 'day' AND dimension = 'all' AND ({' OR '.join(newest)})"
            )
            self._dirty.add((str(store), int(seconds) // 86_400) for store, seconds in rows)

    def catch_up(self) -> bool:
        """Bring some of the days that are behind up to date; returns True while there are more.

        Raises:
            Unavailable: ClickHouse or Mongo is unavailable.
        """
        with self._working:
            chunk = self._dirty.take(self._at_once, saves=True, shows=self._may_ask_redis())
            shown = saved = False
            try:
                days = self._read_some(chunk)
                shown = self._show([day for day in days if day.key in chunk.unshown])
                try:
                    self._stats.save([day for day in days if day.key in chunk.unsaved])
                except (Unavailable, Refused) as error:
                    self._take_fewer()
                    # A full disk, an election: what Mongo refuses now it may take later, at a start as at any time.
                    raise Unavailable(str(error)) from error
                saved = True
                self._take_more()
            finally:
                self._dirty.ack(shown=shown, saved=saved)
            return self._dirty.days > 0

    def refresh(self) -> None:
        """Bring the days that are behind up to date, once each, or some of them, in those read models that answer.

        A busy day's visitors take ClickHouse long to merge. So this rests between two times, for as long as keeps it to
        a fifth of the time.

        Raises:
            Unavailable: ClickHouse is unavailable.
        """
        self._show([])
        began = self._monotonic()
        if began < self._again_at:
            return
        self._again_at = began + _REST_AFTER_ERROR_SECONDS
        for _ in range(_CHUNKS_AT_ONCE):
            if self._leaving:
                return
            if not self._bring_up_some() or self._dirty.between_passes:
                break
        ended = self._monotonic()
        self._again_at = ended + min(_REST_RATIO * (ended - began), LONGEST_REST_SECONDS)

    def drain(self) -> None:
        """Bring up to date what can be within some seconds, rested or not; the thread that refreshes stops.

        Called again it goes on with the seconds that are left.

        Raises:
            Unavailable: ClickHouse is unavailable; it is not asked again.
        """
        began = self._monotonic()
        if not self._leaving:
            self._leaving, self._leave_by = True, began + _LEAVE_SECONDS
        try:
            while self._monotonic() < self._leave_by:
                if not self._bring_up_some():
                    return
        except Unavailable:
            self._leave_by = began
            raise

    def _bring_up_some(self) -> bool:
        """Whether there was something that a read model lacks and may be asked to take."""
        with self._working:
            # A chunk is taken before it is read: what is counted meanwhile is behind again.
            chunk = self._dirty.take(self._at_once, saves=self._may_ask_mongo(), shows=self._may_ask_redis())
            shown = saved = False
            if not chunk.days:
                return False
            try:
                days = self._read_some(chunk)
                shown = self._show([day for day in days if day.key in chunk.unshown])
                saved = self._save([day for day in days if day.key in chunk.unsaved])
                if saved and chunk.unsaved:
                    self._take_more()
            finally:
                self._dirty.ack(shown=shown, saved=saved)
            return True

    def _read_some(self, chunk: Chunk) -> list[DayStats]:
        """Where that fails, fewer are read at once: a day that is too much must not stop the others."""
        try:
            days = self.read(sorted(chunk.days))
        except Unavailable:
            self._take_fewer()
            raise
        return days

    def _take_more(self) -> None:
        self._at_once = min(_DAYS_AT_ONCE, 2 * self._at_once)

    def _take_fewer(self) -> None:
        self._at_once = max(1, self._at_once // 2)

    def _save(self, days: list[DayStats]) -> bool:
        if not days:
            return True
        ticket = self._mongo.admit(self._monotonic())
        if not ticket:
            return False
        try:
            self._stats.save(days)
        except (Unavailable, Refused) as error:
            # What Mongo refuses (a full disk, an election) may hold later; counting does not depend on it.
            if not self._mongo.open:
                log.warning("store_stats is behind, counting goes on: %s", error)
            self._mongo.failed(self._monotonic(), ticket)
            self._take_fewer()
            return False
        self._mongo.succeeded()
        return True

    def _may_ask_mongo(self) -> bool:
        return self._mongo.retry_after(self._monotonic()) == 0

    def _may_ask_redis(self) -> bool:
        return self._redis.retry_after(self._monotonic()) == 0

    def _remember_live(self, seen: Mapping[str, Mapping[int, int]]) -> None:
        with self._live_lock:
            for store, visitors in seen.items():
                mine = self._live.setdefault(store, {})
                for visitor, when in visitors.items():
                    mine[visitor] = max(when, mine.get(visitor, 0))
            if sum(map(len, self._live.values())) > _MAX_LIVE_VISITORS:
                self._live.clear()

    def _show(self, days: list[DayStats]) -> bool:
        """Whether the tile took the days, and all who are there."""
        if not (days or self._live):
            return True
        ticket = self._redis.admit(self._monotonic())
        if not ticket:
            return False
        with self._live_lock:
            live, self._live = self._live, {}
        try:
            self._tile.save(days, live, int(self._now().timestamp() * 1000))
        except Unavailable as error:
            # Where Redis does not answer the tile is behind, and nothing else is.
            if not self._redis.open:
                log.warning("the live tile is behind: %s", error)
            self._redis.failed(self._monotonic(), ticket)
            self._remember_live(live)
            return False
        self._redis.succeeded()
        return True

    def read(self, days_wanted: Sequence[StoreDay]) -> list[DayStats]:
        """The days as the rollups have them.

        Raises:
            Unavailable: ClickHouse is unavailable.
        """
        days: list[DayStats] = []
        # The days stand in the query's text, which has a largest size.
        for first in range(0, len(days_wanted), _DAYS_AT_ONCE):
            days += self._read(days_wanted[first : first + _DAYS_AT_ONCE])
        return days

    def _read(self, days_wanted: Sequence[StoreDay]) -> list[DayStats]:
        wanted = ", ".join(f"('{store}', toDateTime({day * 86_400}, 'UTC'))" for store, day in days_wanted)
        rows = self._clickhouse.rows(
            "SELECT store, bucket, sumIf(views, is_bot = 0), sumIf(actions, is_bot = 0), sumIf(refires, is_bot = 0), "
            "sumIf(sessions, is_bot = 0), sumIf(bounces, is_bot = 0), sumIf(views + actions, is_bot = 1), "
            # Each change of a day comes with a higher offset than all earlier ones of its partition.
            "arraySum(mapValues(maxMap(map(source_partition, source_offset + 1)))), "
            f"{VISITOR_STATE.replace('(', 'MergeIf(')}(visitors, is_bot = 0), "
            "(SELECT toString(any(uuid)) FROM system.tables "
            f"WHERE database = '{self._clickhouse.database}' AND name = '{ROLLUPS.name}') "
            f"FROM {self._clickhouse.database}.{ROLLUPS.name} "
            f"WHERE grain = 'day' AND dimension = 'all' AND (store, bucket) IN ({wanted}) GROUP BY store, bucket"
        )
        return [self._day(row) for row in rows]

    def _day(self, row: tuple[Any, ...]) -> DayStats:
        store, bucket, views, actions, refires, sessions, bounces, bot_events, revision, visitors, lineage = row
        return DayStats(
            store=store,
            day=f"{bucket:%Y-%m-%d}",
            revision=int(revision),
            views=int(views),
            actions=int(actions),
            refires=int(refires),
            visitors=int(visitors),
            sessions=int(sessions),
            bounces=int(bounces),
            bot_events=int(bot_events),
            processed_at=self._now(),
            lineage=str(lineage),
        )
