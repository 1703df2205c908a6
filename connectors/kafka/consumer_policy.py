"""How a group consumer works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ConsumerPolicy:
    """Bounds and times of a group consumer.

    Attributes:
        threads: How many handlers run at one time, each on a partition of its own; with more than one the handler has
            to be safe to share between threads.
        poll_records: The most records of one poll.
        queued_records: Fetched records that wait in this process, over all partitions. Beyond it nothing is fetched
            for half a second; after that, partitions with more than their share are paused, and others may fill
            theirs, so that twice as many are never exceeded by more than a poll.
        queued_bytes: The same in bytes.
        commit_seconds: How often offsets are committed; so much is handled twice after a kill.
        revoke_seconds: How long a handler at work may hold up a rebalance before its partition is given up. To be
            well below the poll interval.
        handler_seconds: A handler that takes longer is reported; it is not stopped, and the group is not left.
        backoff_seconds: Pauses after the first, second, ... attempt that ended with Unavailable; the last one repeats.
    """

    threads: int = 1
    poll_records: int = 500
    queued_records: int = 2_000
    queued_bytes: int = 32 << 20
    commit_seconds: float = 0.5
    revoke_seconds: float = 10.0
    handler_seconds: float = 60.0
    backoff_seconds: tuple[float, ...] = (0.5, 1.0, 2.0, 5.0, 10.0)
