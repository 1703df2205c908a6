"""What the log is asked for freshness, on a real broker: where it ends and when a record was written."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from connectors.errors import Unavailable
from connectors.insights.freshness import Completeness, Freshness
from connectors.kafka.log_times import LogTimes
from connectors.kafka.producer import Producer
from connectors.kafka.records import Record
from connectors.kafka.topics import TopicAdmin
from ops.stack import Stack
from runtime.ports import free_ports

PARTITIONS = 3


@pytest.fixture
def topic(stack: Stack) -> str:
    name = f"times.{uuid.uuid4().hex}"
    TopicAdmin(stack.urls.kafka).create(name, PARTITIONS, 1, {})
    return name


@pytest.fixture
def times(stack: Stack, topic: str) -> Iterator[LogTimes]:
    asked = LogTimes(stack.urls.kafka, topic)
    yield asked
    asked.close()


def write(stack: Stack, topic: str, partition: int, count: int) -> None:
    producer = Producer(stack.urls.kafka, client_id="tests")
    producer.send_all([Record(topic, b"%d" % number, partition=partition) for number in range(count)], 30)
    producer.close(5)


def test_an_empty_topic_ends_where_it_begins(times: LogTimes) -> None:
    assert times.ends() == dict.fromkeys(range(PARTITIONS), 0)


def test_each_partition_ends_behind_its_last_record(stack: Stack, topic: str, times: LogTimes) -> None:
    write(stack, topic, 0, 3)
    write(stack, topic, 2, 1)
    assert times.ends() == {0: 3, 1: 0, 2: 1}
    write(stack, topic, 2, 4)
    assert times.ends() == {0: 3, 1: 0, 2: 5}


def test_a_record_tells_when_it_was_written(stack: Stack, topic: str, times: LogTimes) -> None:
    before = datetime.now(UTC)
    write(stack, topic, 1, 2)
    after = datetime.now(UTC)
    for offset in (1, 0):
        written = times.written_at(1, offset)
        assert written is not None
        assert before - timedelta(milliseconds=1) <= written <= after


def test_a_record_that_is_not_there_has_no_time(times: LogTimes) -> None:
    assert times.written_at(0, 0) is None


def test_numbers_are_complete_until_the_write_of_the_first_record_that_is_not_counted(
    stack: Stack, topic: str, times: LogTimes
) -> None:
    write(stack, topic, 0, 2)
    write(stack, topic, 1, 3)
    now = datetime.now(UTC)
    assert Freshness(times, lambda: {0: 1, 1: 2}).look(now) == Completeness(now, 0)
    assert Freshness(times, lambda: {0: 1, 1: 0}).look(now) == Completeness(times.written_at(1, 1), 2)
    assert Freshness(times, dict).look(now) == Completeness(times.written_at(0, 0), 5)


def test_a_topic_that_is_not_there_is_reported(stack: Stack) -> None:
    asked = LogTimes(stack.urls.kafka, f"times.{uuid.uuid4().hex}")
    try:
        with pytest.raises(Unavailable, match="Kafka has no topic"):
            asked.ends()
    finally:
        asked.close()


def test_a_broker_that_is_unavailable_is_reported_in_time_and_nobody_waits_for_it_twice() -> None:
    asked = LogTimes(f"127.0.0.1:{free_ports(1)[0]}", "times")
    try:
        with pytest.raises(Unavailable, match="Kafka does not answer"):
            asked.ends()
        before = time.monotonic()
        for ask in (asked.ends, lambda: asked.written_at(0, 0)):
            with pytest.raises(Unavailable, match="a moment ago"):
                ask()
        assert time.monotonic() - before < 1
    finally:
        asked.close()
