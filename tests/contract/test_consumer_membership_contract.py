"""The group consumer's contract, kept on Kafka and on the broker in memory: members that come, go, die and hang."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from connectors.errors import Fenced
from connectors.kafka.records import ConsumerRecord
from tests.kits.consumer import (
    DEADLINE_SECONDS,
    PARTITIONS,
    POLICY,
    VICTIM_RECORDS,
    Handled,
    World,
    eventually,
)

SLACK_SECONDS = 1.5


def test_while_members_join_and_leave_every_record_is_handled_in_order_within_each(world: World) -> None:
    rounds, of_members = 6, [Handled() for _ in range(3)]
    members = [world.join(of_members[0])]
    for number in range(rounds):
        world.write_evenly(50)
        if number == 1:
            members.append(world.join(of_members[1]))
            eventually(lambda: members[0].owned() and members[1].owned(), "both have partitions")
        if number == 3:
            assert members[0].stop()
        if number == 4:
            members.append(world.join(of_members[2]))

    def places() -> set[tuple[int, int]]:
        return set().union(*(handled.places() for handled in of_members))

    eventually(lambda: len(places()) == PARTITIONS * rounds * 50, "all are handled by somebody")
    assert [member.error for member in members] == [None] * 3
    for handled in of_members:
        for partition in range(PARTITIONS):
            offsets = handled.offsets(partition)
            assert offsets == sorted(set(offsets))
    for member in members[1:]:
        assert member.stop()
    assert world.committed() == dict.fromkeys(range(PARTITIONS), rounds * 50)


def test_a_rebalance_waits_for_the_handler_at_work_and_its_record_is_not_handled_again(world: World) -> None:
    first, second, begun = Handled(), Handled(), threading.Event()

    def slow(record: ConsumerRecord) -> None:
        begun.set()
        threading.Event().wait(0.3)
        first(record)

    world.write_evenly(6)
    world.join(slow, replace(POLICY, threads=PARTITIONS))
    assert begun.wait(DEADLINE_SECONDS)
    world.join(second)

    eventually(lambda: len(first.places() | second.places()) == PARTITIONS * 6, "all are handled")
    assert second.places()
    assert len(first.records) + len(second.records) == PARTITIONS * 6


def test_a_handler_that_outlasts_a_rebalance_loses_its_partition_and_commits_nothing_for_it(world: World) -> None:
    release, second = threading.Event(), Handled()

    def stuck(record: ConsumerRecord) -> None:
        release.wait(DEADLINE_SECONDS)

    world.write_evenly(2)
    first = world.join(stuck, replace(POLICY, threads=PARTITIONS, revoke_seconds=0.4))
    eventually(lambda: len(first.owned()) == PARTITIONS, "the first member has all partitions")
    eventually(lambda: first.consumer.metrics().partitions[world.source(0)].queued, "records are fetched")
    world.join(second)

    eventually(lambda: second.records, "the second member handles what it got")
    eventually(lambda: first.consumer.metrics().counts.abandoned == 1, "one handler is abandoned")
    taken = {record.partition for record in second.records}
    release.set()
    eventually(lambda: len(world.committed()) == PARTITIONS, "all is committed")
    assert all(second.offsets(partition) == [0, 1] for partition in taken)


def test_a_handler_slower_than_the_poll_interval_keeps_its_partition(world: World) -> None:
    handled = Handled()

    def slow(record: ConsumerRecord) -> None:
        if record.offset == 0:
            threading.Event().wait(world.session_seconds * 1.2)
        handled(record)

    world.write([b"a", b"b"], partition=0)
    member = world.join(slow, poll_seconds=world.session_seconds)

    eventually(lambda: handled.offsets(0) == [0, 1], "both are handled, once")
    counts = member.consumer.metrics().counts
    assert (counts.rebalances, counts.lost, counts.abandoned) == (1, 0, 0)
    eventually(lambda: world.committed() == {0: 2}, "both are committed")


def test_what_a_killed_member_did_not_commit_is_handled_by_another(world: World) -> None:
    handled = Handled()
    world.write_evenly(100)
    victim = world.victim()
    eventually(lambda: len(victim.places()) == PARTITIONS * VICTIM_RECORDS, "the victim has handled half")
    victim.kill()
    committed = world.committed()

    world.join(handled)

    missing = {(p, number) for p in range(PARTITIONS) for number in range(committed.get(p, 0), 100)}
    eventually(lambda: handled.places() == missing, "all that was not committed is handled again")
    assert missing


def test_a_pause_ends_with_the_ownership_of_the_partition(world: World) -> None:
    handled = Handled()
    member = world.join(handled)
    eventually(lambda: len(member.owned()) == PARTITIONS, "all partitions are assigned")
    for partition in range(PARTITIONS):
        member.consumer.pause(world.source(partition), 600.0)
    other = world.join(Handled())
    eventually(other.owned, "the other member gets some")
    moved = other.owned()

    assert other.stop()
    eventually(lambda: len(member.owned()) == PARTITIONS, "they come back")
    world.write_evenly(3)

    eventually(lambda: len(handled.records) == 3 * len(moved), "what moved is not paused")
    assert {record.partition for record in handled.records} == moved


def test_a_broker_that_hangs_for_a_while_costs_no_record_and_no_order(world: World) -> None:
    handled = Handled()
    world.write_evenly(10)
    member = world.join(handled)
    eventually(world.handled_all(handled, 10), "the first records are handled")

    world.hang()
    threading.Event().wait(world.session_seconds / 3)
    assert member.error is None
    world.release()
    world.write_evenly(10)

    eventually(world.handled_all(handled, 20), "the next records are handled")
    assert [handled.offsets(partition) for partition in range(PARTITIONS)] == [list(range(20))] * PARTITIONS
    assert member.consumer.metrics().counts.lost == 0
    eventually(lambda: world.committed() == dict.fromkeys(range(PARTITIONS), 20), "all is committed")


def test_a_broker_that_hangs_longer_than_the_session_costs_the_partitions_but_no_record(world: World) -> None:
    handled = Handled()
    world.write_evenly(10)
    member = world.join(handled)
    eventually(world.handled_all(handled, 10), "the first records are handled")

    world.hang()
    eventually(lambda: member.consumer.metrics().counts.lost == PARTITIONS, "the member gives its partitions up")
    world.release()
    world.write_evenly(10)

    eventually(world.handled_all(handled, 20), "the next records are handled")
    eventually(lambda: world.committed() == dict.fromkeys(range(PARTITIONS), 20), "all is committed")
    assert member.error is None


def test_a_broker_that_answers_now_and_then_only_costs_no_record_and_no_order(world: World) -> None:
    handled, done = Handled(), threading.Event()
    member = world.join(handled)

    def crawl() -> None:
        while not done.wait(0.1):
            world.hang()
            done.wait(0.2)
            world.release()

    thread = threading.Thread(target=crawl)
    thread.start()
    try:
        for number in range(5):
            world.write_evenly(10)
            eventually(world.handled_all(handled, 10 * (number + 1)), "what was written is handled")
    finally:
        done.set()
        thread.join(DEADLINE_SECONDS)

    assert [handled.offsets(partition) for partition in range(PARTITIONS)] == [list(range(50))] * PARTITIONS
    assert member.consumer.metrics().counts.lost == 0


def test_closing_does_not_wait_for_a_broker_that_hangs(world: World) -> None:
    handled = Handled()
    world.write_evenly(10)
    member = world.join(handled)
    eventually(world.handled_all(handled, 10), "the records are handled")

    world.hang()
    began = time.monotonic()
    member.stop(1.0)

    assert time.monotonic() - began < 1.0 + SLACK_SECONDS


def test_a_member_that_leaves_hands_its_partitions_over_without_waiting_for_its_session(world: World) -> None:
    handled = Handled()
    first = world.join(Handled())
    eventually(lambda: len(first.owned()) == PARTITIONS, "the first member has all partitions")
    second = world.join(handled)
    assert first.stop()

    began = time.monotonic()
    eventually(lambda: len(second.owned()) == PARTITIONS, "the second member has all partitions")
    assert time.monotonic() - began < world.session_seconds


def test_a_second_process_with_the_same_instance_id_fences_the_first(world: World) -> None:
    handled = Handled()
    first = world.join(Handled(), instance_id="orders-1")
    eventually(lambda: len(first.owned()) == PARTITIONS, "the first member has all partitions")

    second = world.join(handled, instance_id="orders-1")

    assert isinstance(first.failure(), Fenced)
    world.write_evenly(5)
    eventually(world.handled_all(handled, 5), "the second member handles what comes")
    assert second.error is None


def test_a_static_member_that_restarts_gets_its_partitions_back_and_no_other_notices(world: World) -> None:
    handled = Handled()
    first = world.join(Handled(), instance_id="orders-1")
    other = world.join(Handled(), instance_id="orders-2")
    eventually(lambda: len(first.owned()) + len(other.owned()) == PARTITIONS and other.owned(), "both have partitions")
    mine, before = first.owned(), other.consumer.metrics().counts.rebalances

    assert first.stop()
    again = world.join(handled, instance_id="orders-1")
    world.write_evenly(3)

    eventually(lambda: {record.partition for record in handled.records} == mine, "it goes on with what it had")
    assert again.owned() == mine
    assert other.consumer.metrics().counts.rebalances == before
