"""Reading a topic: one consumer per worker, which cuts each partition's records into micro-batches.

It starts where the tables end. The checkpoint table is written last, so its fence says what every table holds; the next
record after it is the first that is still to be done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import methodcaller
from typing import Any, Final, overload

from connectors.kafka.reader import RecordReader
from flows.delivery.batch import Headers, RawBatch
from flows.delivery.batch_limit import BatchLimit
from flows.delivery.fencing import Fences
from flows.delivery.resume import resume_offset
from marketplace.flows import FlowSpec

_PARTITION: Final = methodcaller("partition")
_VALUE: Final = methodcaller("value")
_RECORD_BYTES: Final = 300
"""What a record takes beside its value, about."""

ROUND_SECONDS: Final = 0.4


@dataclass(frozen=True)
class BatchPolicy:
    """How the source cuts batches.

    Attributes:
        max_records: The most records in a batch.
        round_seconds: How long after all partitions took a batch they take the next ones. A small batch costs as much
            as a larger one, and so does a small insert, so freshness is paid for with CPU. After a large batch there
            is no waiting: in a backlog each batch is a round of its own.
        large_batch: So many records at once are a backlog.
        max_pending_bytes: Held for partitions whose turn has not come; beyond it the broker's queue has to wait.
    """

    max_records: int = 50_000
    round_seconds: float = ROUND_SECONDS
    large_batch: int = 2_000
    max_pending_bytes: int = 128 << 20


class RecordHeaders(Sequence[Headers]):
    """The headers of messages; hardly ever asked for, so read only then."""

    def __init__(self, messages: Sequence[Any]) -> None:
        self._messages = messages

    @overload
    def __getitem__(self, at: int) -> Headers: ...

    @overload
    def __getitem__(self, at: slice) -> list[Headers]: ...

    def __getitem__(self, at: int | slice) -> Headers | list[Headers]:
        """Those of one message, or of a slice."""
        if isinstance(at, slice):
            return [message.headers() or () for message in self._messages[at]]
        return self._messages[at].headers() or ()

    def __len__(self) -> int:
        return len(self._messages)


class Timestamps(Sequence[int]):
    """The broker's times of messages, epoch milliseconds; hardly ever asked for, so read only then."""

    def __init__(self, messages: Sequence[Any]) -> None:
        self._messages = messages

    @overload
    def __getitem__(self, at: int) -> int: ...

    @overload
    def __getitem__(self, at: slice) -> list[int]: ...

    def __getitem__(self, at: int | slice) -> int | list[int]:
        """One time, or those of a slice."""
        if isinstance(at, slice):
            return [int(message.timestamp()[1]) for message in self._messages[at]]
        return int(self._messages[at].timestamp()[1])

    def __len__(self) -> int:
        return len(self._messages)


def _weight(messages: Sequence[Any]) -> int:
    """Bytes that messages take, about, without their headers."""
    return sum(map(len, messages)) + _RECORD_BYTES * len(messages)


def _weight_with_headers(messages: Sequence[Any]) -> int:
    """Bytes that messages take, about."""
    headers = sum(len(value or b"") for message in messages for _, value in message.headers() or ())
    return _weight(messages) + headers


def _offsets(messages: Sequence[Any]) -> Sequence[int]:
    """Ascending offsets; nearly always they are without a gap."""
    first, last = messages[0].offset(), messages[-1].offset()
    if last - first == len(messages) - 1:
        return range(first, last + 1)
    return [message.offset() for message in messages]


class TopicConsumer:
    """The one consumer of a worker for a topic; it hands each partition its records.

    Args:
        flow: What is read, and which table is the checkpoint.
        reader: The consumer.
        fences: What the tables hold of the topic.
        policy: How batches are cut.
        record_missing_head: Called with a partition that the tables know nothing of and its first offset, where that
            is not 0.
        limit: How many records a batch may hold now; ``policy.max_records`` by default.
    """

    def __init__(
        self,
        flow: FlowSpec,
        reader: RecordReader,
        fences: Fences,
        policy: BatchPolicy,
        record_missing_head: Callable[[int, int], None] = lambda *_: None,
        limit: BatchLimit | None = None,
    ) -> None:
        self.reader, self.policy, self._flow, self._fences = reader, policy, flow, fences
        self._record_missing_head = record_missing_head
        self._limit = limit
        self._weight = _weight_with_headers if flow.reads_headers else _weight
        self._pending: dict[int, list[Any]] = {}
        self._opened: dict[int, int] = {}
        self._waiting_bytes = 0
        self._round, self._next_round = 0, float("-inf")
        self._applied: dict[int, int] = {}

    def open(self, partition: int) -> int:
        """Begin to read a partition where the tables end; returns that offset.

        Raises:
            Refused: The log does not go on there.
            Unavailable: No broker answers.
        """
        tables = self._fences.get(partition, {})
        low, high = self.reader.range_of(partition)
        first = resume_offset(self._flow, f"{self.reader.topic}[{partition}]", tables, low, high)
        if not tables and low > 0:
            self._record_missing_head(partition, low)
        self._pending[partition] = []
        # A broker answers one client in order: questions about the other partitions would wait behind each fetch of
        # this one. So nothing is fetched until all are open.
        self._opened[partition] = first
        return first

    def next_fence(self, partition: int, offset: int) -> int | None:
        """The nearest fence at or after an offset: a batch must not reach over it, or a sink could not skip it."""
        return min((f for f in self._fences.get(partition, {}).values() if f >= offset), default=None)

    def round(self, now: float) -> int:
        """The number of the present round.

        In each, every partition takes one batch, so that what is written together holds them all. The next one begins
        when there is something to take.

        Args:
            now: Seconds of a monotonic clock.
        """
        if now >= self._next_round and self._fetch():
            self._round += 1
            self._next_round = now + self.policy.round_seconds
        return self._round

    def _fetch(self) -> bool:
        """Take over what the client has; returns whether there is anything for any partition."""
        while self._opened:
            self.reader.add(*self._opened.popitem())
        if self._waiting_bytes < self.policy.max_pending_bytes:
            messages = self.reader.consume(self.policy.max_records, 0.0)
            self._waiting_bytes += self._weight(messages)
            # The client hands over what a broker sent together, so one partition's messages come in long runs.
            for owner, run in groupby(messages, _PARTITION):
                self._pending[owner] += run
        return self._waiting_bytes > 0

    def take(self, partition: int) -> RawBatch | None:
        """The partition's next batch, or None if it has no records."""
        self._fetch()
        pending = self._pending[partition]
        if not pending:
            return None
        most = self.policy.max_records if self._limit is None else min(self._limit.records, self.policy.max_records)
        count = min(len(pending), most)
        fence = self.next_fence(partition, pending[0].offset())
        if fence is not None:
            count = next((i for i, m in enumerate(pending[:count]) if m.offset() > fence), count)
        taken, self._pending[partition] = pending[:count], pending[count:]
        self._waiting_bytes -= self._weight(taken)
        if count >= self.policy.large_batch:
            self._next_round = float("-inf")
        values = [value or b"" for value in map(_VALUE, taken)]
        return RawBatch(
            partition, _offsets(taken), Timestamps(taken), values, RecordHeaders(taken), topic=self.reader.topic
        )

    def publish(self, partition: int, offset: int) -> None:
        """Mirror what is applied to the consumer group, for lag tools."""
        if self._applied.get(partition) != offset:
            self.reader.publish({partition: offset})
            self._applied[partition] = offset
