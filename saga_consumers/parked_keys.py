"""Which keys have parked events, as far as a process has to know it to ask Mongo about no others.

Nearly no order is ever parked, and asking Mongo at each event costs as much as knowing it by the inbox. So the keys are
read once where partitions are assigned, and whatever this process parks is added. A key that is here is asked about
again at each of its events, because operators retry and discard from elsewhere; only then is it forgotten.

A key that is not here is not parked, as far as its order needs it. Of each event of a partition one of these is so:

- It lies before the offset at which this process has begun. Then that offset was committed by a member whose
  partition it was, and a row is written before an offset moves, so the row was there when the keys were read.
- It lies behind that. Then this process has looked at it itself: it has handled it, or it has parked it and knows that.

What this process does not see is the row of a member that had the partition before, was frozen for longer than its
session, and rejects an event while this one has it by now. Such an event lies behind the offset, since nobody has
committed it: this process handles it, or rejects it as well. Handled once, it may be passed; its row stays, and who
retries it finds it in the inbox. The frozen member itself goes on with events that it has fetched, and is right by the
same reasons: it passes none whose effect is not there, unless it knows its key to be parked.

This needs all events of a key to be in one partition. Where partitions are added and keys move, their order is lost in
the log already.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Collection
from typing import Final

from connectors.kafka.records import TopicPartition

MOST_KEYS: Final = 50_000
"""Where more are parked, Mongo is asked at each event until partitions are assigned again."""

_UNKNOWN: Final = 0


class ParkedKeys:
    """The parked keys of one consumer. Safe to share between threads.

    Partitions that nobody has said to be assigned are not relied on: Mongo is asked at each of their events.

    Args:
        read: Reads keys that have parked events, at most so many; raises ``Unavailable``.
        most: See :data:`MOST_KEYS`.
    """

    def __init__(self, read: Callable[[int], Collection[str]], most: int = MOST_KEYS) -> None:
        self._read_some, self._most = read, most
        self._lock, self._reading = threading.Lock(), threading.Lock()
        self._marks: dict[str, int] = {}
        self._numbers = itertools.count(1)
        self._assigned: dict[TopicPartition, int] = {}
        self._read: dict[TopicPartition, int] = {}
        self._too_many = False

    def assigned(self, partitions: Collection[TopicPartition]) -> None:
        """Note that partitions are this process's from now on; before their first event the keys are read again."""
        with self._lock:
            self._too_many = False
            self._assigned |= {source: next(self._numbers) for source in partitions}

    def mark(self, source: TopicPartition, key: str) -> int | None:
        """A mark of a key that may have parked events, for :meth:`forget`; None where it has none.

        Raises:
            Unavailable: The keys are to be read, and Mongo does not answer.
        """
        if not self._is_read(source):
            # Threads that begin at one time read once.
            with self._reading:
                if not self._is_read(source):
                    self._read_keys()
        with self._lock:
            relied_on = source in self._assigned and not self._too_many
            return self._marks.get(key) if relied_on else self._marks.get(key, _UNKNOWN)

    def add(self, key: str) -> None:
        """Note that an event of a key may be parked, before it is."""
        with self._lock:
            self._marks[key] = next(self._numbers)

    def forget(self, key: str, mark: int) -> None:
        """Note that Mongo had nothing parked of a key, asked after its mark was taken; not if it was added since."""
        with self._lock:
            if self._marks.get(key) == mark:
                del self._marks[key]

    def _is_read(self, source: TopicPartition) -> bool:
        with self._lock:
            return source not in self._assigned or self._too_many or self._read.get(source) == self._assigned[source]

    def _read_keys(self) -> None:
        with self._lock:
            assigned = dict(self._assigned)
        keys = self._read_some(self._most + 1)
        with self._lock:
            if len(keys) > self._most:
                self._too_many = True
                return
            for key in keys:
                self._marks.setdefault(key, next(self._numbers))
            # Of partitions that were assigned meanwhile the keys are read once more.
            self._read = assigned
