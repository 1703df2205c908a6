"""A member of a group in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping

from connectors.errors import Fenced, Refused, Unavailable
from connectors.kafka.group_client import Membership, OffsetGap, RebalanceListener
from connectors.kafka.memory.broker import MemoryBroker
from connectors.kafka.memory.group import Member
from connectors.kafka.records import ConsumerRecord, TopicPartition


class MemoryGroupClient:
    """Implements :class:`connectors.kafka.group_client.GroupClient`. It heartbeats until it is closed or killed.

    Args:
        broker: Where the topics are.
        membership: Which group, and how.
    """

    def __init__(self, broker: MemoryBroker, membership: Membership) -> None:
        self._broker, self._membership = broker, membership
        self._group = broker.group(membership.group)
        self._listener: RebalanceListener | None = None
        self._member: Member | None = None
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._response_at: float | None = None
        self._turn = 0
        self._killed = self._closed = False

    def subscribe(self, listener: RebalanceListener) -> None:
        """See :meth:`GroupClient.subscribe`."""
        self._listener = listener

    def poll(self, max_records: int, timeout_seconds: float) -> list[ConsumerRecord]:
        """See :meth:`GroupClient.poll`."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            records = self._poll_once(max_records)
            if records or not self._broker.wait(deadline):
                return records

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """See :meth:`GroupClient.pause`."""
        self._paused |= set(partitions)

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """See :meth:`GroupClient.resume`."""
        self._paused -= set(partitions)

    def commit(self, offsets: Mapping[TopicPartition, int], done: Callable[[Exception | None], None]) -> None:
        """See :meth:`GroupClient.commit`."""
        member, stored = self._member, dict(offsets)

        def store() -> None:
            failure: Exception | None = None
            with self._broker.changed:
                if self._killed:
                    return
                try:
                    if member is None or not (self._broker.available and self._broker.stores_commits):
                        raise Unavailable("offsets were not stored")
                    self._group.commit(member, stored)
                except (Fenced, Unavailable) as error:
                    failure = error
            # Without the broker's lock: who waits for this may ask the broker something with a lock of its own.
            done(failure)

        self._broker.when_it_responds(store)

    def commit_now(self, offsets: Mapping[TopicPartition, int], timeout_seconds: float) -> Exception | None:
        """See :meth:`GroupClient.commit_now`."""
        results: list[Exception | None] = []
        self.commit(offsets, results.append)
        deadline = time.monotonic() + timeout_seconds
        while not results and self._broker.wait(deadline):
            pass
        return results[0] if results else Unavailable("no response in time")

    def watermarks(self, partition: TopicPartition) -> tuple[int, int] | None:
        """See :meth:`GroupClient.watermarks`."""
        return self._broker.range_of(partition) if partition in self._positions else None

    def close(self, timeout_seconds: float) -> bool:
        """See :meth:`GroupClient.close`. A static member stays in the group until its session is over."""
        deadline = time.monotonic() + timeout_seconds
        while self._broker.hangs and self._broker.wait(deadline):
            pass
        with self._broker.changed:
            if not self._closed and self._member is not None:
                if self._member.instance_id is None and not self._broker.hangs:
                    self._group.leave(self._member, self._broker.partition_counts())
                else:
                    self._member.silent_since = self._broker.monotonic()
            self._closed = True
            self._broker.changed.notify_all()
            return not self._broker.hangs

    def kill(self) -> None:
        """As SIGKILL of its process: it neither heartbeats nor polls nor commits any more, and does not leave."""
        with self._broker.changed:
            self._killed = True
            if self._member is not None and self._member.silent_since is None:
                self._member.silent_since = self._broker.monotonic()

    def _poll_once(self, max_records: int) -> list[ConsumerRecord]:
        with self._broker.changed:
            if self._killed or self._closed:
                return []
            now = self._broker.monotonic()
            if self._broker.hung_seconds >= self._membership.session_seconds:
                # The broker will say the same when it responds again.
                self._member = None
                self._lose()
            if self._broker.hangs or not self._broker.available:
                self._response_at = None
                return []
            self._group.expire(now, self._broker.partition_counts())
            self._rebalance(now)
            return self._fetch(max_records, now)

    def _lose(self) -> None:
        lost = list(self._positions)
        self._positions.clear()
        self._paused.clear()
        if lost:
            self._unlocked(lambda listener: listener.lost(lost))

    def _rebalance(self, now: float) -> None:
        counts = self._broker.partition_counts()
        if self._member is not None and self._member.fenced:
            self._lose()
            raise Fenced("another member with the same instance id has taken over")
        if self._member is None or not self._group.has(self._member):
            self._lose()
            if missing := [topic for topic in self._membership.topics if topic not in counts]:
                raise Refused(f"not all of the topics exist: {missing}")
            wish = self._membership
            self._member = Member(wish.topics, wish.session_seconds, wish.poll_seconds, wish.instance_id, now)
            self._group.join(self._member, counts)
        member = self._member
        member.polled_at = now
        if revoked := self._group.to_revoke(member):
            self._unlocked(lambda listener: listener.revoked(revoked))
            for source in revoked:
                self._positions.pop(source, None)
                self._paused.discard(source)
            self._group.revoke(revoked)
            self._broker.changed.notify_all()
        if assigned := self._group.assign(member):
            offsets = {source: self._group.offsets.get(source) for source in assigned}
            for source, offset in offsets.items():
                self._positions[source] = self._broker.range_of(source)[0] if offset is None else offset
            self._unlocked(lambda listener: listener.assigned(offsets))

    def _fetch(self, max_records: int, now: float) -> list[ConsumerRecord]:
        latency_seconds = self._broker.latency_seconds
        if self._response_at is None:
            self._response_at = now + latency_seconds
        if now < self._response_at:
            return []
        found: list[ConsumerRecord] = []
        sources = list(self._positions)
        # Each poll begins with another partition, so that none starves the others.
        self._turn += 1
        for index in range(len(sources)):
            source = sources[(self._turn + index) % len(sources)]
            if source in self._paused or len(found) >= max_records:
                continue
            position = self._positions[source]
            start, end = self._broker.range_of(source)
            if not start <= position <= end:
                raise OffsetGap(*source, position, start, end)
            records = self._broker.read(source, position, max_records - len(found))
            self._positions[source] = position + len(records)
            found += records
        if found and latency_seconds:
            self._response_at = None
        return found

    def _unlocked(self, call: Callable[[RebalanceListener], None]) -> None:
        # The listener waits for handlers and has a lock of its own: others must not wait for the broker's meanwhile.
        assert self._listener is not None, "subscribe first"
        self._broker.changed.release()
        try:
            call(self._listener)
        finally:
            self._broker.changed.acquire()
