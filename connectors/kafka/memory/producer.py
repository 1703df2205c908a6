"""A producer in memory."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from connectors.kafka.ack_watch import PROBE_SECONDS, AckWatch
from connectors.kafka.memory.broker import MemoryBroker
from connectors.kafka.records import Record, TooLarge, TopicPartition, Unavailable
from connectors.twin import Twin

_TICK_SECONDS: Final = 0.002


@dataclass(frozen=True)
class _Wait:
    began_at: float
    deadline: float
    probes: bool


class MemoryProducer(Twin):
    """Implements :class:`connectors.kafka.records.RecordProducer` on a broker in memory.

    It can be unavailable, hang and crawl by itself, as behind a network of its own, or because its broker does.

    Args:
        broker: Where it writes; given the number of partitions by topic, it makes a broker of its own.
        max_record_bytes: The largest record that it takes.
        stuck_seconds: As for :class:`connectors.kafka.producer.Producer`.

    Attributes:
        broker: Where it writes.
        answers: Cleared, questions about topics wait until it is set again, while records are still acknowledged.
    """

    def __init__(
        self,
        broker: MemoryBroker | Mapping[str, int],
        *,
        max_record_bytes: int = 1_048_576,
        stuck_seconds: float = float("inf"),
    ) -> None:
        super().__init__()
        self.broker = broker if isinstance(broker, MemoryBroker) else MemoryBroker(broker)
        self._max_record_bytes = min(max_record_bytes, self.broker.max_record_bytes)
        self._lock = threading.Lock()
        self._closed = False
        self._watch = AckWatch(stuck_seconds)
        self.answers = threading.Event()
        self.answers.set()

    def send_all(self, records: Sequence[Record], timeout_seconds: float) -> None:
        """Write records; see :meth:`connectors.kafka.producer.Producer.send_all`.

        Raises:
            Unavailable: ``available`` is False, it hangs, it is closed, or there is no such topic or partition.
            Refused: A record is too large; the others are written.
        """
        if records:
            with self._waiting(timeout_seconds) as wait:
                while not self._acknowledges(wait):
                    time.sleep(_TICK_SECONDS)
            self._write(records)

    async def send_all_async(self, records: Sequence[Record], timeout_seconds: float) -> None:
        """The same; it gives way to the event loop at least once."""
        await asyncio.sleep(0)
        if records:
            with self._waiting(timeout_seconds) as wait:
                while not self._acknowledges(wait):
                    await asyncio.sleep(_TICK_SECONDS)
            self._write(records)

    @contextmanager
    def _waiting(self, timeout_seconds: float) -> Iterator[_Wait]:
        if self._closed or not (self.available and self.broker.available):
            raise Unavailable("the producer is closed" if self._closed else "no broker answers")
        now = time.monotonic()
        probes = self._watch.admit(now)
        self._watch.began(now)
        try:
            yield _Wait(now, now + (min(timeout_seconds, PROBE_SECONDS) if probes else timeout_seconds), probes)
        finally:
            self._watch.ended()

    def _acknowledges(self, wait: _Wait) -> bool:
        now = time.monotonic()
        latency_seconds = max(self.latency_seconds, self.broker.latency_seconds)
        answered = not (self.hangs or self.broker.hangs) and now - wait.began_at >= latency_seconds
        if answered:
            self._watch.acked = True
        stuck = self._watch.look(now)
        if answered:
            return True
        if stuck and not wait.probes:
            raise self._watch.failure()
        if self._closed or now >= wait.deadline:
            raise Unavailable("the producer is closed" if self._closed else "no acknowledgement in time")
        return False

    def _write(self, records: Sequence[Record]) -> None:
        refused: TooLarge | None = None
        with self._lock:
            for index, record in enumerate(records):
                if len(record.value) > self._max_record_bytes:
                    refused = TooLarge(index, "larger than the largest record")
                    continue
                self.broker.append(record)
        if refused is not None:
            raise refused

    def partition_count(self, topic: str, timeout_seconds: float) -> int:
        """How many partitions a topic has.

        Raises:
            Unavailable: ``available`` is False, no answer came in time, or there is no such topic.
        """
        answered = self.answers.wait(timeout_seconds) and self._answers(timeout_seconds)
        count = self.broker.partition_count(topic, timeout_seconds) if answered else None
        if count is None:
            raise Unavailable(f"topic {topic}: no answer")
        return count

    def close(self, timeout_seconds: float) -> None:
        """Take no more records."""
        self._closed = True

    def records(self, topic: str) -> list[Record]:
        """What a topic has, partition by partition."""
        return [
            record
            for partition in range(self.broker.partition_counts()[topic])
            for record in self.log(topic, partition)
        ]

    def log(self, topic: str, partition: int) -> list[Record]:
        """What one partition has, in order."""
        return self.broker.log(TopicPartition(topic, partition))
