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
        """When the first record at or after an offset was written; None if it cannot be told in time."""


@dataclass(frozen=True)
class Completeness:
    """How far counting has come.

    Attributes:
        until: Everything received before this moment is counted; None where it cannot be told.
        waiting: How many received events are still to be counted.
    """

    until: datetime | None
    waiting: int


class Freshness:
    """Compares the log with what the tables say they hold; the flow itself is not asked, so it may be dead.

    Args:
        log: The topic.
        applied: Asks for the highest offset of each partition that all tables hold.
    """

    def __init__(self, log: Log, applied: Callable[[], Mapping[int, int]]) -> None:
        self._log, self._applied = log, applied

    def look(self, now: datetime) -> Completeness:
        """As of now.

        Args:
            now: A moment before this call; where nothing waits, everything received before it is counted.

        Raises:
            Unavailable: Kafka or ClickHouse is away.
        """
        # The log's end first: what is written between the two questions only makes the answer more careful.
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
