"""Where a member of a group on Kafka begins when the broker did not give the group's offsets in time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.kafka.consumer import GroupConsumer
from connectors.kafka.dead_letters import DeadLetterWriter
from connectors.kafka.group_client import OffsetGap
from connectors.kafka.groups import ActualGroup, read_groups
from connectors.kafka.kafka_group_client import KafkaGroupClient
from ops.stack import Stack
from tests.kits.consumer import PARTITIONS, POLICY, Handled, KafkaWorld, Member, eventually, kafka_world


@pytest.fixture
def world(stack: Stack) -> Iterator[KafkaWorld]:
    with kafka_world(stack) as made:
        assert isinstance(made, KafkaWorld)
        yield made


def join_without_offsets(world: KafkaWorld, handled: Handled) -> Member:
    client = KafkaGroupClient(world.bootstrap, world.membership(), offsets_seconds=0.0)
    letters = DeadLetterWriter(world.producer, world.dead_topic, world.group)
    member = Member(GroupConsumer(client, handled, letters, POLICY))
    world.opened.callback(member.stop)
    return member


def test_it_begins_at_the_groups_offsets_and_at_the_earliest_record_where_there_is_none(world: KafkaWorld) -> None:
    handled = Handled()
    world.write_evenly(10)
    world.commit(0, 4)
    world.delete_before(1, 2)

    join_without_offsets(world, handled)

    eventually(lambda: len(handled.places()) == 6 + 8 + 10, "all that is left is handled")
    assert [handled.offsets(partition)[0] for partition in range(PARTITIONS)] == [4, 2, 0]
    eventually(lambda: world.committed() == dict.fromkeys(range(PARTITIONS), 10), "all is committed")


def test_a_gap_is_an_error_all_the_same(world: KafkaWorld) -> None:
    handled = Handled()
    world.write([b"x"] * 30, partition=0)
    world.commit(0, 5)
    world.delete_before(0, 20)

    failure = join_without_offsets(world, handled).failure()

    assert isinstance(failure, OffsetGap)
    assert (failure.offset, failure.missing) == (5, 15)
    assert handled.records == []


def test_how_far_a_group_is_behind_and_who_is_in_it_can_be_asked_without_joining_it(world: KafkaWorld) -> None:
    world.write_evenly(10)
    world.commit(0, 4)
    world.delete_before(1, 2)

    def groups() -> dict[str, ActualGroup]:
        return read_groups(world.bootstrap, world.topic, [world.group, "nobody.was.ever.here"])

    assert groups() == {world.group: ActualGroup(0, 6 + 8 + 10), "nobody.was.ever.here": ActualGroup(0, 10 + 8 + 10)}

    join_without_offsets(world, Handled())

    eventually(lambda: groups()[world.group] == ActualGroup(1, 0), "it is in the group, and all is read")
