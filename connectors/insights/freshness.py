"""Until when the numbers are complete: what has been received before is in every table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class Log(Protocol):
    """The topic of collected events."""

    def ends(self) -> dict[int, int]:
        """The offset that the next record of each partition will get."""

    def written_at(self, partition: int, offset: int) -> datetime | None:
        """When the first record at or after an offset was written; None if that cannot be found out in time."""


@dataclass(frozen=True)
class Completeness:
    """How far counting has come.

    Attributes:
        until: Everything received before this moment is counted; None where that is not known.
        waiting: How many received events are still to be counted.
    """

    until: datetime | None
    waiting: int


class Freshness:
    """Compares the log with the offsets in the tables; it works while the flow is down.

    Args:
        log: The topic.
        applied: Reads the highest offset of each partition that is in all tables.
    """

    def __init__(self, log: Log, applied: Callable[[], Mapping[int, int]]) -> None:
        self._log, self._applied = log, applied

    def look(self, now: datetime) -> Completeness:
        """Compare them once.

        Args:
            now: A moment before this call; if nothing is waiting, everything received before it is counted.

        Raises:
            Unavailable: Kafka or ClickHouse is unavailable.
        """
        # The log's end first: events that are counted between the two queries then make the result only more careful.
        ends = self._log.ends()
        applied = self._applied()
        until: datetime | None = now
        waiting = 0
        for partition, end in ends.items():
            following = applied.get(partition, -1) + 1
            if following >= end:
                continue
            waiting += end - following
            if until is None:
                continue
            written = self._log.written_at(partition, following)
            until = None if written is None else min(until, written)
        return Completeness(until, waiting)
