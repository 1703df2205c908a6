"""What a group consumer counts, as one consistent snapshot; how it is exported is the service's affair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connectors.kafka.records import TopicPartition


@dataclass(frozen=True)
class PartitionMetrics:
    """One partition that this member owns.

    Attributes:
        lag: Records behind the end of the log, by offsets, as of a moment ago; None before the end is known.
        queued: Records in this process that are not handled.
        attempt: How often the record whose turn it is was tried before.
        waits_for: Why it is tried again; empty where it is not.
        paused_seconds: How long the partition stays paused.
    """

    lag: int | None
    queued: int
    attempt: int
    waits_for: str
    paused_seconds: float


@dataclass
class Counts:
    """Since the start.

    Attributes:
        handled: Records whose handler returned.
        retried: Attempts that ended in a retry, also for a dead letter that was not acknowledged.
        rejected: Records that became dead letters.
        abandoned: Handlers that were still at work when their partition had to be given up; the outcome of their
            record is decided by the member that has it now.
        overdue: Handlers that took longer than they may.
        rebalances: Times that partitions came, went or were lost.
        lost: Partitions that were lost without notice.
        commits: Commits that the broker acknowledged.
        failed_commits: Commits that it did not; their records may be handled twice.
    """

    handled: int = 0
    retried: int = 0
    rejected: int = 0
    abandoned: int = 0
    overdue: int = 0
    rebalances: int = 0
    lost: int = 0
    commits: int = 0
    failed_commits: int = 0


@dataclass(frozen=True)
class ConsumerMetrics:
    """All of it at one moment."""

    partitions: Mapping[TopicPartition, PartitionMetrics]
    counts: Counts
