"""A reader of partitions in memory."""

from __future__ import annotations

import time
from collections.abc import Mapping

from connectors.errors import Refused, Unavailable
from connectors.kafka.memory.broker import MemoryBroker
from connectors.kafka.records import ConsumerRecord, TopicPartition

_TIMEOUT_SECONDS = 10.0
_TIMESTAMP_CREATE_TIME = 1


class MemoryMessage:
    """A record with the methods of ``confluent_kafka.Message`` that readers call; its length is that of its value."""

    def __init__(self, record: ConsumerRecord) -> None:
        self._record = record

    def topic(self) -> str:
        """The topic's name."""
        return self._record.topic

    def partition(self) -> int:
        """The partition's number."""
        return self._record.partition

    def offset(self) -> int:
        """Its place in the partition."""
        return self._record.offset

    def key(self) -> bytes | None:
        """The key, or None."""
        return self._record.key

    def value(self) -> bytes | None:
        """The payload; None is a tombstone."""
        return self._record.value

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        """Names and values, in order; None where there are none."""
        return list(self._record.headers) or None

    def timestamp(self) -> tuple[int, int]:
        """The kind of its time, and epoch milliseconds."""
        return _TIMESTAMP_CREATE_TIME, self._record.timestamp_ms

    def error(self) -> None:
        """None: errors are raised."""

    def __len__(self) -> int:
        return len(self._record.value or b"")


class MemoryReader:
    """Implements :class:`connectors.kafka.reader.RecordReader` on a broker in memory.

    Attributes:
        topic: The topic's name.

    Args:
        broker: Where the topic is.
        topic: The topic.
        group: The consumer group under which applied offsets are published.
        timeout_seconds: How long a question may take.
    """

    def __init__(self, broker: MemoryBroker, topic: str, group: str, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        self._broker, self.topic, self._timeout = broker, topic, timeout_seconds
        self._group = broker.group(group)
        self._positions: dict[int, int] = {}

    def partitions(self) -> list[int]:
        """See :meth:`RecordReader.partitions`."""
        self._ask()
        count = self._broker.partition_counts().get(self.topic)
        if count is None:
            raise Refused(f"no topic {self.topic!r}: run 'marketplace provision'")
        return list(range(count))

    def range_of(self, partition: int) -> tuple[int, int]:
        """See :meth:`RecordReader.range_of`."""
        self._ask()
        return self._broker.range_of(TopicPartition(self.topic, partition))

    def add(self, partition: int, offset: int) -> None:
        """See :meth:`RecordReader.add`."""
        self._positions[partition] = offset

    def consume(self, max_records: int, timeout_seconds: float) -> list[MemoryMessage]:
        """See :meth:`RecordReader.consume`."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            found = self._fetch(max_records) if self._broker.available and not self._broker.hangs else []
            if found or not self._broker.wait(deadline):
                return found

    def read_at(self, offsets: Mapping[int, int]) -> dict[int, bytes]:
        """See :meth:`RecordReader.read_at`."""
        self._ask()
        found = {}
        for partition, offset in offsets.items():
            source = TopicPartition(self.topic, partition)
            self._check(source, offset)
            if records := self._broker.read(source, offset, 1):
                found[partition] = records[0].value or b""
        return found

    def publish(self, offsets: Mapping[int, int]) -> None:
        """See :meth:`RecordReader.publish`."""
        if self._broker.available and not self._broker.hangs:
            self._group.offsets |= {TopicPartition(self.topic, number): at for number, at in offsets.items()}

    def close(self) -> None:
        """Stop reading."""
        self._positions.clear()

    def _ask(self) -> None:
        if not self._broker.responds(self._timeout):
            raise Unavailable("Kafka does not respond")

    def _check(self, source: TopicPartition, offset: int) -> None:
        start, end = self._broker.range_of(source)
        if not start <= offset <= end:
            raise Refused(f"{source}: the log has offsets {start} to {end}, and not {offset}")

    def _fetch(self, max_records: int) -> list[MemoryMessage]:
        found: list[MemoryMessage] = []
        for partition, offset in self._positions.items():
            source = TopicPartition(self.topic, partition)
            self._check(source, offset)
            records = self._broker.read(source, offset, max_records - len(found))
            self._positions[partition] = offset + len(records)
            found += map(MemoryMessage, records)
        return found
