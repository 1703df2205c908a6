"""The producer's contract, held by the real one on Kafka and by its in-memory twin."""

from __future__ import annotations

import asyncio
import pickle
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import confluent_kafka
import pytest

from connectors.kafka.memory import MemoryProducer
from connectors.kafka.producer import Producer
from connectors.kafka.records import Record, RecordProducer, Refused, TooLarge, Unavailable
from connectors.kafka.topics import TopicAdmin

PARTITIONS = 3
MAX_RECORD_BYTES = 100_000
TIMEOUT_SECONDS = 15.0


@dataclass
class Subject:
    """A producer, a topic to write to, and what can be read back from it."""

    producer: RecordProducer
    topic: str
    bootstrap: str | None

    def read(self, partition: int) -> list[Record]:
        if isinstance(self.producer, MemoryProducer):
            return self.producer.log(self.topic, partition)
        assert self.bootstrap is not None
        return read_partition(self.bootstrap, self.topic, partition)


def read_partition(bootstrap: str, topic: str, partition: int) -> list[Record]:
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "contract",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 10,
        }
    )
    try:
        consumer.assign([confluent_kafka.TopicPartition(topic, partition, confluent_kafka.OFFSET_BEGINNING)])
        records: list[Record] = []
        while True:
            message = consumer.poll(TIMEOUT_SECONDS)
            assert message is not None, "the end of the partition was not reached"
            error = message.error()
            if error is not None:
                assert error.code() == confluent_kafka.KafkaError._PARTITION_EOF
                return records
            pairs = dict(message.headers() or []).items()
            headers = tuple((name, value) for name, value in pairs if isinstance(value, bytes))
            records.append(Record(topic, message.value() or b"", message.key(), partition, headers))
    finally:
        consumer.close()


@pytest.fixture(params=["memory", "kafka"])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    topic = f"contract.{uuid.uuid4().hex}"
    if request.param == "memory":
        yield Subject(MemoryProducer({topic: PARTITIONS}, max_record_bytes=MAX_RECORD_BYTES), topic, None)
        return
    bootstrap = request.getfixturevalue("stack").urls.kafka
    TopicAdmin(bootstrap).create(topic, PARTITIONS, 1, {})
    producer = Producer(
        bootstrap, client_id="contract", delivery_timeout_seconds=4.0, max_record_bytes=MAX_RECORD_BYTES
    )
    yield Subject(producer, topic, bootstrap)
    producer.close(TIMEOUT_SECONDS)


def records(subject: Subject, values: Sequence[bytes], partition: int | None = 1) -> list[Record]:
    return [Record(subject.topic, value, b"key", partition, (("ce_id", b"1"),)) for value in values]


def test_what_was_sent_can_be_read_back_in_order_with_key_headers_and_partition(subject: Subject) -> None:
    sent = records(subject, [b"%d" % number for number in range(500)])

    subject.producer.send_all(sent, TIMEOUT_SECONDS)

    assert subject.read(1) == sent
    assert subject.read(0) == subject.read(2) == []


def test_the_event_loop_can_wait_for_many_calls_at_once(subject: Subject) -> None:
    async def send() -> None:
        calls = (subject.producer.send_all_async(records(subject, [b"x"] * 10), TIMEOUT_SECONDS) for _ in range(20))
        await asyncio.gather(*calls)

    asyncio.run(send())

    assert len(subject.read(1)) == 200


def test_equal_keys_without_a_partition_meet_in_one(subject: Subject) -> None:
    subject.producer.send_all(records(subject, [b"a", b"b", b"c"], partition=None), TIMEOUT_SECONDS)

    assert sorted(len(subject.read(partition)) for partition in range(PARTITIONS)) == [0, 0, 3]


def test_nothing_to_send_is_done_at_once(subject: Subject) -> None:
    subject.producer.send_all([], TIMEOUT_SECONDS)

    assert subject.read(1) == []


def test_a_record_that_is_too_large_is_refused_by_its_index_and_the_others_are_written(subject: Subject) -> None:
    with pytest.raises(TooLarge) as refused:
        subject.producer.send_all(records(subject, [b"a", b"x" * 200_000, b"c"]), TIMEOUT_SECONDS)

    assert refused.value.index == 1
    assert [record.value for record in subject.read(1)] == [b"a", b"c"]


def test_a_topic_that_is_not_there_is_unavailable_and_not_made(subject: Subject) -> None:
    missing = f"missing.{uuid.uuid4().hex}"

    for _ in range(2):
        with pytest.raises(Unavailable):
            subject.producer.partition_count(missing, TIMEOUT_SECONDS)
    with pytest.raises(Unavailable):
        subject.producer.send_all([Record(missing, b"x")], TIMEOUT_SECONDS)


def test_partitions_are_counted(subject: Subject) -> None:
    assert subject.producer.partition_count(subject.topic, TIMEOUT_SECONDS) == PARTITIONS


def test_a_partition_that_is_not_there_is_unavailable(subject: Subject) -> None:
    with pytest.raises(Unavailable):
        subject.producer.send_all(records(subject, [b"x"], partition=PARTITIONS), TIMEOUT_SECONDS)


def test_a_closed_producer_takes_nothing_more_and_can_be_closed_again(subject: Subject) -> None:
    subject.producer.close(TIMEOUT_SECONDS)
    subject.producer.close(TIMEOUT_SECONDS)

    with pytest.raises(Unavailable):
        subject.producer.send_all(records(subject, [b"x"]), TIMEOUT_SECONDS)


@pytest.mark.parametrize("kind", [Refused, TooLarge])
def test_a_refusal_survives_the_way_between_processes(kind: type[Refused]) -> None:
    error = pickle.loads(pickle.dumps(kind(3, "too large")))

    assert type(error) is kind
    assert (error.index, error.reason) == (3, "too large")
