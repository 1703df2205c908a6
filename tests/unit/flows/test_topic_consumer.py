"""How batches are cut: rounds that all partitions share, fences, and what waits in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from connectors.kafka.reader import PartitionReader
from flows.delivery.topic_consumer import BatchPolicy, TopicConsumer
from marketplace.flows import CLICKS_FLOW, DEAD_LETTERS_FLOW, FlowSpec


class Message:
    """What the consumer asks of the client's messages."""

    def __init__(self, partition: int, offset: int) -> None:
        self._partition, self._offset = partition, offset

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def value(self) -> bytes:
        return b"value"

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_000 + self._offset

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        return None if self._offset % 2 else [("detail", b"x" * 1_000_000), ("empty", None)]

    def __len__(self) -> int:
        return 5


class Broker:
    """A client that has what it was given."""

    def __init__(self, partitions: int = 2) -> None:
        self._high = dict.fromkeys(range(partitions), 0)
        self._has: list[Message] = []
        self.topic = "log"
        self.fetched = 0
        self.published: list[Mapping[int, int]] = []
        self.asked: list[str] = []

    def write(self, partition: int, count: int) -> None:
        first = self._high[partition]
        self._high[partition] += count
        self._has += [Message(partition, offset) for offset in range(first, first + count)]

    def range_of(self, partition: int) -> tuple[int, int]:
        self.asked.append(f"range of {partition}")
        return 0, self._high[partition]

    def add(self, partition: int, offset: int) -> None:
        assert offset <= self._high[partition]
        self.asked.append(f"read {partition} from {offset}")

    def consume(self, max_records: int, timeout_seconds: float) -> list[Any]:
        given, self._has = self._has[:max_records], self._has[max_records:]
        self.fetched += len(given)
        return given

    def publish(self, offsets: Mapping[int, int]) -> None:
        self.published.append(offsets)


def consumer_on(broker: Broker, fences: dict[int, dict[str, int]] | None = None, **policy: int) -> TopicConsumer:
    reader, cuts = cast("PartitionReader", broker), replace(BatchPolicy(1_000, 0.4), **policy)
    consumer = TopicConsumer(CLICKS_FLOW, reader, fences or {}, cuts)
    for partition in (0, 1):
        consumer.open(partition)
    return consumer


def offsets(consumer: TopicConsumer, partition: int) -> list[int]:
    batch = consumer.take(partition)
    return [] if batch is None else list(batch.offsets)


def test_nothing_is_read_until_all_partitions_are_open_as_questions_would_wait_behind_it() -> None:
    broker = Broker()
    broker.write(1, 5)
    consumer = consumer_on(broker, {1: {CLICKS_FLOW.checkpoint.name: 3}})
    assert broker.asked == ["range of 0", "range of 1"]

    consumer.round(0.0)

    assert sorted(broker.asked[2:]) == ["read 0 from 0", "read 1 from 4"]
    consumer.round(1.0)
    assert len(broker.asked) == 4


def test_a_round_begins_when_there_is_something_to_take() -> None:
    broker = Broker()
    consumer = consumer_on(broker)
    before = consumer.round(0.0)
    assert consumer.round(10.0) == before
    broker.write(1, 1)
    assert consumer.round(20.0) == before + 1


def test_the_next_round_waits_for_its_time() -> None:
    broker = Broker()
    consumer = consumer_on(broker)
    broker.write(0, 1)
    first = consumer.round(0.0)
    assert offsets(consumer, 0) == [0]
    broker.write(0, 1)
    assert consumer.round(0.3) == first
    assert consumer.round(0.4) == first + 1


def test_after_a_large_batch_the_next_round_does_not_wait() -> None:
    broker = Broker()
    consumer = consumer_on(broker, large_batch=10)
    broker.write(0, 30)
    first = consumer.round(0.0)
    assert len(offsets(consumer, 0)) == 30
    broker.write(1, 1)
    assert consumer.round(0.01) == first + 1


def test_a_batch_ends_at_a_fence() -> None:
    broker = Broker()
    broker.write(0, 10)
    consumer = consumer_on(broker, {0: {"clicks": 6, "click_ledger": -1, "rollups": 3}})
    assert [offsets(consumer, 0) for _ in range(4)] == [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9], []]


def test_a_batch_holds_no_more_than_it_may_and_its_partition_alone() -> None:
    broker = Broker()
    consumer = consumer_on(broker, max_records=4)
    broker.write(0, 3)
    broker.write(1, 1)
    broker.write(0, 4)
    taken = [offsets(consumer, partition) for partition in (0, 1, 0, 0)]
    assert taken == [[0, 1, 2], [0], [3, 4, 5, 6], []]


def test_while_much_waits_nothing_more_is_fetched() -> None:
    broker = Broker()
    consumer = consumer_on(broker, max_records=2, max_pending_bytes=1)
    broker.write(0, 6)
    assert offsets(consumer, 1) == []
    assert [offsets(consumer, 0) for _ in range(4)] == [[0, 1], [2, 3], [4, 5], []]


@pytest.mark.parametrize(("flow", "fetched"), [(CLICKS_FLOW, 6), (DEAD_LETTERS_FLOW, 2)])
def test_headers_count_for_the_bound_on_memory_where_a_flow_reads_them(flow: FlowSpec, fetched: int) -> None:
    broker = Broker()
    consumer = TopicConsumer(
        flow, cast("PartitionReader", broker), {}, BatchPolicy(2, 0.4, max_pending_bytes=1_000_000)
    )
    for partition in (0, 1):
        consumer.open(partition)
    broker.write(0, 6)
    for _ in range(3):
        consumer.take(1)
    assert broker.fetched == fetched


def test_an_offset_that_is_shown_already_is_not_sent_again() -> None:
    broker = Broker()
    consumer = consumer_on(broker)
    for offset in (0, 0, 5, 5):
        consumer.publish(0, offset)
    assert broker.published == [{0: 0}, {0: 5}]
