"""What the flow remembers of the past, as a cache of the fact table.

Everything that a decision needs of earlier events is in ``clicks`` and ``sessions`` themselves, by offset. Memory holds
only *pages*: for one partition, one hour of event time. A page that is not in memory is read back; one that has not
been used for long is dropped. So memory is bounded, a restart has nothing to load, and an event a month late is
compared with its own hour, not with a window that has long gone. See docs/adr/0002.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Protocol

import numpy as np

from flows.clicks.batch import I64, U64, Bools
from flows.clicks.hashing import distinct, mix
from flows.clicks.runs import KeyCounts, KeyNumbers, KeySet
from flows.clicks.shelf import PAGE_BYTES, Shelf
from flows.clicks.stored import StoredFacts, StoredSessions
from marketplace.outcomes import REFIRE_WINDOW_MS

HOUR_MS: Final = 3_600_000
MINUTE_MS: Final = 60_000

_FEW_HOURS: Final = 32
MANY_HOURS: Final = 1024
_EVENT_BYTES: Final = 250
"""What an accepted event adds at most to pages, and to sessions beside them."""
_SMALL_BYTES: Final = 1 << 20
"""Hours that the store is asked for at once: few at first, and more while its answers are small."""


class PageStore(Protocol):
    """Reads pages back. Answers that are given ``before`` hold rows of lower offsets and no others.

    Raises (all methods):
        Unavailable: The store is away; the caller pauses and keeps its place.
    """

    def dedupe_keys(self, partition: int, hours: list[int], before: int) -> dict[int, U64]:
        """The dedupe keys of each hour."""

    def clicks(self, partition: int, hours: list[int], before: int) -> tuple[U64, I64]:
        """Pair keys and times (epoch ms) of events in these hours that are not re-fires."""

    def minutes(self, partition: int, hours: list[int], before: int) -> tuple[U64, I64, I64]:
        """Visitor, minute (since 1970) and number of events, in these hours."""

    def sessions(self, partition: int, hours: list[int]) -> StoredSessions:
        """Sessions that overlap these hours, as they stand."""

    def verdicts(self, partition: int, first: int, last: int) -> StoredFacts:
        """The facts from one offset to another, both included, ascending."""

    def applied(self, partition: int) -> int:
        """The highest offset up to which every table holds everything; -1 for none."""


class VisitPage:
    """One hour of event time: counted clicks by (pair, two-second bucket), and events by (visitor, minute)."""

    def __init__(self) -> None:
        self.clicks = KeyNumbers()
        self.minutes = KeyCounts()

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.clicks.nbytes + self.minutes.nbytes


def bucket_keys(pair: U64, when_ms: I64, step: int = 0) -> U64:
    """Keys of a pair and the two-second bucket of a time, or of the bucket ``step`` beside it."""
    return mix(pair, when_ms // REFIRE_WINDOW_MS + step)


def by_hour(hours: I64) -> dict[int, I64]:
    """Positions of the elements of each hour."""
    if len(hours) and hours.max() - hours.min() <= _FEW_HOURS:
        # The usual batch spans few hours, and need not be sorted for them.
        return {hour: np.flatnonzero(hours == hour) for hour in distinct(hours).tolist()}
    order = np.argsort(hours, kind="stable")
    ordered = hours[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
    return dict(zip(ordered[starts].tolist(), np.split(order, starts[1:]), strict=False))


class Pages:
    """The pages of one partition.

    Args:
        store: Where pages are read back from.
        partition: The Kafka partition.
        max_bytes: How much memory pages, and what is held beside them, may take before the least recently used go.
    """

    def __init__(self, store: PageStore, partition: int, max_bytes: int) -> None:
        self._store, self._partition, self._max_bytes = store, partition, max_bytes
        self._dedupe = Shelf(KeySet)
        self._visits = Shelf(VisitPage)
        # Hours that found no room: of them only what the present batch can meet is held, and only for this batch.
        self._aside: dict[int, VisitPage] = {}
        self._held = self._read = self._since_weighed = 0
        self._cramped = False

    @property
    def nbytes(self) -> int:
        """Bytes held by all pages."""
        return self._dedupe.nbytes + self._visits.nbytes

    def visit_hours(self) -> set[int]:
        """Hours of event time that are in memory."""
        return self._visits.hours()

    def seen(self, keys: U64, hours: I64, before: int) -> Bools:
        """Which dedupe keys their hour's page holds already."""
        found = np.zeros(len(keys), dtype=np.bool_)
        positions = by_hour(hours)
        for below, lacking in self._dedupe.lacking(positions, before).items():
            for portion in self._portions(lacking):
                stored = self._store.dedupe_keys(self._partition, portion, below)
                keeps = self._fits(sum(stored[hour].nbytes + PAGE_BYTES for hour in portion))
                for hour in portion:
                    if keeps:
                        self._dedupe.complete(hour).add(stored[hour])
                    else:
                        at = positions[hour]
                        found[at] = KeySet(stored[hour]).contains(keys[at])
        for hour, at in positions.items():
            page = self._dedupe.get(hour)
            if page is not None:
                found[at] |= page.contains(keys[at])
        return found

    def remember_keys(self, keys: U64, hours: I64, first: int, last: int) -> None:
        """Add the keys of a batch's accepted events to their hours' pages."""
        positions = by_hour(hours)
        # Weighing all pages takes longer than a small batch, so it is done when enough may have come together.
        self._since_weighed += _EVENT_BYTES * len(keys) + PAGE_BYTES * len(positions)
        for hour, at in positions.items():
            self._dedupe.touch(hour, first, last).add(keys[at])

    def load_visits(
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
        for below, lacking in self._visits.lacking(around, before).items():
            for portion in self._portions(lacking):
                self._load(portion, below, pair, visitor, adopt)

    def _load(
        self, hours: list[int], below: int, pair: U64, visitor: U64, adopt: Callable[[StoredSessions], None]
    ) -> None:
        # Nothing is taken in before everything was read: a store that goes away half-way leaves no empty page behind.
        pairs, moments = self._store.clicks(self._partition, hours, below)
        visitors, minutes, events = self._store.minutes(self._partition, hours, below)
        sessions = self._store.sessions(self._partition, hours)
        keeps = self._fits(16 * (len(pairs) + len(visitors)) + sessions.nbytes + PAGE_BYTES * len(hours))
        if not keeps:
            met, seen = np.isin(pairs, pair), np.isin(visitors, visitor)
            pairs, moments = pairs[met], moments[met]
            visitors, minutes, events = visitors[seen], minutes[seen], events[seen]
            sessions = sessions.take(np.isin(sessions.visitor, visitor))
        if len(sessions):
            adopt(sessions)
        pages = {hour: self._visits.complete(hour) if keeps else VisitPage() for hour in hours}
        for hour, at in by_hour(moments // HOUR_MS).items():
            pages[hour].clicks.add(bucket_keys(pairs[at], moments[at]), moments[at])
        for hour, at in by_hour(minutes * MINUTE_MS // HOUR_MS).items():
            pages[hour].minutes.add(mix(visitors[at], minutes[at]), events[at])
        if not keeps:
            self._aside |= {hour: page for hour, page in pages.items() if page.nbytes}

    def _pages_of(self, hour: int) -> Iterator[VisitPage]:
        for page in (self._visits.get(hour), self._aside.get(hour)):
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
        keys = mix(visitor, when // MINUTE_MS)
        totals = np.zeros(len(visitor), dtype=np.int64)
        for hour, at in by_hour(when // HOUR_MS).items():
            for page in self._pages_of(hour):
                totals[at] += page.minutes.total(keys[at])
        return totals

    def remember_visits(self, visitor: U64, pair: U64, when: I64, refire: Bools, first: int, last: int) -> None:
        """Add a batch's accepted events to their hours' pages."""
        hours = when // HOUR_MS
        minute_keys, firsts, counts = np.unique(mix(visitor, when // MINUTE_MS), return_index=True, return_counts=True)
        counted = np.flatnonzero(~refire)
        buckets = bucket_keys(pair, when)
        for hour, at in by_hour(hours[firsts]).items():
            self._visits.touch(hour, first, last).minutes.add(minute_keys[at], counts[at].astype(np.int64))
        for hour, at in by_hour(hours[counted]).items():
            own = counted[at]
            self._visits.touch(hour, first, last).clicks.add(buckets[own], when[own])

    def evict(self, beside: int) -> bool:
        """Drop the least recently used pages while too much is held; True if sessions may have lost their pages.

        Args:
            beside: Bytes of what is held for the same hours elsewhere; it shrinks with the pages.
        """
        if self._since_weighed < self._max_bytes // 64 and not self._cramped:
            return False
        held = self.nbytes
        self._held, self._since_weighed = held + beside, 0
        if self._held <= self._max_bytes and not self._cramped:
            return False
        applied = self._store.applied(self._partition)
        share = min(1.0, self._max_bytes / 2 / max(1, self._held))
        for shelf in (self._dedupe, self._visits):
            shelf.drop(applied, shelf.nbytes - int(shelf.nbytes * share))
        self._held += self.nbytes - held
        self._cramped = False
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
        if self._held + nbytes > self._max_bytes:
            self._cramped = True
            return False
        self._held += nbytes
        return True
