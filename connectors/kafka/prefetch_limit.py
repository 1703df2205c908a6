"""How much a group consumer fetches ahead of its handlers."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from connectors.kafka.consumer_policy import ConsumerPolicy
from connectors.kafka.partition_work import PartitionWork

_STALL_SECONDS: Final = 0.5


class PrefetchLimit:
    """Decides when nothing is fetched, and from which partitions. The time is passed in.

    Pausing a partition is expensive: the client drops what it has ahead of it, and fetches that again. So a full queue
    first waits for the handlers, who as a rule are fast. Only when it stays full are partitions paused, those with
    more than their share, and the others go on. A partition that waits for a retry is paused at once.

    Args:
        policy: How much may be queued.
    """

    def __init__(self, policy: ConsumerPolicy) -> None:
        self._policy = policy
        self._full_since: float | None = None

    def is_full(self, works: Collection[PartitionWork]) -> bool:
        """Whether as much is queued as may be."""
        records, size_bytes = sum(work.queued_records for work in works), sum(work.queued_bytes for work in works)
        return records >= self._policy.queued_records or size_bytes >= self._policy.queued_bytes

    def holds_back(self, works: Collection[PartitionWork], now: float) -> bool:
        """Whether to fetch nothing at all for now, because handlers will soon have made room."""
        return self.is_full(works) and not self._stalls(now)

    def changes(self, works: Collection[PartitionWork], now: float) -> tuple[list[PartitionWork], list[PartitionWork]]:
        """The partitions to be paused, and those to be resumed."""
        if not self.is_full(works):
            self._full_since = None
        elif self._full_since is None:
            self._full_since = now
        share = 1 / max(1, len(works))
        pause, resume = [], []
        for work in works:
            waits = now < work.paused_until
            part = max(work.queued_records / self._policy.queued_records, work.queued_bytes / self._policy.queued_bytes)
            if work.fetching and (waits or (self._stalls(now) and part >= share)):
                pause.append(work)
            elif not work.fetching and not waits and part <= share / 2:
                resume.append(work)
        return pause, resume

    def _stalls(self, now: float) -> bool:
        return self._full_since is not None and now - self._full_since >= _STALL_SECONDS
