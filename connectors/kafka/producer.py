"""Writing to Kafka: every record acknowledged, or an error that says what to do with it.

The producer is idempotent (``acks=all``), so librdkafka's own retries neither duplicate nor reorder. A caller that
retries after :class:`Unavailable` may write a record twice; consumers find such copies by the record's own key.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Message

from connectors.kafka import authentication
from connectors.kafka.ack_watch import PROBE_SECONDS, AckWatch
from connectors.kafka.authentication import AuthenticationWatch, authentication_failure, new_client
from connectors.kafka.client_config import KafkaConnection, client_config
from connectors.kafka.records import (
    AuthenticationFailed,
    ProduceError,
    Record,
    Refused,
    TooLarge,
    Unavailable,
    size_bytes,
)

_POLL_SECONDS: Final = 0.1
_PUMP_SECONDS: Final = 0.002
_TOO_LARGE: Final = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
_PERMANENT: Final = frozenset({KafkaError.INVALID_MSG, KafkaError.INVALID_RECORD, KafkaError._INVALID_ARG})
_ANY_PARTITION: Final = -1
_STUCK_CLOSE_SECONDS: Final = 1.0


class Producer:
    """A thread-safe idempotent producer.

    The waiting caller serves the delivery reports: the calling thread, or the event loop every few milliseconds. A
    thread of its own would fight the event loop for the interpreter once per record.

    Args:
        kafka: Where Kafka is and how to connect; a bootstrap list alone means no encryption and no user.
        client_id: The name in the broker's logs and quotas.
        delivery_timeout_seconds: After this long without an acknowledgement a record counts as not written.
        linger_ms: How long librdkafka waits for a fuller batch. It sends one request for each partition: at 12,000
            records a second, 10 ms instead of 5 saved the broker a quarter of its CPU.
        max_in_flight_bytes: A call that would go beyond this is refused at once with :class:`Unavailable`.
        max_record_bytes: The largest record that the client tries to send.
        stuck_seconds: Once nothing was acknowledged for so long while something waited, all calls fail at once, except
            for a probe now and then, until something is acknowledged; by default each call waits for itself.
    """

    def __init__(
        self,
        kafka: KafkaConnection | str,
        *,
        client_id: str,
        delivery_timeout_seconds: float = 10.0,
        linger_ms: int = 10,
        max_in_flight_bytes: int = 64 * 1024 * 1024,
        max_record_bytes: int = 1_048_576,
        stuck_seconds: float = float("inf"),
    ) -> None:
        timeout_ms = max(1, int(delivery_timeout_seconds * 1000))
        self._config = client_config(
            kafka,
            client_id,
            {
                "acks": "all",
                "enable.idempotence": True,
                "compression.type": "lz4",
                "linger.ms": linger_ms,
                "delivery.timeout.ms": timeout_ms,
                "message.max.bytes": max_record_bytes,
                # The bound is kept here by bytes in flight; librdkafka's own two must lie above it.
                "queue.buffering.max.kbytes": max(1, 2 * max_in_flight_bytes // 1024),
                "queue.buffering.max.messages": 0,
                "allow.auto.create.topics": False,
                "topic.metadata.refresh.interval.ms": 60_000,
                "topic.metadata.propagation.max.ms": timeout_ms,
            },
        )
        self._config["error_cb"] = self._on_error
        self._max_in_flight_bytes = max_in_flight_bytes
        self._in_flight_bytes = 0
        self._lock = threading.Lock()
        self._fatal = False
        self._closed = False
        self._client = new_client(confluent_kafka.Producer, self._config)
        self._pump: asyncio.Task[None] | None = None
        self._watch, self._connections = AckWatch(stuck_seconds), AuthenticationWatch()
        self._waiting: dict[asyncio.Future[None], None] = {}

    def send_all(self, records: Sequence[Record], timeout_seconds: float) -> None:
        """Write records and wait until Kafka has them all.

        Args:
            records: Any number; none is done at once.
            timeout_seconds: How long to wait for the acknowledgements.

        Raises:
            Unavailable: Not all were acknowledged in time, or Kafka is stuck; none, some or all of them may be written.
            Refused: At least one will never be taken; the others are written or may be.
        """
        if not records:
            return
        done: Future[None] = Future()
        now = time.monotonic()
        probes = self._watch.admit(now)
        if probes:
            timeout_seconds = min(timeout_seconds, PROBE_SECONDS)
        self._enqueue(records, _settle(done), now)
        deadline = now + timeout_seconds
        while not done.done():
            left_seconds = deadline - time.monotonic()
            if left_seconds <= 0:
                raise self._late(timeout_seconds)
            self._serve(min(left_seconds, _POLL_SECONDS))
            if self._watch.look(time.monotonic()) and not probes and not done.done():
                raise self._watch.failure()
        done.result()

    async def send_all_async(self, records: Sequence[Record], timeout_seconds: float) -> None:
        """The same without blocking the event loop; see :meth:`send_all`."""
        if not records:
            return
        now = time.monotonic()
        probes = self._watch.admit(now)
        if probes:
            timeout_seconds = min(timeout_seconds, PROBE_SECONDS)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        here = threading.get_ident()

        def settle(error: ProduceError | None) -> None:
            if threading.get_ident() == here:
                _finish(done, error)
                return
            # The loop is gone when the process is going down; and no caller waits any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_finish, done, error)

        self._enqueue(records, settle, now)
        if not probes:
            self._waiting[done] = None
        if self._pump is None or self._pump.done():
            self._pump = loop.create_task(self._serve_while_in_flight())
        late = loop.call_later(timeout_seconds, lambda: _finish(done, self._late(timeout_seconds)))
        try:
            await done
        finally:
            late.cancel()
            self._waiting.pop(done, None)

    def partition_count(self, topic: str, timeout_seconds: float) -> int:
        """How many partitions a topic has, asked of the brokers.

        Raises:
            Unavailable: No broker answered in time, or there is no such topic.
            AuthenticationFailed: Brokers do not let the producer in.
        """
        try:
            client = self._client
            found = self._connections.ask(
                lambda seconds: client.list_topics(topic, timeout=seconds), lambda: client.poll(0), timeout_seconds
            )
            metadata = found.topics[topic]
        except authentication.AuthenticationFailed as error:
            raise AuthenticationFailed(str(error)) from None
        except KafkaException as error:
            raise Unavailable(f"no answer from Kafka: {error.args[0].str()}") from None
        if metadata.error is not None or not metadata.partitions:
            reason = metadata.error.str() if metadata.error else "it has no partition"
            raise Unavailable(f"topic {topic}: {reason}")
        return len(metadata.partitions)

    def close(self, timeout_seconds: float) -> None:
        """Send what is queued, up to a time, and stop; safe to call twice. What is left fails as unavailable."""
        if self._closed:
            return
        self._closed = True
        self._client.flush(min(timeout_seconds, _STUCK_CLOSE_SECONDS) if self._watch.stuck else timeout_seconds)
        self._client.purge()
        self._client.flush(_POLL_SECONDS)

    def _enqueue(self, records: Sequence[Record], settle: Callable[[ProduceError | None], None], now: float) -> None:
        bytes_of_call = size_bytes(records)
        if self._fatal:
            self._replace_client()
        with self._lock:
            if self._closed:
                raise Unavailable("the producer is closed")
            if self._in_flight_bytes and self._in_flight_bytes + bytes_of_call > self._max_in_flight_bytes:
                raise Unavailable("too much is waiting for Kafka already")
            self._in_flight_bytes += bytes_of_call
            client = self._client
        self._watch.began(now)

        def settled(error: ProduceError | None) -> None:
            with self._lock:
                self._in_flight_bytes -= bytes_of_call
            self._watch.ended()
            settle(error)

        call = _Call(records, settled, self._watch)
        produce, delivered = client.produce, call.delivered
        for index, record in enumerate(records):
            try:
                produce(
                    record.topic,
                    record.value,
                    record.key,
                    _ANY_PARTITION if record.partition is None else record.partition,
                    delivered,
                    headers=list(record.headers),
                )
            except BufferError:
                call.count(Unavailable("the queue to Kafka is full"))
            except KafkaException as error:
                call.count(_typed(index, error.args[0]))

    def _late(self, timeout_seconds: float) -> Unavailable:
        if self._watch.stuck:
            return self._watch.failure()
        return Unavailable(f"no acknowledgement from Kafka within {timeout_seconds:g} s")

    async def _serve_while_in_flight(self) -> None:
        while self._in_flight_bytes and not self._closed:
            self._serve(0)
            if self._watch.look(time.monotonic()) and self._waiting:
                for done in self._waiting:
                    _finish(done, self._watch.failure())
                self._waiting.clear()
            await asyncio.sleep(_PUMP_SECONDS)

    def _serve(self, timeout_seconds: float) -> None:
        self._client.poll(timeout_seconds)
        if self._fatal:
            self._replace_client()

    def _on_error(self, error: KafkaError) -> None:
        if reason := authentication_failure(error):
            self._watch.authentication_failed(reason)
            self._connections.on_error(error)
        # Fatal means that this librdkafka client is finished for good: a lost log, a fenced epoch.
        if error.fatal() or error.code() == KafkaError._FATAL:
            self._fatal = True

    def _replace_client(self) -> None:
        with self._lock:
            if not self._fatal:
                return
            finished, self._client = self._client, new_client(confluent_kafka.Producer, self._config)
            self._fatal = False
        finished.purge()
        finished.flush(_POLL_SECONDS)


class _Call:
    """Counts the delivery reports of one call and settles it at the last one."""

    __slots__ = ("_count", "_error", "_lock", "_records", "_settle", "_total", "_watch")

    def __init__(
        self, records: Sequence[Record], settle: Callable[[ProduceError | None], None], watch: AckWatch
    ) -> None:
        self._records = records
        self._total = len(records)
        # Taking the next number is one step of the interpreter: no lock is needed for it.
        self._count = itertools.count(1).__next__
        self._settle = settle
        self._watch = watch
        self._error: ProduceError | None = None
        self._lock = threading.Lock()

    def delivered(self, error: KafkaError | None, message: Message) -> None:
        """A delivery report; one method for all records of a call, because it runs once per record."""
        if error is not None:
            self.count(_typed(self._index_of(message), error))
            return
        self._watch.acked = True
        if self._count() == self._total:
            self._settle(self._error)

    def count(self, error: ProduceError) -> None:
        with self._lock:
            # A permanent refusal says more than a passing one: retrying the call as it is would not help.
            if self._error is None or isinstance(error, Refused):
                self._error = error
        if self._count() == self._total:
            self._settle(self._error)

    def _index_of(self, message: Message) -> int:
        key, value = message.key(), message.value()
        return next((i for i, record in enumerate(self._records) if record.value == value and record.key == key), 0)


def _typed(index: int, error: KafkaError) -> ProduceError:
    if error.code() in _TOO_LARGE:
        return TooLarge(index, error.str())
    if error.code() in _PERMANENT:
        return Refused(index, error.str())
    return Unavailable(f"Kafka did not take a record: {error.str()}")


def _settle(done: Future[None]) -> Callable[[ProduceError | None], None]:
    def settle(error: ProduceError | None) -> None:
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    return settle


def _finish(done: asyncio.Future[None], error: ProduceError | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
