"""Store days whose read models are older than their rollups; changed by the flow, brought up to date by a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain, islice

StoreDay = tuple[str, int]
"""A slug and days since 1970 by the store's own date."""


@dataclass(frozen=True)
class Chunk:
    """Days to bring up to date now.

    Attributes:
        days: All of them.
        unshown: Those that the tile lacks.
        unsaved: Those that Mongo lacks.
    """

    days: frozenset[StoreDay] = frozenset()
    unshown: frozenset[StoreDay] = frozenset()
    unsaved: frozenset[StoreDay] = frozenset()


@dataclass
class _Unsaved:
    """Days that Mongo lacks, those that wait longest first, and where each partition's records begin that it lacks."""

    days: dict[StoreDay, None] = field(default_factory=dict)
    since: dict[int, int] = field(default_factory=dict)

    def put(self, other: _Unsaved) -> None:
        self.days |= other.days
        for partition, first in other.since.items():
            self.since[partition] = min(first, self.since.get(partition, first))


@dataclass
class _Unshown:
    """The newest day of each store that the tile lacks, those that wait longest first: it shows no other."""

    newest: dict[str, int] = field(default_factory=dict)

    def put(self, days: Iterable[StoreDay]) -> None:
        for store, day in days:
            self.newest[store] = max(day, self.newest.get(store, day))


class DirtyDays:
    """The days. One thread marks them dirty while another takes and acknowledges chunks of them, one after the other.

    They are worked off in *passes*: what is behind when a pass begins is done once, however often it changes
    meanwhile; that is the next pass's. So every day gets its turn, and a pass that was saved to its end leaves no
    record behind that was there before it. What a read model does not take is behind again, whatever became of the
    other one: neither waits for the other.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unsaved, self._unsaved_in_pass = _Unsaved(), _Unsaved()
        self._unshown, self._unshown_in_pass = _Unshown(), _Unshown()
        self._chunk, self._tile_first = Chunk(), True
        self._upto: dict[int, int] = {}

    @property
    def days(self) -> int:
        """How many Mongo lacks."""
        with self._lock:
            waiting = self._unsaved.days
            return len(waiting) + len(self._unsaved_in_pass.days.keys() - waiting.keys())

    @property
    def between_passes(self) -> bool:
        """Whether all that was behind when the last pass began had its turn."""
        with self._lock:
            return self._is_between_passes()

    @property
    def records(self) -> int:
        """How many records of a partition may be counted of which Mongo knows nothing, at most."""
        with self._lock:
            firsts = [*self._unsaved.since.items(), *self._unsaved_in_pass.since.items()]
            return max((self._upto[partition] - first for partition, first in firsts), default=0)

    def mark(self, days: Iterable[StoreDay], partition: int, first: int, last: int) -> None:
        """Note the days that a batch changed, if any, and the offsets of its records."""
        changed = dict.fromkeys(days)
        with self._lock:
            self._upto[partition] = last
            if changed:
                self._unsaved.put(_Unsaved(changed, {partition: first}))
                self._unshown.put(changed)

    def add(self, days: Iterable[StoreDay]) -> None:
        """Note days that an earlier process may have left behind."""
        left = dict.fromkeys(days)
        with self._lock:
            self._unsaved.put(_Unsaved(left))
            self._unshown.put(left)

    def take(self, at_most: int, *, saves: bool, shows: bool) -> Chunk:
        """The next days of the pass, or the first ones of a new pass; :meth:`ack` them before the next.

        Args:
            at_most: So many.
            saves: Whether Mongo can be asked; days that it alone lacks wait where it cannot.
            shows: Whether the tile can be.
        """
        with self._lock:
            if not saves:
                self._put_back_unsaved()
            if not shows:
                self._put_back_unshown()
            if self._is_between_passes():
                if saves:
                    self._unsaved_in_pass, self._unsaved = self._unsaved, _Unsaved()
                if shows:
                    self._unshown_in_pass, self._unshown = self._unshown, _Unshown()
            unshown, unsaved = self._unshown_in_pass.newest.items(), self._unsaved_in_pass.days.keys()
            # Each read model comes first in turn: a day that cannot be read must not keep the other's from theirs.
            self._tile_first = not self._tile_first
            first, second = (unshown, unsaved) if self._tile_first else (unsaved, unshown)
            # A day can be in both, which makes the chunk smaller.
            days = frozenset(islice(chain(first, second), at_most))
            self._chunk = Chunk(days, days & unshown, days & unsaved)
            return self._chunk

    def ack(self, *, shown: bool, saved: bool) -> None:
        """Report the result of the chunk that was taken last.

        What failed waits behind all others: it must not keep them from their turn.
        """
        with self._lock:
            for store, _ in self._chunk.unshown:
                del self._unshown_in_pass.newest[store]
            if not shown:
                self._put_back_unshown()
                self._unshown.put(self._chunk.unshown)
            for day in self._chunk.unsaved:
                del self._unsaved_in_pass.days[day]
            if not saved:
                self._put_back_unsaved()
                self._unsaved.put(_Unsaved(dict.fromkeys(self._chunk.unsaved)))
            elif not self._unsaved_in_pass.days:
                self._unsaved_in_pass = _Unsaved()

    def _is_between_passes(self) -> bool:
        return not (self._unsaved_in_pass.days or self._unshown_in_pass.newest)

    def _put_back_unsaved(self) -> None:
        self._unsaved.put(self._unsaved_in_pass)
        self._unsaved_in_pass = _Unsaved()

    def _put_back_unshown(self) -> None:
        self._unshown.put(self._unshown_in_pass.newest.items())
        self._unshown_in_pass = _Unshown()
