"""Where a group consumer meets trouble that the broker in memory can make exactly when it is wanted."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from connectors.kafka.consumer import GroupConsumer
from connectors.kafka.dead_letters import DeadLetterWriter
from connectors.kafka.memory import MemoryGroupClient, MemoryProducer
from connectors.kafka.records import ConsumerRecord, Record
from marketplace.dead_letters import read
from marketplace.errors import Reject, Retry
from tests.kits.consumer import (
    DEADLINE_SECONDS,
    PARTITIONS,
    POLICY,
    Handled,
    Member,
    MemoryWorld,
    eventually,
    memory_world,
)


@pytest.fixture
def world() -> Iterator[MemoryWorld]:
    with memory_world() as made:
        assert isinstance(made, MemoryWorld)
        yield made


def test_a_dead_letter_that_is_not_acknowledged_holds_the_offset_and_the_handler_is_not_asked_again(
    world: MemoryWorld,
) -> None:
    asked, letters = list[int](), MemoryProducer(world.broker)
    letters.available = False

    def handle(record: ConsumerRecord) -> None:
        asked.append(record.offset)
        raise Reject("unparseable")

    world.write([b"x"], partition=0)
    client = MemoryGroupClient(world.broker, world.membership())
    member = Member(GroupConsumer(client, handle, DeadLetterWriter(letters, world.dead_topic, world.group), POLICY))
    world.opened.callback(member.stop)

    eventually(lambda: member.consumer.metrics().counts.retried >= 3, "the letter is tried again")
    assert (world.committed(), world.dead_letters()) == ({}, [])
    letters.available = True
    eventually(lambda: world.committed() == {0: 1}, "the partition goes on")
    assert asked == [0]
    (letter,) = world.dead_letters()
    assert int(dict(letter.headers)["dlq_attempt"] or b"") >= 4


def test_a_handler_that_takes_too_long_is_reported_once_and_not_stopped(
    world: MemoryWorld, caplog: pytest.LogCaptureFixture
) -> None:
    release, handled = threading.Event(), Handled()

    def handle(record: ConsumerRecord) -> None:
        release.wait(DEADLINE_SECONDS)
        handled(record)

    caplog.set_level(logging.ERROR)
    world.write([b"x"], partition=0)
    member = world.join(handle, replace(POLICY, handler_seconds=0.1))

    eventually(lambda: member.consumer.metrics().counts.overdue == 1, "it is reported")
    release.set()
    eventually(lambda: world.committed() == {0: 1}, "it finishes")
    assert [record.getMessage() for record in caplog.records] == [
        f"{world.topic}[0]: a handler has been at work for 0 s"
    ]
    assert member.consumer.metrics().counts.overdue == 1


def test_a_commit_that_failed_is_made_again(world: MemoryWorld) -> None:
    world.broker.stores_commits = False
    world.write([b"x"], partition=0)
    member = world.join(Handled())
    eventually(lambda: member.consumer.metrics().counts.failed_commits >= 2, "commits fail")
    assert world.committed() == {}

    world.broker.stores_commits = True

    eventually(lambda: world.committed() == {0: 1}, "it is committed in the end")


def test_nothing_is_committed_for_partitions_that_were_lost(world: MemoryWorld) -> None:
    handled = Handled()
    world.write([b"x"] * 3, partition=0)
    member = world.join(handled, replace(POLICY, commit_seconds=1_000.0))
    eventually(lambda: handled.offsets(0) == [0, 1, 2], "all is handled")
    before = world.committed()

    world.hang()
    eventually(lambda: member.consumer.metrics().counts.lost > 0, "the partitions are lost")
    counts = member.consumer.metrics().counts

    assert (counts.commits, counts.failed_commits) == (len(before), 0)
    assert member.consumer.metrics().partitions == {}
    world.release()
    assert world.committed() == before


def test_a_member_that_did_not_poll_for_too_long_gives_its_partitions_up_and_joins_again(world: MemoryWorld) -> None:
    handled, others = Handled(), Handled()
    consumer = world.consumer(handled, replace(POLICY, commit_seconds=1_000.0), poll_seconds=0.3)
    world.write_evenly(2)

    def handled_first() -> bool:
        consumer.step(0.01)
        return len(handled.records) == 2 * PARTITIONS

    eventually(handled_first, "all is handled")
    other = world.join(others)
    eventually(lambda: len(other.owned()) == PARTITIONS, "the other member gets its partitions")
    assert other.stop()

    def owns_again() -> bool:
        consumer.step(0.01)
        return len(consumer.metrics().partitions) == PARTITIONS

    eventually(owns_again, "it joins again")
    counts = consumer.metrics().counts
    assert (counts.lost, counts.failed_commits) == (PARTITIONS, 0)
    assert consumer.close(1.0)


def test_a_partition_that_waits_with_a_full_queue_does_not_slow_the_others(world: MemoryWorld) -> None:
    handled = Handled()

    def handle(record: ConsumerRecord) -> None:
        if record.partition == 0:
            raise Retry(60.0)
        handled(record)

    member = world.join(handle, replace(POLICY, queued_records=10, poll_records=50))
    eventually(lambda: len(member.owned()) == PARTITIONS, "all partitions are assigned")
    world.write([b"x"] * 50, partition=0)
    eventually(lambda: member.consumer.metrics().counts.retried, "the first partition waits")

    world.write([b"x"] * 2_000, partition=1)

    eventually(lambda: len(handled.records) == 2_000, "the other partition is done", seconds=5.0)


def test_records_of_a_slow_broker_come_after_its_latency(world: MemoryWorld) -> None:
    handled = Handled()
    world.broker.latency_seconds = 0.3
    member = world.join(handled)
    eventually(lambda: len(member.owned()) == PARTITIONS, "all partitions are assigned")
    world.write([b"x"], partition=0)
    began = time.monotonic()
    world.write([b"y"], partition=0)

    eventually(lambda: handled.offsets(0) == [0, 1], "they are handled")

    assert time.monotonic() - began >= 0.3


def test_a_missing_topic_stops_the_consumer(world: MemoryWorld) -> None:
    membership = replace(world.membership(), topics=["missing.v1"])
    client = MemoryGroupClient(world.broker, membership)
    letters = DeadLetterWriter(world.producer, world.dead_topic, world.group)
    member = Member(GroupConsumer(client, Handled(), letters, POLICY))

    assert "missing.v1" in str(member.failure())
    member.stop()


class TakesNoNote(Exception):
    """What libraries raise that build their exceptions by themselves."""

    __notes__ = None  # type: ignore[assignment]  # the fault


def test_an_exception_that_takes_no_note_stops_the_consumer_too(world: MemoryWorld) -> None:
    def handle(record: ConsumerRecord) -> None:
        raise TakesNoNote

    world.write([b"x"], partition=0)
    member = world.join(handle)

    assert isinstance(member.failure(), TakesNoNote)
    assert world.committed() == {}


def test_a_letter_of_a_record_that_was_a_letter_before_is_described_by_its_own_headers_alone(
    world: MemoryWorld,
) -> None:
    def handle(record: ConsumerRecord) -> None:
        raise Reject("unknown_order")

    own = (("trace", b"1"), ("store", b"an application's own"), ("dlq_store", b"evil"), ("dlq_attempt", b"900"))
    world.producer.send_all([Record(world.topic, b"x", partition=0, headers=own)], DEADLINE_SECONDS)
    world.join(handle)

    eventually(lambda: len(world.dead_letters()) == 1, "the letter")
    (letter,) = world.dead_letters()
    described = read(letter.headers)
    assert (described.reason, described.store, described.attempt) == ("unknown_order", "", 1)
    assert {("trace", b"1"), ("store", b"an application's own")} <= set(letter.headers)
