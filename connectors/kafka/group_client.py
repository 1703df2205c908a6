"""What a group consumer needs of a Kafka client; the client on Kafka and the in-memory one keep one contract."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from connectors import errors
from connectors.kafka.records import ConsumerRecord, TopicPartition


@dataclass(frozen=True)
class Membership:
    """How a member belongs to its group.

    Attributes:
        group: The group's id.
        topics: What it reads.
        instance_id: Makes it a static member: a restart within the session timeout gets its partitions back without a
            rebalance, and a second process with the same id fences the first.
        session_seconds: After so long without a heartbeat it is dead to the group.
        poll_seconds: After so long without a poll it leaves the group; at least the session timeout.
    """

    group: str
    topics: Sequence[str]
    instance_id: str | None = None
    session_seconds: float = 45.0
    poll_seconds: float = 300.0


class OffsetGap(errors.Refused):
    """The log does not go on at the group's offset: records are gone that were never handled. Stop loudly.

    To accept the loss, commit an offset that exists for the group, while no member runs.

    Attributes:
        topic, partition: Where.
        offset: The next one that the group would handle.
        log_start: The first offset that the broker has.
        log_end: The one that the next record will get.
        missing: How many offsets lie in the gap; 0 where the log ends before the group's offset.
    """

    def __init__(self, topic: str, partition: int, offset: int, log_start: int, log_end: int) -> None:
        self.topic, self.partition, self.offset = topic, partition, offset
        self.log_start, self.log_end = log_start, log_end
        self.missing = max(0, log_start - offset)
        super().__init__(
            f"{topic}[{partition}]: {self.missing} records are gone: the group is at {offset}, and the log starts at "
            f"{log_start}; its retention was shorter than the group's pause"
            if self.missing
            else f"{topic}[{partition}]: the log ends at {log_end}, before the group's offset {offset}; the topic was "
            "recreated or truncated"
        )

    def __reduce__(self) -> tuple[type[OffsetGap], tuple[str, int, int, int, int]]:
        return type(self), (self.topic, self.partition, self.offset, self.log_start, self.log_end)


class RebalanceListener(Protocol):
    """What happens to the assignment; called inside :meth:`GroupClient.poll`."""

    def assigned(self, offsets: Mapping[TopicPartition, int | None]) -> None:
        """Partitions that are this member's from now on, with the group's offsets; None where it has none."""

    def revoked(self, partitions: Collection[TopicPartition]) -> None:
        """Partitions that another member gets next: until this returns, they are still this member's."""

    def lost(self, partitions: Collection[TopicPartition]) -> None:
        """Partitions that may be another member's already."""


class GroupClient(Protocol):
    """One member of a consumer group. All calls come from one thread; only closing may come from another, afterwards.

    A client that polls in one thread keeps the calls of others waiting, possibly for good.
    """

    def subscribe(self, listener: RebalanceListener) -> None:
        """Join the group; partitions come while polling."""

    def poll(self, max_records: int, timeout_seconds: float) -> list[ConsumerRecord]:
        """Records of the assigned partitions that are not paused, in order within each.

        Reading begins at the group's offset, or at the earliest record where it has none. Brokers that do not respond
        are waited for inside; the result is then empty.

        Args:
            max_records: The most that come at once.
            timeout_seconds: How long to wait for the first one.

        Raises:
            OffsetGap: The log does not go on at a partition's offset.
            Refused: The broker will never serve this member: a missing topic or right.
            Fenced: Another member with the same instance id has taken over.
        """

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """Fetch no more of these until they are resumed; the next record is the one after the last that came."""

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """Fetch these again."""

    def commit(self, offsets: Mapping[TopicPartition, int], done: Callable[[Exception | None], None]) -> None:
        """Store the group's offsets, each that of the next record to be handled, without waiting.

        Args:
            offsets: By partition.
            done: Called once, at the latest by a later poll: with None when the broker has stored them all, with
                Fenced or Refused where it never will, with Unavailable where it is not known. It is never called where
                the client is closed before the broker responds.
        """

    def commit_now(self, offsets: Mapping[TopicPartition, int], timeout_seconds: float) -> Exception | None:
        """Store the group's offsets and wait until they are; also inside a :class:`RebalanceListener`.

        Returns:
            None when the broker has stored them all in time, or an error as for :meth:`commit`.
        """

    def watermarks(self, partition: TopicPartition) -> tuple[int, int] | None:
        """The first offset and the one that the next record will get, as of the last fetch; None before it."""

    def close(self, timeout_seconds: float) -> bool:
        """Leave the group; returns False where that was not done in time. Safe to call twice."""
