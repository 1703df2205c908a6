"""What is written to Kafka and read from it, and what can go wrong: each error says what to do with the records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from connectors import errors
from connectors.kafka import authentication

_RECORD_OVERHEAD_BYTES: Final = 256


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record to write.

    Attributes:
        topic: The topic's name.
        value: The payload.
        key: The key, or None.
        partition: An explicit partition, or None to let the key (or chance) choose.
        headers: Names and values, in order.
    """

    topic: str
    value: bytes
    key: bytes | None = None
    partition: int | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"


class ConsumerRecord(msgspec.Struct, frozen=True, gc=False):
    """One record as it was read.

    Attributes:
        topic: The topic's name.
        partition: The partition's number.
        offset: Its place in the partition.
        value: The payload; None is a tombstone.
        key: The key, or None.
        headers: Names and values, in order; None is a header without a value.
        timestamp_ms: The record's time by Kafka, epoch milliseconds.
    """

    topic: str
    partition: int
    offset: int
    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()
    timestamp_ms: int = 0

    @property
    def source(self) -> TopicPartition:
        """The partition in which it is."""
        return TopicPartition(self.topic, self.partition)

    @property
    def size_bytes(self) -> int:
        """What it is counted as against bounds on memory: key, value and a fixed overhead."""
        return len(self.value or b"") + len(self.key or b"") + _RECORD_OVERHEAD_BYTES


def size_bytes(records: Sequence[Record]) -> int:
    """What records are counted as against the bound on what is in flight."""
    return sum([len(record.value) for record in records]) + _RECORD_OVERHEAD_BYTES * len(records)


class ProduceError(Exception):
    """At least one record of a call was not acknowledged; others of it may have been."""


class Unavailable(ProduceError, errors.Unavailable):
    """Kafka did not acknowledge in time, or too much is in flight: pause, then send the same records again."""


class AuthenticationFailed(Unavailable, authentication.AuthenticationFailed):
    """Brokers do not accept the user, or the producer does not accept their certificates; see its base."""


class Refused(ProduceError, errors.Refused):
    """Kafka will never take this record: do not retry it.

    Attributes:
        index: Which record of the call.
        reason: Why, in Kafka's words.
    """

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"record {index}: {reason}")
        self.index = index
        self.reason = reason

    def __reduce__(self) -> tuple[type[Refused], tuple[int, str]]:
        return type(self), (self.index, self.reason)


class TooLarge(Refused):
    """The record is larger than the topic or the client allows."""


class RecordProducer(Protocol):
    """The producer's interface; the in-memory twin passes the same contract tests."""

    def send_all(self, records: Sequence[Record], timeout_seconds: float) -> None:
        """Write records and wait until Kafka has them all."""

    async def send_all_async(self, records: Sequence[Record], timeout_seconds: float) -> None:
        """The same without blocking the event loop."""

    def partition_count(self, topic: str, timeout_seconds: float) -> int:
        """How many partitions a topic has."""

    def close(self, timeout_seconds: float) -> None:
        """Send what is queued and stop; safe to call twice."""
