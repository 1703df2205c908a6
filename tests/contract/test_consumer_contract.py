"""The group consumer's contract, kept on Kafka and on the broker in memory: what becomes of records."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from connectors.errors import Fenced, Unavailable
from connectors.kafka.group_client import OffsetGap
from connectors.kafka.records import ConsumerRecord
from marketplace.errors import Reject, Retry, Stop
from tests.kits.consumer import (
    DEADLINE_SECONDS,
    PARTITIONS,
    POLICY,
    Handled,
    World,
    eventually,
)

SLACK_SECONDS = 1.5


def test_every_record_is_handled_once_and_in_the_order_of_its_partition(world: World) -> None:
    handled = Handled()
    world.write_evenly(200)

    member = world.join(handled)

    eventually(world.handled_all(handled, 200), "all are handled")
    assert [handled.offsets(partition) for partition in range(PARTITIONS)] == [list(range(200))] * PARTITIONS
    assert handled.values() == {b"%d:%d" % (p, number) for p in range(PARTITIONS) for number in range(200)}
    assert member.stop()
    assert world.committed() == dict.fromkeys(range(PARTITIONS), 200)


def test_key_headers_and_time_of_a_record_reach_the_handler(world: World) -> None:
    handled = Handled()
    began_ms = time.time() * 1000
    world.write([b"value"], partition=1, key=b"key")

    world.join(handled)

    eventually(lambda: handled.records, "it is handled")
    record = handled.records[0]
    assert (record.topic, record.partition, record.offset) == (world.topic, 1, 0)
    assert (record.value, record.key, record.headers) == (b"value", b"key", ())
    assert abs(record.timestamp_ms - began_ms) < 60_000


def test_an_offset_is_committed_after_its_record_was_handled_though_other_partitions_are_done(world: World) -> None:
    handled, release = Handled(), threading.Event()

    def handle(record: ConsumerRecord) -> None:
        if record.partition == 0 and record.offset == 3:
            release.wait(DEADLINE_SECONDS)
        handled(record)

    world.write_evenly(10)
    world.join(handle, replace(POLICY, threads=2))

    eventually(lambda: world.committed() == {0: 3, 1: 10, 2: 10}, "what is handled is committed")
    assert handled.offsets(0) == [0, 1, 2]
    release.set()
    eventually(lambda: world.committed() == {0: 10, 1: 10, 2: 10}, "the rest is committed")


def test_a_group_without_offsets_begins_at_the_earliest_record_there_is(world: World) -> None:
    handled = Handled()
    world.write_evenly(10)
    world.delete_before(0, 4)

    world.join(handled)

    eventually(lambda: len(handled.places()) == 26, "all that is there is handled")
    assert handled.offsets(0) == [4, 5, 6, 7, 8, 9]


def test_a_group_goes_on_where_it_has_committed(world: World) -> None:
    first, second = Handled(), Handled()
    world.write_evenly(10)
    member = world.join(first)
    eventually(world.handled_all(first, 10), "the first records are handled")
    assert member.stop()
    world.write_evenly(5)

    world.join(second)

    eventually(world.handled_all(second, 5), "the next records are handled")
    assert second.offsets(0) == [10, 11, 12, 13, 14]


def test_a_paused_partition_keeps_its_offset_and_delays_no_other(world: World) -> None:
    handled = Handled()
    member = world.join(handled)
    eventually(lambda: len(member.owned()) == PARTITIONS, "all partitions are assigned")
    member.consumer.pause(world.source(1), 60.0)

    world.write_evenly(20)

    eventually(lambda: len(handled.records) == 40, "the others are handled")
    eventually(lambda: world.committed() == {0: 20, 2: 20}, "the others are committed")
    assert handled.offsets(1) == []
    member.consumer.resume(world.source(1))
    eventually(lambda: handled.offsets(1) == list(range(20)), "it goes on where it was")


def test_a_pause_ends_by_itself(world: World) -> None:
    handled = Handled()
    member = world.join(handled)
    eventually(lambda: len(member.owned()) == PARTITIONS, "all partitions are assigned")
    began = time.monotonic()
    member.consumer.pause(world.source(0), 0.5)

    world.write([b"x"], partition=0)

    eventually(lambda: handled.records, "it is handled after the pause")
    assert time.monotonic() - began >= 0.5


def test_a_retry_comes_after_its_time_before_later_records_and_others_do_not_wait(world: World) -> None:
    handled, attempts = Handled(), list[float]()

    def handle(record: ConsumerRecord) -> None:
        if record.source == world.source(0) and record.offset == 2:
            attempts.append(time.monotonic())
            if len(attempts) < 3:
                raise Retry(0.4, "the lock is taken")
        handled(record)

    world.write_evenly(5)
    member = world.join(handle)

    eventually(lambda: len(attempts) == 1 and len(handled.records) == 12, "the other partitions are done")
    waiting = member.consumer.metrics().partitions[world.source(0)]
    assert (waiting.attempt, waiting.waits_for) == (1, "the lock is taken")
    eventually(lambda: handled.offsets(0) == [0, 1, 2, 3, 4], "the partition goes on in order")
    assert min(attempts[1] - attempts[0], attempts[2] - attempts[1]) >= 0.4
    assert member.consumer.metrics().counts.retried == 2


def test_an_outage_of_what_the_handler_needs_is_waited_for(world: World) -> None:
    handled, attempts = Handled(), list[int]()

    def handle(record: ConsumerRecord) -> None:
        attempts.append(record.offset)
        if len(attempts) <= 3:
            raise Unavailable("the database does not answer")
        handled(record)

    world.write([b"a", b"b"], partition=0)
    member = world.join(handle)

    eventually(lambda: handled.offsets(0) == [0, 1], "both are handled")
    assert attempts == [0, 0, 0, 0, 1]
    assert member.error is None


def test_a_rejected_record_is_a_dead_letter_with_its_bytes_and_reason_and_its_partition_goes_on(world: World) -> None:
    handled = Handled()

    def handle(record: ConsumerRecord) -> None:
        if record.offset == 1:
            raise Reject("unparseable", "no JSON at byte 3")
        handled(record)

    world.write([b"a", b"\x00\xff{", b"c"], partition=2, key=b"key")
    member = world.join(handle)

    eventually(lambda: world.committed() == {2: 3}, "the partition goes on")
    assert handled.offsets(2) == [0, 2]
    (letter,) = world.dead_letters()
    assert (letter.value, letter.key) == (b"\x00\xff{", b"key")
    assert dict(letter.headers) == {
        "dlq_group": world.group.encode(),
        "dlq_reason": b"unparseable",
        "dlq_detail": b"no JSON at byte 3",
        "dlq_topic": world.topic.encode(),
        "dlq_partition": b"2",
        "dlq_offset": b"1",
        "dlq_attempt": b"1",
        "dlq_stack": dict(letter.headers)["dlq_stack"],
    }
    assert member.consumer.metrics().counts.rejected == 1


@pytest.mark.parametrize("error", [ValueError("a bug"), Stop("a schema from the future")])
def test_an_error_that_is_no_decision_stops_the_consumer_and_keeps_the_record(world: World, error: Exception) -> None:
    handled, again = Handled(), Handled()

    def handle(record: ConsumerRecord) -> None:
        if record.offset == 3:
            raise error
        handled(record)

    world.write([b"%d" % number for number in range(6)], partition=0)
    member = world.join(handle, replace(POLICY, commit_seconds=1_000.0))

    assert member.failure() is error
    assert "at offset 3" in error.__notes__[-1]
    assert member.stop()
    assert handled.offsets(0) == [0, 1, 2]
    assert world.committed() == {0: 3}
    world.join(again)
    eventually(lambda: again.offsets(0) == [3, 4, 5], "the next member begins with it")


def test_a_handler_that_is_fenced_commits_nothing_more(world: World) -> None:
    handled = Handled()

    def handle(record: ConsumerRecord) -> None:
        handled(record)
        if record.offset == 5:
            raise Fenced("a newer generation writes")

    world.write([b"%d" % number for number in range(8)], partition=0)
    world.commit(0, 2)
    member = world.join(handle, replace(POLICY, poll_records=10, commit_seconds=1_000.0))

    assert isinstance(member.failure(), Fenced)
    # The first round commits what was done by then; nothing follows it.
    before = world.committed()
    member.stop()
    assert world.committed() == before
    assert before[0] < 6


def test_a_retention_gap_stops_the_consumer_with_the_number_of_records_that_are_gone(world: World) -> None:
    handled = Handled()
    world.write([b"x"] * 30, partition=0)
    world.commit(0, 5)
    world.delete_before(0, 20)

    failure = world.join(handled).failure()

    assert isinstance(failure, OffsetGap)
    assert (failure.partition, failure.offset, failure.log_start, failure.missing) == (0, 5, 20, 15)
    assert handled.records == []
    assert world.committed() == {0: 5}


def test_an_offset_beyond_the_end_of_the_log_stops_the_consumer(world: World) -> None:
    handled = Handled()
    world.write([b"x"] * 10, partition=0)
    world.commit(0, 50)

    failure = world.join(handled).failure()

    assert isinstance(failure, OffsetGap)
    assert (failure.offset, failure.log_end, failure.missing) == (50, 10, 0)
    assert handled.records == []


def test_records_that_wait_in_the_process_are_bounded_however_slow_the_handler(world: World) -> None:
    release, handled = threading.Event(), Handled()

    def stuck(record: ConsumerRecord) -> None:
        release.wait(DEADLINE_SECONDS)
        handled(record)

    bound, of_a_poll = 40, 10
    world.write_evenly(200)
    member = world.join(stuck, replace(POLICY, queued_records=bound, poll_records=of_a_poll))

    def queued() -> int:
        return sum(partition.queued for partition in member.consumer.metrics().partitions.values())

    eventually(lambda: queued() >= bound, "the queue fills")
    most, deadline = 0, time.monotonic() + 1.0
    while time.monotonic() < deadline:
        most = max(most, queued())
    assert bound <= most <= 2 * bound + of_a_poll
    release.set()
    eventually(world.handled_all(handled, 200), "all are handled")
    assert [handled.offsets(partition) for partition in range(PARTITIONS)] == [list(range(200))] * PARTITIONS


def test_lag_is_shown_by_partition(world: World) -> None:
    release, handled = threading.Event(), Handled()

    def handle(record: ConsumerRecord) -> None:
        if record.partition == 0 and record.offset == 4:
            release.wait(DEADLINE_SECONDS)
        handled(record)

    world.write_evenly(10)
    member = world.join(handle, replace(POLICY, threads=2))

    def lag() -> dict[int, int | None]:
        return {source.partition: found.lag for source, found in member.consumer.metrics().partitions.items()}

    eventually(lambda: lag() == {0: 6, 1: 0, 2: 0}, "only what is stuck lags")
    release.set()
    eventually(lambda: lag() == {0: 0, 1: 0, 2: 0}, "nothing lags")
    assert member.consumer.metrics().counts.handled == 30


def test_closing_does_not_wait_for_a_handler_that_hangs_and_its_record_is_not_committed(world: World) -> None:
    release, again = threading.Event(), Handled()
    world.write([b"a", b"b"], partition=0)

    def handle(record: ConsumerRecord) -> None:
        if record.offset == 1:
            release.wait(DEADLINE_SECONDS)

    member = world.join(handle)
    eventually(lambda: world.committed() == {0: 1}, "the first record is committed")
    began = time.monotonic()
    assert not member.stop(1.0)
    assert time.monotonic() - began < 1.0 + SLACK_SECONDS

    world.join(again)
    eventually(lambda: again.offsets(0) == [1], "the next member handles it")
    release.set()


def test_closing_lets_the_handler_at_work_finish_and_commits_its_record(world: World) -> None:
    begun, handled = threading.Event(), Handled()

    def handle(record: ConsumerRecord) -> None:
        begun.set()
        threading.Event().wait(0.3)
        handled(record)

    world.write([b"a", b"b", b"c"], partition=0)
    member = world.join(handle)
    assert begun.wait(DEADLINE_SECONDS)

    assert member.stop()
    assert member.consumer.close(1.0)
    assert world.committed() == {0: len(handled.records)}
    assert len(handled.records) < 3
