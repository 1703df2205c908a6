"""The broker: topics with their logs, and the groups that read them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Final
from zlib import crc32

from connectors.kafka.memory.group import MemoryGroup
from connectors.kafka.records import ConsumerRecord, Record, TopicPartition, Unavailable
from connectors.twin import Twin

_TICK_SECONDS: Final = 0.005


@dataclass
class _Log:
    """One partition: records from ``start`` on."""

    start: int = 0
    records: list[Record] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.start + len(self.records)


class MemoryBroker(Twin):
    """Keeps records in lists. Safe to share between threads.

    Hanging, it responds to nothing, as a broker that was stopped: what clients sent meanwhile counts once it is
    released, and groups lose the members whose session ran out.

    Args:
        partitions: The topics there are, and how many partitions each has.
        max_record_bytes: The largest record that it takes.
        monotonic: Seconds of a monotonic clock; sessions and polls are timed by it.
        epoch_ms: Epoch milliseconds; records are stamped with it.

    Attributes:
        changed: Notified when a record was written or a group has changed; its lock guards everything here.
        stores_commits: Set to False, commits are neither stored nor acknowledged.
    """

    def __init__(
        self,
        partitions: Mapping[str, int],
        *,
        max_record_bytes: int = 1_048_576,
        monotonic: Callable[[], float] = time.monotonic,
        epoch_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        super().__init__()
        self.max_record_bytes = max_record_bytes
        self.monotonic, self._epoch_ms = monotonic, epoch_ms
        self.changed = threading.Condition()
        self.stores_commits = True
        self._logs: dict[str, list[_Log]] = {}
        self._groups: dict[str, MemoryGroup] = {}
        self._turn = count()
        self._hung_since: float | None = None
        self._waiting_calls: list[Callable[[], None]] = []
        for name, number in partitions.items():
            self.create_topic(name, number)

    def create_topic(self, name: str, partitions: int) -> None:
        """Make a topic; one that is there stays as it is."""
        with self.changed:
            self._logs.setdefault(name, [_Log() for _ in range(partitions)])
            for group in self._groups.values():
                group.rebalance(self.partition_counts())

    def partition_counts(self) -> dict[str, int]:
        """How many partitions each topic has."""
        with self.changed:
            return {name: len(logs) for name, logs in self._logs.items()}

    def partition_count(self, topic: str, timeout_seconds: float) -> int | None:
        """How many partitions a topic has; None where there is no such topic, or no response in time."""
        return self.partition_counts().get(topic) if self.responds(timeout_seconds) else None

    def responds(self, timeout_seconds: float) -> bool:
        """Whether it responds in time; waits for that."""
        return self._answers(timeout_seconds)

    def append(self, record: Record) -> int:
        """Write a record; returns its offset.

        Raises:
            Unavailable: There is no such topic or partition.
        """
        with self.changed:
            log = self._log_for(record)
            log.records.append(record)
            log.times_ms.append(self._epoch_ms())
            self.changed.notify_all()
            return log.end - 1

    def range_of(self, source: TopicPartition) -> tuple[int, int]:
        """The first offset of a partition, and the one that its next record will get."""
        with self.changed:
            log = self._logs[source.topic][source.partition]
            return log.start, log.end

    def read(self, source: TopicPartition, offset: int, max_records: int) -> list[ConsumerRecord]:
        """Records of a partition from an offset on, which has to be in its range."""
        with self.changed:
            log = self._logs[source.topic][source.partition]
            first = offset - log.start
            return [
                ConsumerRecord(
                    source.topic, source.partition, offset + index, record.value, record.key, record.headers, time_ms
                )
                for index, (record, time_ms) in enumerate(
                    zip(
                        log.records[first : first + max_records],
                        log.times_ms[first : first + max_records],
                        strict=True,
                    )
                )
            ]

    def delete_records(self, source: TopicPartition, before: int) -> None:
        """Delete the head of a partition, as retention does; offsets stay what they are."""
        with self.changed:
            log = self._logs[source.topic][source.partition]
            gone = min(max(0, before - log.start), len(log.records))
            del log.records[:gone], log.times_ms[:gone]
            log.start += gone

    def log(self, source: TopicPartition) -> list[Record]:
        """The records of a partition, as they were written."""
        with self.changed:
            return list(self._logs[source.topic][source.partition].records)

    def group(self, name: str) -> MemoryGroup:
        """A consumer group; it is there from the first question on."""
        with self.changed:
            return self._groups.setdefault(name, MemoryGroup())

    def hang(self) -> None:
        """Respond to nothing until :meth:`release`, as a process that was stopped."""
        with self.changed:
            if self._hung_since is None:
                self._hung_since = self.monotonic()
            super().hang()

    def release(self) -> None:
        """Respond to what waits, and to all that comes; sessions that ran out meanwhile are over."""
        with self.changed:
            super().release()
            if self._hung_since is not None:
                hung_seconds, self._hung_since = self.monotonic() - self._hung_since, None
                for group in self._groups.values():
                    group.expire_sessions_after(hung_seconds, self.partition_counts())
            waiting, self._waiting_calls = self._waiting_calls, []
            self.changed.notify_all()
        for call in waiting:
            call()

    @property
    def hung_seconds(self) -> float:
        """How long it has been hanging; 0 where it responds."""
        with self.changed:
            return 0.0 if self._hung_since is None else self.monotonic() - self._hung_since

    def when_it_responds(self, call: Callable[[], None]) -> None:
        """Call something now, or once it does not hang any more; the lock is not taken then."""
        with self.changed:
            if self.hangs:
                self._waiting_calls.append(call)
                return
        call()

    def wait(self, deadline: float) -> bool:
        """Wait for a change, a little while at most; returns False once the deadline (of the real clock) is over."""
        with self.changed:
            left_seconds = deadline - time.monotonic()
            if left_seconds > 0:
                self.changed.wait(min(left_seconds, _TICK_SECONDS))
            return left_seconds > 0

    def _log_for(self, record: Record) -> _Log:
        logs = self._logs.get(record.topic)
        if logs is None:
            raise Unavailable(f"topic {record.topic}: there is no such topic")
        if record.partition is None:
            chosen = next(self._turn) if record.key is None else crc32(record.key)
            return logs[chosen % len(logs)]
        if record.partition >= len(logs):
            raise Unavailable(f"topic {record.topic}: there is no partition {record.partition}")
        return logs[record.partition]
