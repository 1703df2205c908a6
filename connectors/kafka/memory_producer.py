"""An in-memory twin of the producer, held to the same contract suite."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final
from zlib import crc32

from connectors.kafka.ack_watch import PROBE_SECONDS, AckWatch
from connectors.kafka.records import Record, TooLarge, Unavailable
from connectors.twin import Twin

_TICK_SECONDS: Final = 0.002


@dataclass(frozen=True)
class _Wait:
    began_at: float
    deadline: float
    probes: bool


class MemoryProducer(Twin):
    """Keeps records in lists, one per topic and partition.

    Args:
        partitions: The topics there are, and how many partitions each has.
        max_record_bytes: The largest record it takes.
        stuck_seconds: As for :class:`connectors.kafka.producer.Producer`.

    Attributes:
        answers: Cleared, questions about topics wait until it is set again, while records are still acknowledged.
    """

    def __init__(
        self,
        partitions: Mapping[str, int],
        *,
        max_record_bytes: int = 1_048_576,
        stuck_seconds: float = float("inf"),
    ) -> None:
        super().__init__()
        self._logs: dict[str, list[list[Record]]] = {name: [[] for _ in range(n)] for name, n in partitions.items()}
        self._max_record_bytes = max_record_bytes
        self._lock = threading.Lock()
        self._closed = False
        self._turn = count()
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
        if self._closed or not self.available:
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
        if not self.hangs and now - wait.began_at >= self.latency_seconds:
            self._watch.acked = True
        stuck = self._watch.look(now)
        if not self.hangs and now - wait.began_at >= self.latency_seconds:
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
                self._log(record).append(record)
        if refused is not None:
            raise refused

    def partition_count(self, topic: str, timeout_seconds: float) -> int:
        """How many partitions a topic has.

        Raises:
            Unavailable: ``available`` is False, no answer came in time, or there is no such topic.
        """
        if not self.answers.wait(timeout_seconds) or not self._answers(timeout_seconds) or topic not in self._logs:
            raise Unavailable(f"topic {topic}: no answer")
        return len(self._logs[topic])

    def close(self, timeout_seconds: float) -> None:
        """Take no more records."""
        self._closed = True

    def records(self, topic: str) -> list[Record]:
        """What a topic holds, partition by partition."""
        return [record for log in self._logs[topic] for record in log]

    def log(self, topic: str, partition: int) -> list[Record]:
        """What one partition holds, in order."""
        return list(self._logs[topic][partition])

    def _log(self, record: Record) -> list[Record]:
        logs = self._logs.get(record.topic)
        if logs is None:
            raise Unavailable(f"topic {record.topic}: there is no such topic")
        if record.partition is None:
            chosen = next(self._turn) if record.key is None else crc32(record.key)
            return logs[chosen % len(logs)]
        if record.partition >= len(logs):
            raise Unavailable(f"topic {record.topic}: there is no partition {record.partition}")
        return logs[record.partition]
