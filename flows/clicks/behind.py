"""Store days whose read models are older than their rollups; touched by the flow, brought up to date by a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, islice

StoreDay = tuple[str, int]
"""A slug and days since 1970 by the store's own date."""


@dataclass(frozen=True)
class Chunk:
    """Days that somebody brings up to date now. What is touched meanwhile is behind again.

    Attributes:
        days: All of them.
        untold: Those that the tile lacks.
        unsaved: Those that Mongo lacks; empty where it is not asked.
        since: Where each partition's records begin that Mongo lacks, if it has everything with this chunk.
    """

    days: frozenset[StoreDay]
    untold: frozenset[StoreDay]
    unsaved: frozenset[StoreDay]
    since: Mapping[int, int]


_NOTHING = Chunk(frozenset(), frozenset(), frozenset(), {})


class Behind:
    """The days. One thread touches them while another takes chunks, one after the other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unsaved: set[StoreDay] = set()
        self._untold: set[StoreDay] = set()
        self._since: dict[int, int] = {}
        self._upto: dict[int, int] = {}
        self._taken = _NOTHING

    @property
    def days(self) -> int:
        """How many Mongo lacks."""
        with self._lock:
            return len(self._unsaved | self._taken.unsaved)

    @property
    def records(self) -> int:
        """How many records of a partition may be counted of which Mongo knows nothing, at most."""
        with self._lock:
            firsts = chain(self._since.items(), self._taken.since.items())
            return max((self._upto[partition] - first for partition, first in firsts), default=0)

    def touch(self, days: Iterable[StoreDay], spans: Iterable[tuple[int, int, int]]) -> None:
        """Note days that changed, by records from one offset of a partition to another."""
        with self._lock:
            touched = set(days)
            self._unsaved |= touched
            self._untold |= touched
            for partition, first, last in spans:
                self._since.setdefault(partition, first)
                self._upto[partition] = last

    def add(self, days: Iterable[StoreDay]) -> None:
        """Note days that an earlier process may have left behind."""
        with self._lock:
            self._unsaved |= set(days)

    def take(self, at_most: int, saves: bool) -> Chunk:
        """Some days, without those that only Mongo lacks if it cannot be asked. :meth:`settle` it before the next."""
        with self._lock:
            days = frozenset(islice(chain(self._untold, self._unsaved if saves else ()), at_most))
            untold = days & self._untold
            unsaved = days & self._unsaved if saves else frozenset[StoreDay]()
            self._untold -= untold
            self._unsaved -= unsaved
            since: dict[int, int] = {}
            if saves and not self._unsaved:
                since, self._since = self._since, {}
            self._taken = Chunk(days, untold, unsaved, since)
            return self._taken

    def settle(self, *, told: bool, saved: bool) -> None:
        """What became of the chunk that was taken last."""
        with self._lock:
            if not told:
                self._untold |= self._taken.untold
            if not saved:
                self._unsaved |= self._taken.unsaved
                for partition, first in self._taken.since.items():
                    self._since[partition] = min(first, self._since.get(partition, first))
            self._taken = _NOTHING
