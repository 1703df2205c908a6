"""The contract of a reader of partitions, kept on Kafka and in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from connectors.errors import Refused
from connectors.kafka.memory import MemoryReader
from connectors.kafka.reader import PartitionReader, RecordReader
from tests.kits.consumer import DEADLINE_SECONDS, KafkaWorld, MemoryWorld, World, eventually, kafka_world, memory_world

Opened = tuple[World, Callable[[str], RecordReader]]


@pytest.fixture(params=["memory", "kafka"])
def opened(request: pytest.FixtureRequest) -> Iterator[Opened]:
    if request.param == "memory":
        with memory_world() as world:
            assert isinstance(world, MemoryWorld)
            broker = world.broker
            yield world, lambda topic: MemoryReader(broker, topic, world.group)
        return
    with kafka_world(request.getfixturevalue("stack")) as world:
        assert isinstance(world, KafkaWorld)
        bootstrap = world.bootstrap
        yield world, lambda topic: PartitionReader(bootstrap, topic, world.group)


def test_records_come_in_order_from_the_offset_on_with_all_that_they_have(opened: Opened) -> None:
    world, reader_of = opened
    world.write([b"%d" % number for number in range(50)], partition=1, key=b"key")
    with closing(reader_of(world.topic)) as reader:
        reader.add(1, 10)
        found: list[tuple[int, int, bytes, bytes, int]] = []

        def read() -> int:
            found.extend((m.partition(), m.offset(), m.value(), m.key(), len(m)) for m in reader.consume(100, 0.05))
            return len(found)

        eventually(lambda: read() == 40, "all are read")

    assert found == [(1, number, b"%d" % number, b"key", 2) for number in range(10, 50)]


def test_a_topic_has_a_name_and_partitions_with_ranges_that_retention_moves(opened: Opened) -> None:
    world, reader_of = opened
    world.write([b"x"] * 10, partition=2)
    world.delete_before(2, 4)
    with closing(reader_of(world.topic)) as reader:
        assert reader.topic == world.topic
        assert reader.partitions() == [0, 1, 2]
        assert [reader.range_of(partition) for partition in range(3)] == [(0, 0), (0, 0), (4, 10)]


def test_a_topic_that_is_not_there_is_refused(opened: Opened) -> None:
    with closing(opened[1]("missing.v1")) as reader, pytest.raises(Refused):
        reader.partitions()


def test_an_offset_that_the_log_does_not_have_is_refused_and_never_skipped(opened: Opened) -> None:
    world, reader_of = opened
    world.write([b"x"] * 10, partition=0)
    world.delete_before(0, 4)
    with closing(reader_of(world.topic)) as reader:
        reader.add(0, 1)
        with pytest.raises(Refused):
            eventually(lambda: reader.consume(100, 0.05), "records come although they are gone", DEADLINE_SECONDS)


def test_single_records_are_read_by_their_offsets(opened: Opened) -> None:
    world, reader_of = opened
    world.write([b"%d" % number for number in range(10)], partition=0)
    world.write([b"other"], partition=1)
    with closing(reader_of(world.topic)) as reader:
        assert reader.read_at({0: 7, 1: 0}) == {0: b"7", 1: b"other"}


def test_published_offsets_are_those_of_the_group(opened: Opened) -> None:
    world, reader_of = opened
    world.write([b"x"] * 10, partition=0)
    with closing(reader_of(world.topic)) as reader:
        reader.publish({0: 6})
        eventually(lambda: world.committed() == {0: 6}, "they are stored")
