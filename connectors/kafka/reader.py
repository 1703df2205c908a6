"""Reading chosen partitions from chosen offsets: one consumer for all of them, nothing decided by the broker."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import is_, methodcaller
from typing import Any, Final, Protocol, TypeVar

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from connectors.errors import Refused, Unavailable
from connectors.kafka.authentication import AuthenticationWatch, new_client
from connectors.kafka.client_config import KafkaConnection, client_config

_TIMEOUT_SECONDS: Final = 10.0
_FETCH_WAIT_MS: Final = 50
_FETCH_MIN_BYTES: Final = 256 << 10
"""The broker responds when it has this much, or after the wait. Responding to each record took a third of its CPU at
12,000 records a second, and readers take records in rounds of 0.4 s anyway."""
_ERROR: Final = methodcaller("error")
_IS_NONE: Final = partial(is_, None)
_OUT_OF_RANGE: Final = frozenset(
    {KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION}
)

_Result = TypeVar("_Result")


class RecordReader(Protocol):
    """What reads partitions of one topic, on Kafka or in memory."""

    @property
    def topic(self) -> str:
        """The topic's name."""

    def partitions(self) -> list[int]:
        """The topic's partitions."""

    def range_of(self, partition: int) -> tuple[int, int]:
        """The first offset that the broker has, and the one that the next record will get."""

    def add(self, partition: int, offset: int) -> None:
        """Begin to read a partition at an offset."""

    def consume(self, max_records: int, timeout_seconds: float) -> Sequence[Any]:
        """Up to ``max_records`` messages of all partitions, in order within each."""

    def read_at(self, offsets: Mapping[int, int]) -> dict[int, bytes]:
        """The values of single records, by partition; without those that are not there."""

    def publish(self, offsets: Mapping[int, int]) -> None:
        """Show the group's offsets to lag tools."""

    def close(self) -> None:
        """Leave."""


class PartitionReader:
    """Reads partitions of one topic. Not safe to share between threads.

    A stored offset that the broker no longer has is an error, never a silent jump. Fetched but unread records take at
    most ``max_queued_bytes`` of memory over all partitions.

    Attributes:
        topic: The topic's name.

    Args:
        kafka: Where Kafka is and how to connect; a bootstrap list alone means no encryption and no user.
        topic: The topic.
        group: The consumer group under which applied offsets are published for lag tools; it assigns nothing.
        max_queued_bytes: Bound on records fetched ahead.
        max_fetch_bytes: Bound on what one partition sends at once; a record that is larger comes all the same.
        timeout_seconds: How long a question may take.
    """

    def __init__(
        self,
        kafka: KafkaConnection | str,
        topic: str,
        group: str,
        max_queued_bytes: int = 64 << 20,
        max_fetch_bytes: int = 4 << 20,
        timeout_seconds: float = _TIMEOUT_SECONDS,
    ) -> None:
        self.topic, self._timeout = topic, timeout_seconds
        self._connections = AuthenticationWatch()
        self._consumer = new_client(
            confluent_kafka.Consumer,
            client_config(
                kafka,
                group,
                {
                    "group.id": group,
                    "enable.auto.commit": False,
                    "enable.auto.offset.store": False,
                    "auto.offset.reset": "error",
                    "enable.partition.eof": False,
                    "queued.max.messages.kbytes": max_queued_bytes // 1024,
                    "fetch.wait.max.ms": _FETCH_WAIT_MS,
                    "fetch.min.bytes": min(_FETCH_MIN_BYTES, max_fetch_bytes),
                    "fetch.message.max.bytes": max_fetch_bytes,
                    "topic.metadata.refresh.interval.ms": 30_000,
                    "error_cb": self._connections.on_error,
                },
            ),
        )

    def partitions(self) -> list[int]:
        """The topic's partitions.

        Raises:
            Unavailable: No broker answers.
            Refused: There is no such topic.
        """
        try:
            found = self._metadata().topics[self.topic]
        except KafkaException as error:
            raise Unavailable(f"Kafka does not answer: {error.args[0].str()}") from error
        if found.error is not None or not found.partitions:
            raise Refused(f"no topic {self.topic!r}: run 'marketplace provision'")
        return sorted(found.partitions)

    def range_of(self, partition: int) -> tuple[int, int]:
        """The first offset that the broker has, and the one that the next record will get.

        Raises:
            Unavailable: No broker answers.
        """
        place = TopicPartition(self.topic, partition)
        try:
            try:
                low, high = self._ask(lambda seconds: self._consumer.get_watermark_offsets(place, timeout=seconds))
            except KafkaException:
                # A client that met the topic while it had no leader keeps that view until it asks for metadata.
                self._metadata()
                low, high = self._consumer.get_watermark_offsets(place, timeout=self._timeout)
        except KafkaException as error:
            raise Unavailable(f"Kafka does not answer: {error.args[0].str()}") from error
        return int(low), int(high)

    def add(self, partition: int, offset: int) -> None:
        """Begin to read a partition at an offset."""
        self._consumer.incremental_assign([TopicPartition(self.topic, partition, offset)])

    def consume(self, max_records: int, timeout_seconds: float) -> list[Any]:
        """Up to ``max_records`` records (``confluent_kafka.Message``) of all partitions, in order within each.

        Brokers that are unavailable are waited for inside; the result is then empty.

        Raises:
            Refused: An offset is not (or no longer) on the broker: the topic was recreated or its retention was
                shorter than the pause. Nothing is skipped silently.
            Unavailable: The broker rejects the reader for another reason, such as a right that was revoked.
            AuthenticationFailed: No broker has let the reader in for ten seconds.
        """
        found = self._consumer.consume(max_records, timeout_seconds)
        if not found:
            self._connections.check()
            return found
        # Errors come one in millions: to ask all at once costs a third of asking each.
        # By identity: an error of the client raises when it is compared with None.
        if all(map(_IS_NONE, map(_ERROR, found))):
            return found
        messages = []
        for message in found:
            error = message.error()
            if error is None:
                messages.append(message)
            elif error.code() in _OUT_OF_RANGE:
                raise Refused(
                    f"{self.topic}[{message.partition()}]: {error.str()}. The log does not reach back to where the "
                    "tables end; see docs/how-to/recover.md"
                )
            elif error.code() > 0 and not error.retriable():
                raise Unavailable(f"Kafka rejects reading {self.topic}[{message.partition()}]: {error.str()}")
        return messages

    def read_at(self, offsets: Mapping[int, int]) -> dict[int, bytes]:
        """The values of single records, by partition; without those that are not there.

        For a reader that reads nothing else.

        Args:
            offsets: One that the broker has for each partition; see :meth:`range_of`.

        Raises:
            Unavailable: No broker answers in time.
            Refused: An offset is not on the broker any more.
        """
        self._consumer.incremental_assign([TopicPartition(self.topic, p, offset) for p, offset in offsets.items()])
        waiting, found = dict(offsets), {}
        deadline = time.monotonic() + self._timeout
        while waiting:
            if time.monotonic() > deadline:
                raise Unavailable(f"Kafka does not answer: {self.topic}{sorted(waiting)} sends no records")
            for message in self.consume(100, 0.1):
                # The first record is the one asked for, or else the next one there is.
                if waiting.pop(message.partition(), None) == message.offset():
                    found[message.partition()] = message.value() or b""
        self._consumer.incremental_unassign([TopicPartition(self.topic, p) for p in offsets])
        return found

    def publish(self, offsets: Mapping[int, int]) -> None:
        """Commit the group's offsets (the next to be read); best effort, for lag tools only."""
        if offsets:
            marks = [TopicPartition(self.topic, partition, offset) for partition, offset in offsets.items()]
            try:
                self._consumer.commit(offsets=marks, asynchronous=True)
            except KafkaException:
                return  # the next epoch publishes again, and nothing reads these back

    def _metadata(self) -> Any:
        return self._ask(lambda seconds: self._consumer.list_topics(self.topic, timeout=seconds))

    def _ask(self, question: Callable[[float], _Result]) -> _Result:
        return self._connections.ask(question, self._serve, self._timeout)

    def _serve(self) -> None:
        # A question must not take records of what is being read; while something is, errors come with them.
        if not self._consumer.assignment():
            self._consumer.consume(1, 0.0)

    def close(self) -> None:
        """Leave."""
        self._consumer.close()
