"""What the flow remembers of the past, as a cache of the fact table.

Everything that a decision needs of earlier events is in ``clicks`` and ``sessions`` themselves, by offset. Memory holds
only *pages*: for one partition, one hour of event time. A page that is not in memory is read back; one that has not
been used for long is dropped. So memory is bounded, a restart has nothing to load, and an event a month late is
compared with its own hour, not with a window that has long gone. See docs/adr/0002.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol, TypeVar, cast

import numpy as np

from flows.arrays.hashing import distinct
from flows.arrays.sorted_runs import KeySet
from flows.arrays.types import I64, U64, Bools
from flows.clicks.model.facts import Facts
from flows.clicks.model.pieces import Pieces
from flows.clicks.model.sessions import SessionRows, owners
from flows.clicks.state.click_page import (
    HOUR_MS,
    MINUTE_MS,
    ClickPage,
    Minutes,
    bucket_keys,
    by_hour,
    fill,
    fill_minutes,
    minute_keys,
)
from flows.clicks.state.lru_pages import PAGE_BYTES, LruPages
from flows.clicks.state.memory_budget import MemoryBudget
from flows.clicks.state.stored_rows import StoredFacts, StoredSessions
from marketplace.clicks.outcomes import REFIRE_WINDOW_MS

_FEW_HOURS: Final = 32
MANY_HOURS: Final = 1024
_EVENT_BYTES: Final = 250
"""What an accepted event adds at most to pages, and to sessions beside them."""
_SMALL_BYTES: Final = 1 << 20
"""Hours that the store is asked for at once: few at first, and more while its answers are small."""


class PageStore(Protocol):
    """Reads pages back. Answers that are given ``before`` hold rows of lower offsets and no others.

    With ``only``, answers hold rows of these keys, pairs or visitors and no others.

    Raises (all methods):
        Unavailable: The store is unavailable; the caller pauses and keeps its place.
    """

    def dedupe_keys(self, partition: int, hours: list[int], before: int, only: U64 | None = None) -> dict[int, U64]:
        """The dedupe keys of each hour."""

    def clicks(self, partition: int, hours: list[int], before: int, only: U64 | None = None) -> tuple[U64, I64]:
        """Pair keys and times (epoch ms) of events in these hours that are not re-fires."""

    def minutes(self, partition: int, hours: list[int], before: int, only: U64 | None = None) -> Minutes:
        """Events by visitor and minute, in these hours."""

    def sessions(self, partition: int, hours: list[int], only: U64 | None = None) -> StoredSessions:
        """Sessions that overlap these hours, as they stand."""

    def verdicts(self, partition: int, first: int, last: int) -> StoredFacts:
        """The facts from one offset to another, both included, ascending."""

    def applied(self, partition: int) -> int:
        """The highest offset up to which every table holds everything; -1 for none."""


class Pages:
    """The pages of one partition.

    Pages that the last batch used stay longest: dropped, they would be read back for the next one. Where they alone are
    too much, the largest hour is no longer held, and each batch reads what it can meet of it.

    Args:
        store: Where pages are read back from.
        partition: The Kafka partition.
        max_bytes: How much memory pages, and what is held beside them, may take before the least recently used go.
    """

    def __init__(self, store: PageStore, partition: int, max_bytes: int) -> None:
        self._store, self._partition = store, partition
        self._budget = MemoryBudget(max_bytes)
        self._dedupe = LruPages(KeySet)
        self._activity = LruPages(ClickPage)
        # Hours that found no room: of them only what the present batch can meet is held, and only for this batch.
        self._aside: dict[int, ClickPage] = {}
        self._read = 0
        self._used: tuple[set[int], set[int]] = (set(), set())

    @property
    def nbytes(self) -> int:
        """Bytes of memory of all pages."""
        return self._dedupe.nbytes + self._activity.nbytes

    def activity_hours(self) -> set[int]:
        """Hours of event time that are in memory."""
        return self._activity.hours()

    def seen(self, keys: U64, hours: I64, before: int) -> Bools:
        """Which dedupe keys their hour's page holds already."""
        found = np.zeros(len(keys), dtype=np.bool_)
        positions = by_hour(hours)
        for below, lacking in self._dedupe.lacking(positions, before).items():
            for hour in [hour for hour in lacking if self._budget.is_large("keys", hour)]:
                lacking.remove(hour)
                at = positions[hour]
                stored = self._store.dedupe_keys(self._partition, [hour], below, only=keys[at])
                found[at] = KeySet(stored[hour]).contains(keys[at])
            for portion in self._portions(lacking):
                self._read_keys(portion, below, keys, positions, found)
        for hour, at in positions.items():
            page = self._dedupe.get(hour)
            if page is not None:
                found[at] |= page.contains(keys[at])
        return found

    def _read_keys(self, hours: list[int], below: int, keys: U64, positions: dict[int, I64], found: Bools) -> None:
        stored = self._store.dedupe_keys(self._partition, hours, below)
        keeps = self._fits(sum(stored[hour].nbytes + PAGE_BYTES for hour in hours))
        for hour in hours:
            if keeps:
                self._dedupe.complete(hour).add(stored[hour])
            else:
                at = positions[hour]
                found[at] = KeySet(stored[hour]).contains(keys[at])
                self._budget.found_large("keys", hour, stored[hour].nbytes)

    def remember_keys(self, keys: U64, hours: I64, first: int, last: int) -> None:
        """Add the keys of a batch's accepted events to their hours' pages."""
        positions = by_hour(hours)
        self._budget.grow(_EVENT_BYTES * len(keys) + PAGE_BYTES * len(positions))
        for hour, at in positions.items():
            self._dedupe.use(hour, first, last).add(keys[at])
        self._used = (set(positions), self._used[1])

    def load_activity(
        self, pair: U64, visitor: U64, when: I64, before: int, adopt: Callable[[StoredSessions], None]
    ) -> None:
        """Bring the hours around events into memory, or as much of them as these events can meet.

        Args:
            pair: Hashes of the events' visitors and targets.
            visitor: Their visitors.
            when: Their times, epoch milliseconds.
            before: The first offset of their batch.
            adopt: Takes the sessions that come along, before their hours are taken for known.
        """
        self._aside = {}
        # Gaps and windows are shorter than an hour: what can touch these events lies in their hours or beside them.
        around = {hour + step for hour in distinct(when // HOUR_MS).tolist() for step in (-1, 0, 1)}
        self._used = (self._used[0], around)
        for below, lacking in self._activity.lacking(around, before).items():
            large = [hour for hour in lacking if self._budget.is_large("activity", hour)]
            if large:
                self._load_aside(large, below, pair, visitor, adopt)
            for portion in self._portions([hour for hour in lacking if hour not in large]):
                self._load(portion, below, pair, visitor, adopt)

    def _load(
        self, hours: list[int], below: int, pair: U64, visitor: U64, adopt: Callable[[StoredSessions], None]
    ) -> None:
        # Nothing is taken in before everything was read: a failure half-way leaves no empty page behind.
        clicks = self._store.clicks(self._partition, hours, below)
        minutes = self._store.minutes(self._partition, hours, below)
        sessions = self._store.sessions(self._partition, hours)
        nbytes = 16 * len(clicks[0]) + 20 * len(minutes) + sessions.nbytes + PAGE_BYTES * len(hours)
        if self._fits(nbytes):
            if len(sessions):
                adopt(sessions)
            fill({hour: self._activity.complete(hour) for hour in hours}, clicks, minutes)
            return
        for hour, at in by_hour(clicks[1] // HOUR_MS).items():
            self._budget.found_large("activity", hour, nbytes * len(at) // len(clicks[0]))
        sessions = sessions.take(np.isin(sessions.visitor, visitor))
        self._set_aside(hours, _only(clicks, pair), minutes.of(visitor), sessions, adopt)

    def _load_aside(
        self, hours: list[int], below: int, pair: U64, visitor: U64, adopt: Callable[[StoredSessions], None]
    ) -> None:
        clicks = self._store.clicks(self._partition, hours, below, only=pair)
        minutes = self._store.minutes(self._partition, hours, below, only=visitor)
        sessions = self._store.sessions(self._partition, hours, only=visitor)
        self._set_aside(hours, clicks, minutes, sessions, adopt)

    def _set_aside(
        self,
        hours: list[int],
        clicks: tuple[U64, I64],
        minutes: Minutes,
        sessions: StoredSessions,
        adopt: Callable[[StoredSessions], None],
    ) -> None:
        if len(sessions):
            adopt(sessions)
        pages = {hour: ClickPage() for hour in hours}
        fill(pages, clicks, minutes)
        self._aside |= {hour: page for hour, page in pages.items() if page.nbytes}

    def _pages_of(self, hour: int) -> Iterator[ClickPage]:
        for page in (self._activity.get(hour), self._aside.get(hour)):
            if page is not None:
                yield page

    def clicked_near(self, pair: U64, when: I64) -> Bools:
        """Whether a counted click of the same pair lies within the re-fire window of each time."""
        near = np.zeros(len(pair), dtype=np.bool_)
        for step in (-1, 0, 1):
            keys = bucket_keys(pair, when, step)
            hours = (when // REFIRE_WINDOW_MS + step) * REFIRE_WINDOW_MS // HOUR_MS
            for hour, at in by_hour(hours).items():
                for page in self._pages_of(hour):
                    if len(page.clicks):
                        near[at] |= page.clicks.any_near(keys[at], when[at], REFIRE_WINDOW_MS)
        return near

    def events_in_minute(self, visitor: U64, when: I64) -> I64:
        """How many earlier events of the same visitor fell into the same minute."""
        minute = when // MINUTE_MS
        totals = np.zeros(len(visitor), dtype=np.int64)
        for is_bot in (np.uint8(0), np.uint8(1)):
            keys = minute_keys(owners(visitor, is_bot), minute)
            for hour, at in by_hour(when // HOUR_MS).items():
                for page in self._pages_of(hour):
                    totals[at] += page.minutes.total(keys[at]).sum(axis=1)
        return totals

    def pieces(self, sessions: SessionRows, before: int) -> Pieces:
        """The events of some sessions by quarter of an hour, as far as earlier batches have remembered them.

        Args:
            sessions: Sessions as they were before the batch.
            before: The first offset of the batch.

        Raises:
            Unavailable: The store is unavailable; nothing was changed.
        """
        first, last = sessions.start_ms // MINUTE_MS, sessions.end_ms // MINUTE_MS
        length = last - first + 1
        session = np.repeat(np.arange(len(sessions)), length)
        minute = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length - first, length)
        keys = minute_keys(owners(sessions.visitor, sessions.is_bot)[session], minute)
        hours = by_hour(minute * MINUTE_MS // HOUR_MS)
        beside = {hour: ClickPage() for hour in hours}
        for below, lacking in self._activity.lacking(hours, before).items():
            for start in range(0, len(lacking), MANY_HOURS):
                some = lacking[start : start + MANY_HOURS]
                fill_minutes(beside, self._store.minutes(self._partition, some, below, only=sessions.visitor))
        counts = np.zeros((len(minute), 3), dtype=np.int64)
        for hour, at in hours.items():
            counts[at] = beside[hour].minutes.total(keys[at])
            page = self._activity.get(hour)
            if page is not None:
                counts[at] += page.minutes.total(keys[at])
        return Pieces.of_minutes(session, minute, counts)

    def remember_activity(self, facts: Facts, first: int, last: int) -> None:
        """Add a batch's accepted events to their hours' pages."""
        when = facts.occurred_ms
        hours = when // HOUR_MS
        keys = minute_keys(owners(facts.visitor, facts.is_bot), when // MINUTE_MS)
        for hour, at in by_hour(hours).items():
            self._activity.use(hour, first, last).minutes.add(keys[at], facts.counts[at])
        counted = np.flatnonzero(~facts.refire)
        buckets = bucket_keys(facts.pair, when)
        for hour, at in by_hour(hours[counted]).items():
            own = counted[at]
            self._activity.use(hour, first, last).clicks.add(buckets[own], when[own])

    def evict(self, beside: Callable[[], int]) -> bool:
        """Drop the least recently used pages while too much is held; True if sessions may have lost their pages.

        Args:
            beside: Bytes of what is held for the same hours elsewhere; it shrinks with the pages.
        """
        budget = self._budget
        if not budget.due:
            return False
        pages = self.nbytes
        if not budget.count(pages + beside()):
            return False
        applied, goal, left = self._store.applied(self._partition), budget.max_bytes // 2, budget.used
        for keys, activity in (self._used, (set[int](), set[int]())):
            share = min(1.0, goal / max(1, left))
            self._dedupe.drop(applied, int(self._dedupe.nbytes * (1 - share)), keys)
            self._activity.drop(applied, int(self._activity.nbytes * (1 - share)), activity)
            left = int(budget.used * self.nbytes / max(1, pages))
            if left <= budget.max_bytes:
                break
        budget.used, budget.cramped = left, False
        return True

    def _portions(self, hours: list[int]) -> Iterator[list[int]]:
        start, count = 0, _FEW_HOURS
        while start < len(hours):
            self._read = 0
            yield hours[start : start + count]
            start += count
            count = min(4 * count, MANY_HOURS) if self._read < _SMALL_BYTES else _FEW_HOURS

    def _fits(self, nbytes: int) -> bool:
        self._read = nbytes
        return self._budget.fits(nbytes)


_Rows = TypeVar("_Rows", bound=tuple[Any, ...])


def _only(rows: _Rows, keys: U64) -> _Rows:
    """The rows whose first column is among some keys."""
    met = np.isin(rows[0], keys)
    return cast("_Rows", tuple(column[met] for column in rows))
