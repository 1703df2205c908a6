"""What a group consumer knows of one partition that it owns: the records that wait, and how far it has come."""

from __future__ import annotations

from collections import deque

from connectors.kafka.records import ConsumerRecord, TopicPartition
from marketplace.errors import Reject

_NEVER = float("-inf")


class PartitionWork:
    """One partition between its assignment and its revocation. Not safe to share between threads: its owner locks.

    One record is handled at a time, in the order of the log, so the offset after the last handled one is always the
    one to commit.

    Args:
        source: The partition.
        offset: Where the group is; None where it has no offset yet.

    Attributes:
        next_offset: The offset after the last handled record, or the group's; None where neither is known.
        committed: What the broker has acknowledged for the group.
        sent: What was sent to be committed; None where that failed.
        running: Whether a handler works on the first record.
        started_at: When it began, in seconds of the consumer's clock.
        overdue: Whether it was reported for taking too long.
        scheduled: Whether a thread will look at it.
        attempt: How often the first record was tried before.
        rejection: Why the first record is rejected, while its dead letter is not acknowledged.
        waits_for: Why the first record is tried again; empty where it is not.
        paused_until: It is not worked on before; in seconds of the consumer's clock.
        fetching: Whether the client fetches it; the client forgets what it fetched ahead of a paused partition.
        draining: It is being revoked: no further record is begun.
    """

    def __init__(self, source: TopicPartition, offset: int | None) -> None:
        self.source = source
        self.next_offset = self.committed = self.sent = offset
        self.running = self.overdue = self.scheduled = self.draining = False
        self.started_at = 0.0
        self.attempt = 0
        self.rejection: Reject | None = None
        self.waits_for = ""
        self.paused_until = _NEVER
        self.fetching = True
        self._queue: deque[ConsumerRecord] = deque()
        self._queued_bytes = 0

    @property
    def queued_records(self) -> int:
        """Records that wait, the one that is handled included."""
        return len(self._queue)

    @property
    def queued_bytes(self) -> int:
        """What they take."""
        return self._queued_bytes

    @property
    def uncommitted(self) -> int | None:
        """The offset to commit; None where the broker has acknowledged it."""
        return None if self.next_offset == self.committed else self.next_offset

    @property
    def unsent(self) -> int | None:
        """The same; None also where it is on its way to the broker."""
        return None if self.next_offset == self.sent else self.uncommitted

    def add(self, record: ConsumerRecord) -> None:
        """A record that was fetched."""
        self._queue.append(record)
        self._queued_bytes += record.size_bytes

    def first(self) -> ConsumerRecord | None:
        """The record whose turn it is."""
        return self._queue[0] if self._queue else None

    def can_begin(self, now: float) -> bool:
        """Whether a handler may begin the first record."""
        return bool(self._queue) and not self.running and not self.draining and now >= self.paused_until

    def begin(self, now: float) -> None:
        """A handler works on the first record from now on."""
        self.running, self.overdue, self.started_at = True, False, now

    def finish(self) -> None:
        """The first record is done: handled, or a dead letter."""
        record = self._queue.popleft()
        self._queued_bytes -= record.size_bytes
        self.next_offset = record.offset + 1
        self.attempt, self.rejection, self.waits_for = 0, None, ""

    def retry(self, until: float, reason: str) -> None:
        """The first record is tried again later."""
        self.attempt += 1
        self.waits_for = reason
        self.paused_until = max(self.paused_until, until)

    def drain(self) -> None:
        """Begin nothing more, and let go of what was not begun."""
        self.draining = True
        while len(self._queue) > self.running:
            self._queued_bytes -= self._queue.pop().size_bytes
