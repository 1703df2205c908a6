"""Store days whose read models are older than their rollups; touched by the flow, brought up to date by a thread."""

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
        untold: Those that the tile lacks.
        unsaved: Those that Mongo lacks; empty in a pass that was begun without it.
    """

    days: frozenset[StoreDay] = frozenset()
    untold: frozenset[StoreDay] = frozenset()
    unsaved: frozenset[StoreDay] = frozenset()


@dataclass
class _Days:
    """Days, those that wait longest first, and where each partition's records begin that Mongo lacks of them."""

    unsaved: dict[StoreDay, None] = field(default_factory=dict)
    untold: dict[StoreDay, None] = field(default_factory=dict)
    since: dict[int, int] = field(default_factory=dict)

    def put_back(self, other: _Days) -> None:
        self.unsaved |= other.unsaved
        self.untold |= other.untold
        for partition, first in other.since.items():
            self.since[partition] = min(first, self.since.get(partition, first))


class Behind:
    """The days. One thread touches them while another takes and settles chunks of them, one after the other.

    They are worked off in *passes*: what is behind when a pass begins is done once, however often it is touched
    meanwhile; that is the next pass's. So every day gets its turn, and a pass that was saved to its end leaves no
    record behind that was there before it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting, self._pass, self._chunk = _Days(), _Days(), Chunk()
        self._upto: dict[int, int] = {}
        self._saves = False

    @property
    def days(self) -> int:
        """How many Mongo lacks."""
        with self._lock:
            return len(self._waiting.unsaved) + len(self._pass.unsaved.keys() - self._waiting.unsaved.keys())

    @property
    def between_passes(self) -> bool:
        """Whether all that was behind when the last pass began had its turn."""
        with self._lock:
            return not (self._pass.unsaved or self._pass.untold)

    @property
    def records(self) -> int:
        """How many records of a partition may be counted of which Mongo knows nothing, at most."""
        with self._lock:
            firsts = [*self._waiting.since.items(), *self._pass.since.items()]
            return max((self._upto[partition] - first for partition, first in firsts), default=0)

    def touch(self, days: Iterable[StoreDay], partition: int, first: int, last: int) -> None:
        """Note the days that a batch changed, if any, and the offsets of its records."""
        touched = dict.fromkeys(days)
        with self._lock:
            self._upto[partition] = last
            if touched:
                self._waiting.put_back(_Days(touched, touched, {partition: first}))

    def add(self, days: Iterable[StoreDay]) -> None:
        """Note days that an earlier process may have left behind."""
        with self._lock:
            self._waiting.unsaved |= dict.fromkeys(days)

    def take(self, at_most: int, saves: bool) -> Chunk:
        """The next days of the pass, or the first ones of a new pass; :meth:`settle` them before the next.

        Args:
            at_most: So many.
            saves: Whether Mongo can be asked; days that it alone lacks wait where it cannot.
        """
        with self._lock:
            if not (self._pass.unsaved or self._pass.untold):
                self._begin(saves)
            # A day can be in both, which makes the chunk smaller.
            days = frozenset(islice(chain(self._pass.untold, self._pass.unsaved), at_most))
            self._chunk = Chunk(days, days & self._pass.untold.keys(), days & self._pass.unsaved.keys())
            return self._chunk

    def settle(self, *, told: bool, saved: bool) -> None:
        """What became of the chunk that was taken last."""
        with self._lock:
            for done, days, chunk in (
                (told, self._pass.untold, self._chunk.untold),
                (saved, self._pass.unsaved, self._chunk.unsaved),
            ):
                for day in chunk:
                    del days[day]
                # What failed goes to the end: it must not keep others from their turn.
                days |= {} if done else dict.fromkeys(chunk)
            if not told or (self._saves and not saved):
                self._waiting.put_back(self._pass)
                self._pass = _Days()
            elif not (self._pass.unsaved or self._pass.untold):
                self._pass = _Days()

    def _begin(self, saves: bool) -> None:
        self._saves = saves
        if saves:
            self._pass, self._waiting = self._waiting, _Days()
        else:
            self._pass, self._waiting.untold = _Days(untold=self._waiting.untold), {}
