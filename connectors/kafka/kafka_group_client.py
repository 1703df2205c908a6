"""A member of a consumer group on Kafka."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from connectors.errors import Fenced, Refused, Unavailable
from connectors.kafka.group_client import Membership, OffsetGap, RebalanceListener
from connectors.kafka.records import ConsumerRecord, TopicPartition

_log = logging.getLogger(__name__)

_QUERY_SECONDS: Final = 3.0
_UNKNOWN_TOPIC_SECONDS: Final = 15.0
"""A topic that was created a moment ago may be unknown to a broker for so long."""

_OUT_OF_RANGE: Final = frozenset(
    {KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION}
)
_FENCED: Final = frozenset({KafkaError.FENCED_INSTANCE_ID, KafkaError._FENCED})
_NEVER: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.INCONSISTENT_GROUP_PROTOCOL,
        KafkaError.INVALID_SESSION_TIMEOUT,
        KafkaError.GROUP_MAX_SIZE_REACHED,
    }
)


class KafkaGroupClient:
    """Implements :class:`connectors.kafka.group_client.GroupClient` with librdkafka.

    Args:
        bootstrap: The bootstrap list.
        membership: Which group, and how.
        max_queued_bytes: Bound on what librdkafka fetches ahead, over all partitions.
        max_fetch_bytes: Bound on what one partition sends at once; a record that is larger comes all the same.
        offsets_seconds: How long an assignment waits for the group's offsets before it leaves them to librdkafka, which
            asks until the broker responds; lag is unknown until then.
    """

    def __init__(
        self,
        bootstrap: str,
        membership: Membership,
        *,
        max_queued_bytes: int = 16 << 20,
        max_fetch_bytes: int = 1 << 20,
        offsets_seconds: float = 3.0,
    ) -> None:
        self._topics, self._offsets_seconds = list(membership.topics), offsets_seconds
        self._fatal: KafkaError | None = None
        self._unplaced: dict[TopicPartition, int] = {}
        self._unknown_since: float | None = None
        self._commits: deque[Callable[[Exception | None], None]] = deque()
        self._leaving: threading.Thread | None = None
        self._consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": membership.group,
                "client.id": membership.instance_id or membership.group,
                # The newer protocol refuses the assignor and the timeouts below, which the broker then chooses.
                "group.protocol": "classic",
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": int(membership.session_seconds * 1000),
                "heartbeat.interval.ms": max(1, int(min(3.0, membership.session_seconds / 6) * 1000)),
                "max.poll.interval.ms": int(membership.poll_seconds * 1000),
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                # An offset that the log does not have is reported, never replaced by another one.
                "auto.offset.reset": "error",
                "allow.auto.create.topics": False,
                "queued.max.messages.kbytes": max_queued_bytes // 1024,
                # When its queue is full librdkafka looks again only after this; by default a whole second.
                "fetch.queue.backoff.ms": 20,
                "fetch.message.max.bytes": max_fetch_bytes,
                "fetch.wait.max.ms": 100,
                "reconnect.backoff.ms": 100,
                "reconnect.backoff.max.ms": 1_000,
                "socket.timeout.ms": 10_000,
                "topic.metadata.refresh.interval.ms": 30_000,
                "log_level": 0,
                "error_cb": self._on_error,
                "on_commit": self._on_commit,
                **({"group.instance.id": membership.instance_id} if membership.instance_id else {}),
            }
        )

    def subscribe(self, listener: RebalanceListener) -> None:
        """See :meth:`GroupClient.subscribe`."""

        def assigned(_: Any, partitions: list[Any]) -> None:
            self._unknown_since = None
            offsets = self._group_offsets(partitions)
            for place in partitions:
                offset = offsets.get(_source(place))
                if offset is not None:
                    place.offset = offset
                elif offsets:
                    place.offset = confluent_kafka.OFFSET_BEGINNING
            self._consumer.incremental_assign(partitions)
            # A pause outlives a revocation inside librdkafka.
            self._consumer.resume(partitions)
            listener.assigned({_source(place): offsets.get(_source(place)) for place in partitions})

        def revoked(_: Any, partitions: list[Any]) -> None:
            listener.revoked([_source(place) for place in partitions])
            self._drop(partitions)

        def lost(_: Any, partitions: list[Any]) -> None:
            listener.lost([_source(place) for place in partitions])
            self._drop(partitions)

        self._consumer.subscribe(self._topics, on_assign=assigned, on_revoke=revoked, on_lost=lost)

    def poll(self, max_records: int, timeout_seconds: float) -> list[ConsumerRecord]:
        """See :meth:`GroupClient.poll`."""
        self._place()
        # consume() waits until it has as many as were asked for; poll() returns with the first.
        first = self._consumer.poll(timeout_seconds)
        if self._fatal is not None:
            raise _typed(self._fatal)
        if self._unknown_since is not None and time.monotonic() - self._unknown_since >= _UNKNOWN_TOPIC_SECONDS:
            raise Refused(f"not all of the topics {self._topics} exist: run 'marketplace provision'")
        if first is None:
            return []
        found = [first]
        if max_records > 1:
            found += self._consumer.consume(max_records - 1, 0)
        for message in found:
            if message.error() is not None:
                self._on_message_error(message)
        return [_record(message) for message in found if message.error() is None]

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """See :meth:`GroupClient.pause`."""
        self._consumer.pause([confluent_kafka.TopicPartition(*source) for source in partitions])

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """See :meth:`GroupClient.resume`."""
        self._consumer.resume([confluent_kafka.TopicPartition(*source) for source in partitions])

    def commit(self, offsets: Mapping[TopicPartition, int], done: Callable[[Exception | None], None]) -> None:
        """See :meth:`GroupClient.commit`."""
        places = [confluent_kafka.TopicPartition(*source, offset) for source, offset in offsets.items()]
        try:
            self._consumer.commit(offsets=places, asynchronous=True)
        except KafkaException as error:
            done(_typed(error.args[0]))
        else:
            self._commits.append(done)

    def commit_now(self, offsets: Mapping[TopicPartition, int], timeout_seconds: float) -> Exception | None:
        """See :meth:`GroupClient.commit_now`.

        A synchronous commit has no deadline, and the report of an asynchronous one comes with the next poll. But the
        coordinator responds in order: what it says of the group's offsets after the commit was sent includes it.
        """
        failures: list[Exception] = []
        self.commit(offsets, lambda error: failures.append(error) if error is not None else None)
        if failures:
            return failures[0]
        places = [confluent_kafka.TopicPartition(*source) for source in offsets]
        try:
            stored = self._consumer.committed(places, timeout=max(0.001, timeout_seconds))
        except KafkaException as error:
            return _typed(error.args[0])
        if all(place.error is None and place.offset == offsets[_source(place)] for place in stored):
            return None
        return Unavailable("Kafka did not store all offsets")

    def watermarks(self, partition: TopicPartition) -> tuple[int, int] | None:
        """See :meth:`GroupClient.watermarks`."""
        try:
            low, high = self._consumer.get_watermark_offsets(confluent_kafka.TopicPartition(*partition), cached=True)
        except (KafkaException, RuntimeError):
            return None
        return None if low < 0 or high < 0 else (int(low), int(high))

    def close(self, timeout_seconds: float) -> bool:
        """See :meth:`GroupClient.close`; where brokers do not respond, librdkafka goes on leaving in the background."""
        if self._leaving is None:
            self._leaving = threading.Thread(target=self._consumer.close, name="kafka-leave", daemon=True)
            self._leaving.start()
        self._leaving.join(timeout_seconds)
        return not self._leaving.is_alive()

    def _group_offsets(self, partitions: list[Any]) -> dict[TopicPartition, int | None]:
        """The group's offsets; empty where the broker does not say, and librdkafka asks again by itself then."""
        try:
            found = self._consumer.committed(list(partitions), timeout=self._offsets_seconds)
        except KafkaException:
            return {}
        if any(place.error is not None for place in found):
            return {}
        return {_source(place): place.offset if place.offset >= 0 else None for place in found}

    def _drop(self, partitions: list[Any]) -> None:
        for place in partitions:
            self._unplaced.pop(_source(place), None)
        self._consumer.incremental_unassign(partitions)

    def _place(self) -> None:
        """Find out why partitions have no place to read from, and give them one where the group has no offset."""
        for source, offset in list(self._unplaced.items()):
            place = confluent_kafka.TopicPartition(*source)
            try:
                low, high = self._consumer.get_watermark_offsets(place, timeout=_QUERY_SECONDS)
            except KafkaException:
                return
            if low <= offset <= high:
                place.offset = offset
            elif offset < 0:
                place.offset = confluent_kafka.OFFSET_BEGINNING
            else:
                raise OffsetGap(*source, offset, int(low), int(high))
            self._consumer.incremental_unassign([place])
            self._consumer.incremental_assign([place])
            del self._unplaced[source]

    def _on_message_error(self, message: Any) -> None:
        error = message.error()
        code = error.code()
        if code in _OUT_OF_RANGE:
            # Where the group has no offset, neither has the message.
            offset = message.offset()
            self._unplaced[TopicPartition(message.topic(), message.partition())] = -1 if offset is None else offset
        elif code == KafkaError.UNKNOWN_TOPIC_OR_PART:
            if self._unknown_since is None:
                self._unknown_since = time.monotonic()
        elif code == KafkaError._MAX_POLL_EXCEEDED:
            _log.error("the group was left: nothing was polled for too long")
        elif _is_fatal(error) or code in _NEVER or code in _FENCED:
            raise _typed(error)

    def _on_commit(self, error: KafkaError | None, places: list[Any]) -> None:
        # Reports come in the order of the commits.
        done = self._commits.popleft()
        failed = error or next((place.error for place in places if place.error is not None), None)
        done(None if failed is None else _typed(failed))

    def _on_error(self, error: KafkaError) -> None:
        if _is_fatal(error) or error.code() in _FENCED:
            self._fatal = error


def _typed(error: KafkaError) -> Exception:
    # A fatal error comes with a code of its own, and its cause only as text.
    if error.code() in _FENCED or (_is_fatal(error) and "fenced" in error.str()):
        return Fenced(f"another member with the same instance id has taken over: {error.str()}")
    if _is_fatal(error) or error.code() in _NEVER:
        return Refused(f"Kafka rejects the group member: {error.str()}")
    return Unavailable(f"Kafka did not store offsets: {error.str()}")


def _is_fatal(error: KafkaError) -> bool:
    return bool(error.fatal()) or error.code() == KafkaError._FATAL


def _source(place: Any) -> TopicPartition:
    return TopicPartition(place.topic, place.partition)


def _record(message: Any) -> ConsumerRecord:
    return ConsumerRecord(
        message.topic(),
        message.partition(),
        message.offset(),
        message.value(),
        message.key(),
        tuple(message.headers() or ()),
        max(0, message.timestamp()[1]),
    )
