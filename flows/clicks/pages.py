"""What the flow remembers of the past, as a cache of the fact table.

Everything that a decision needs of earlier events is in ``clicks`` and ``sessions`` themselves, by offset. Memory holds
only *pages*: for one partition, one hour of event time. A page that is not in memory is read back; one that has not
been used for long is dropped. So memory is bounded, a restart has nothing to load, and an event a month late is
compared with its own hour, not with a window that has long gone. See docs/adr/0002.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, Protocol

import numpy as np

from flows.clicks.batch import I64, U64, Bools
from flows.clicks.hashing import mix
from flows.clicks.runs import KeyNumbers, KeySet
from flows.clicks.stored import StoredSessions
from marketplace.outcomes import REFIRE_WINDOW_MS

HOUR_MS: Final = 3_600_000
MINUTE_MS: Final = 60_000
_PAGE_BYTES: Final = 600
"""What an empty page takes, about."""


class PageStore(Protocol):
    """Reads pages back. Answers that are given ``before`` hold rows of lower offsets and no others.

    Raises (all methods):
        Unavailable: The store is away; the caller pauses and keeps its place.
    """

    def hours(self, partition: int) -> tuple[set[int], set[int]]:
        """Hours (since 1970) that have rows: by dedupe hour, and by time of occurrence."""

    def dedupe_keys(self, partition: int, hours: list[int], before: int) -> dict[int, U64]:
        """The dedupe keys of each hour."""

    def clicks(self, partition: int, hours: list[int], before: int) -> tuple[U64, I64]:
        """Pair keys and times (epoch ms) of events in these hours that are not re-fires."""

    def minutes(self, partition: int, hours: list[int], before: int) -> tuple[U64, I64, I64]:
        """Visitor, minute (since 1970) and number of events, in these hours."""

    def sessions(self, partition: int, hours: list[int]) -> StoredSessions:
        """Sessions that overlap these hours, as they stand."""

    def applied(self, partition: int) -> int:
        """The highest offset up to which every table holds everything; -1 for none."""


class VisitPage:
    """One hour of event time: counted clicks by (pair, two-second bucket), and events by (visitor, minute)."""

    def __init__(self) -> None:
        self.clicks = KeyNumbers()
        self.minutes = KeyNumbers()

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.clicks.nbytes + self.minutes.nbytes


def bucket_keys(pair: U64, when_ms: I64, step: int = 0) -> U64:
    """Keys of a pair and the two-second bucket of a time, or of the bucket ``step`` beside it."""
    return mix(pair, when_ms // REFIRE_WINDOW_MS + step)


class Pages:
    """The pages of one partition.

    Args:
        store: Where pages are read back from.
        partition: The Kafka partition.
        max_bytes: How much memory pages may hold before the least recently used ones go.
    """

    def __init__(self, store: PageStore, partition: int, max_bytes: int) -> None:
        self._store, self._partition, self._max_bytes = store, partition, max_bytes
        self._stored_dedupe, self._stored_visits = store.hours(partition)
        self._dedupe: OrderedDict[int, KeySet] = OrderedDict()
        self._visits: OrderedDict[int, VisitPage] = OrderedDict()
        self._touched: dict[tuple[str, int], int] = {}

    @property
    def nbytes(self) -> int:
        """Bytes held by all pages."""
        held = sum(s.nbytes for s in self._dedupe.values()) + sum(v.nbytes for v in self._visits.values())
        return held + _PAGE_BYTES * (len(self._dedupe) + len(self._visits))

    def visit_hours(self) -> set[int]:
        """Hours of event time that are in memory."""
        return set(self._visits)

    def seen(self, keys: U64, hours: I64, before: int) -> Bools:
        """Which dedupe keys their hour's page holds already."""
        self._load_dedupe(np.unique(hours).tolist(), before)
        found = np.zeros(len(keys), dtype=np.bool_)
        for hour in np.unique(hours).tolist():
            at = hours == hour
            found[at] = self._dedupe[hour].contains(keys[at])
        return found

    def remember_keys(self, keys: U64, hours: I64, offset: int) -> None:
        """Add the keys of accepted events to their hours' pages."""
        for hour in np.unique(hours).tolist():
            self._dedupe[hour].add(keys[hours == hour])
            self._touched["dedupe", hour] = offset

    def load_visits(self, hours: Iterable[int], before: int) -> StoredSessions | None:
        """Bring hours of event time into memory; the sessions that came along, if any were read."""
        pages = {hour: VisitPage() for hour in hours if hour not in self._visits}
        stored = sorted(set(pages) & self._stored_visits)
        sessions = None
        if stored:
            pair, when = self._store.clicks(self._partition, stored, before)
            visitor, minute, events = self._store.minutes(self._partition, stored, before)
            sessions = self._store.sessions(self._partition, stored)
            for hour in stored:
                at = when // HOUR_MS == hour
                pages[hour].clicks.add(bucket_keys(pair[at], when[at]), when[at])
                at = minute // 60 == hour
                pages[hour].minutes.add(mix(visitor[at], minute[at]), events[at])
        # Nothing is taken in before everything was read: a store that went away half-way leaves no empty page behind.
        self._visits.update(pages)
        return sessions

    def clicked_near(self, pair: U64, when: I64) -> Bools:
        """Whether a counted click of the same pair lies within the re-fire window of each time."""
        near = np.zeros(len(pair), dtype=np.bool_)
        for step in (-1, 0, 1):
            keys = bucket_keys(pair, when, step)
            hours = (when // REFIRE_WINDOW_MS + step) * REFIRE_WINDOW_MS // HOUR_MS
            for hour in np.unique(hours).tolist():
                page = self._visits.get(hour)
                if page is not None and len(page.clicks):
                    at = hours == hour
                    near[at] |= page.clicks.any_near(keys[at], when[at], REFIRE_WINDOW_MS)
        return near

    def events_in_minute(self, visitor: U64, when: I64) -> I64:
        """How many earlier events of the same visitor fell into the same minute."""
        minute = when // MINUTE_MS
        keys, hours = mix(visitor, minute), when // HOUR_MS
        totals = np.zeros(len(visitor), dtype=np.int64)
        for hour in np.unique(hours).tolist():
            at = hours == hour
            totals[at] = self._visits[hour].minutes.total(keys[at])
        return totals

    def remember_visits(self, visitor: U64, pair: U64, when: I64, refire: Bools, offset: int) -> None:
        """Add accepted events to their hours' pages."""
        hours = when // HOUR_MS
        minute_keys, counts = np.unique(mix(visitor, when // MINUTE_MS), return_counts=True)
        _, first = np.unique(mix(visitor, when // MINUTE_MS), return_index=True)
        minute_hours = hours[first]
        for hour in np.unique(hours).tolist():
            page = self._visits[hour]
            at = (hours == hour) & ~refire
            page.clicks.add(bucket_keys(pair[at], when[at]), when[at])
            at = minute_hours == hour
            page.minutes.add(minute_keys[at], counts[at].astype(np.int64))
            self._touched["visit", hour] = offset
            self._visits.move_to_end(hour)

    def evict(self) -> bool:
        """Drop the least recently used pages while there are too many bytes; True if visits were dropped.

        A page whose last events are not yet in every table stays: it could not be read back.
        """
        held = self.nbytes
        if held <= self._max_bytes:
            return False
        applied = self._store.applied(self._partition)
        for hour in list(self._dedupe):
            if held <= self._max_bytes // 2:
                break
            if self._touched.get(("dedupe", hour), -1) <= applied:
                held -= self._dedupe.pop(hour).nbytes + _PAGE_BYTES
                self._touched.pop(("dedupe", hour), None)
                self._stored_dedupe.add(hour)
        dropped = False
        for hour in list(self._visits):
            if held <= self._max_bytes // 2:
                break
            if self._touched.get(("visit", hour), -1) <= applied:
                held -= self._visits.pop(hour).nbytes + _PAGE_BYTES
                self._touched.pop(("visit", hour), None)
                self._stored_visits.add(hour)
                dropped = True
        return dropped

    def _load_dedupe(self, hours: list[int], before: int) -> None:
        missing = [hour for hour in hours if hour not in self._dedupe]
        stored = sorted(set(missing) & self._stored_dedupe)
        keys = self._store.dedupe_keys(self._partition, stored, before) if stored else {}
        for hour in missing:
            self._dedupe[hour] = KeySet(keys.get(hour, np.empty(0, dtype=np.uint64)))
        for hour in hours:
            self._dedupe.move_to_end(hour)
