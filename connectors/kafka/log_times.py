"""When records of a topic were written, and where the topic ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from connectors.errors import Unavailable
from connectors.kafka.authentication import AuthenticationFailed, AuthenticationWatch, new_client
from connectors.kafka.client_config import KafkaConnection, client_config

_TIMEOUT_SECONDS: Final = 3.0
_PAUSE_SECONDS: Final = 0.02
_NO_LEADER: Final = frozenset(
    {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART}
)
_AWAY_SECONDS: Final = 15.0
"""After a failure, calls fail fast for this many seconds."""


class LogTimes:
    """Looks into a topic; belongs to no consumer group. Safe to share between threads.

    Args:
        kafka: Where Kafka is and how to connect; a bootstrap list alone means no encryption and no user.
        topic: The topic.
    """

    def __init__(self, kafka: KafkaConnection | str, topic: str) -> None:
        self._topic, self._lock, self._again_at = topic, threading.Lock(), 0.0
        self._connections = AuthenticationWatch()
        self._consumer = new_client(
            confluent_kafka.Consumer,
            client_config(
                kafka,
                f"{topic}.times",
                {
                    "group.id": f"{topic}.times",
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest",
                    "queued.max.messages.kbytes": 1024,
                    # A consumer has one fetch under way at a broker; the next question waits for its end.
                    "fetch.wait.max.ms": 10,
                    "error_cb": self._connections.on_error,
                },
            ),
        )

    def ends(self) -> dict[int, int]:
        """The offset that the next record of each partition will get.

        Raises:
            Unavailable: No broker answers.
        """
        with self._asking():
            found = self._metadata().topics[self._topic]
            if found.error is not None:
                raise Unavailable(f"Kafka has no topic {self._topic}: {found.error.str()}")
            return {partition: self._end(partition) for partition in sorted(found.partitions)}

    def written_at(self, partition: int, offset: int) -> datetime | None:
        """When the first record at or after an offset was written; None if it does not come in time.

        Raises:
            Unavailable: No broker answers.
        """
        with self._asking():
            self._consumer.assign([TopicPartition(self._topic, partition, offset)])
            try:
                messages = self._consumer.consume(1, _TIMEOUT_SECONDS)
            finally:
                self._consumer.unassign()
        if not messages or messages[0].error() is not None:
            return None
        return datetime.fromtimestamp(messages[0].timestamp()[1] / 1000, UTC)

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        with self._lock:
            if time.monotonic() < self._again_at:
                raise Unavailable("Kafka did not answer a moment ago")
            try:
                yield
            except AuthenticationFailed:
                self._again_at = time.monotonic() + _AWAY_SECONDS
                raise
            except KafkaException as error:
                self._again_at = time.monotonic() + _AWAY_SECONDS
                raise Unavailable(f"Kafka does not answer: {error.args[0].str()}") from error

    def _metadata(self) -> Any:
        consumer = self._consumer
        return self._connections.ask(
            lambda seconds: consumer.list_topics(self._topic, timeout=seconds),
            lambda: consumer.poll(0),
            _TIMEOUT_SECONDS,
        )

    def _end(self, partition: int) -> int:
        place, deadline = TopicPartition(self._topic, partition), time.monotonic() + _TIMEOUT_SECONDS
        while True:
            try:
                return int(self._consumer.get_watermark_offsets(place, timeout=_TIMEOUT_SECONDS)[1])
            except KafkaException as error:
                if error.args[0].code() not in _NO_LEADER or time.monotonic() > deadline:
                    raise
            # A topic that was made a moment ago, or a leader that has moved: the client keeps its view until it asks.
            self._consumer.list_topics(self._topic, timeout=_TIMEOUT_SECONDS)
            time.sleep(_PAUSE_SECONDS)
