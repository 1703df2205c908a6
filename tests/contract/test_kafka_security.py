"""Every client of Kafka at a broker that asks for a user over TLS."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from contextlib import closing

import pytest

from connectors.errors import Unavailable
from connectors.kafka import records
from connectors.kafka.authentication import AuthenticationFailed
from connectors.kafka.client_config import KafkaConnection, KafkaSecurity, SaslMechanism
from connectors.kafka.log_times import LogTimes
from connectors.kafka.producer import Producer
from connectors.kafka.reader import PartitionReader
from connectors.kafka.records import Record
from connectors.kafka.topics import TopicAdmin
from tests.kits.secured_kafka import PASSWORD, SecuredKafka

WRONG = "a-wrong-password"
TIMEOUT_SECONDS = 15.0
PROMPT_SECONDS = 5.0
"""Soon, on a busy machine: the clients' own timeouts are 10 s and more."""


@pytest.fixture(scope="module")
def topic(secured: SecuredKafka) -> str:
    name = f"secured.{uuid.uuid4().hex}"
    TopicAdmin(secured.connection()).create(name, 1, 1, {})
    return name


def send(connection: KafkaConnection, topic: str) -> None:
    producer = Producer(connection, client_id="tests")
    try:
        producer.send_all([Record(topic, b"value")], TIMEOUT_SECONDS)
    finally:
        producer.close(1.0)


def send_async(connection: KafkaConnection, topic: str) -> None:
    async def run() -> None:
        producer = Producer(connection, client_id="tests")
        try:
            await producer.send_all_async([Record(topic, b"value")], TIMEOUT_SECONDS)
        finally:
            producer.close(1.0)

    asyncio.run(run())


def count_partitions(connection: KafkaConnection, topic: str) -> None:
    producer = Producer(connection, client_id="tests")
    try:
        assert producer.partition_count(topic, TIMEOUT_SECONDS) == 1
    finally:
        producer.close(1.0)


def read(connection: KafkaConnection, topic: str) -> None:
    with closing(PartitionReader(connection, topic, "tests")) as reader:
        assert reader.partitions() == [0]


def read_range(connection: KafkaConnection, topic: str) -> None:
    with closing(PartitionReader(connection, topic, "tests")) as reader:
        low, high = reader.range_of(0)
        assert low <= high


def look_up_ends(connection: KafkaConnection, topic: str) -> None:
    with closing(LogTimes(connection, topic)) as log:
        assert set(log.ends()) == {0}


def describe(connection: KafkaConnection, topic: str) -> None:
    assert set(TopicAdmin(connection).describe([topic])) == {topic}


def identify(connection: KafkaConnection, topic: str) -> None:
    assert TopicAdmin(connection).identity(topic) is not None


def create(connection: KafkaConnection, topic: str) -> None:
    TopicAdmin(connection).create(topic, 1, 1, {})


USES = [send, send_async, count_partitions, read, read_range, look_up_ends, describe, identify, create]
Use = Callable[[KafkaConnection, str], None]


@pytest.mark.parametrize("use", USES)
def test_every_client_works_with_the_right_password(use: Use, secured: SecuredKafka, topic: str) -> None:
    use(secured.connection(), topic)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"])
def test_what_is_written_with_any_mechanism_is_read_back(
    mechanism: SaslMechanism, secured: SecuredKafka, topic: str
) -> None:
    connection, value = secured.connection(mechanism=mechanism), uuid.uuid4().bytes
    with closing(PartitionReader(connection, topic, "tests")) as reader:
        _, end = reader.range_of(0)
        reader.add(0, end)
        producer = Producer(connection, client_id="tests")
        producer.send_all([Record(topic, value, partition=0)], TIMEOUT_SECONDS)
        producer.close(1.0)
        deadline, found = time.monotonic() + TIMEOUT_SECONDS, list[bytes]()
        while not found and time.monotonic() < deadline:
            found = [message.value() for message in reader.consume(10, 0.1)]

    assert found == [value]


@pytest.mark.parametrize("use", USES)
def test_a_wrong_password_is_a_clear_error_soon(
    use: Use,
    secured: SecuredKafka,
    topic: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    began = time.monotonic()
    with pytest.raises(AuthenticationFailed, match=r"Kafka authentication failed: .*credentials") as raised:
        use(secured.connection(WRONG), topic)

    assert time.monotonic() - began < PROMPT_SECONDS
    written = capfd.readouterr()
    everything = [str(raised.value), repr(raised.value), caplog.text, written.out, written.err]
    assert not any(WRONG in text for text in everything)


@pytest.mark.parametrize("use", [send, read, describe])
def test_a_broker_whose_certificate_nobody_signed_is_not_trusted(use: Use, secured: SecuredKafka, topic: str) -> None:
    with pytest.raises(AuthenticationFailed, match="certificate verify failed"):
        use(secured.connection(ca_file=secured.other_ca_file), topic)


@pytest.mark.parametrize("use", [send, send_async, count_partitions])
def test_an_error_of_a_producer_says_that_the_records_may_be_sent_again(
    use: Use, secured: SecuredKafka, topic: str
) -> None:
    with pytest.raises(records.AuthenticationFailed) as raised:
        use(secured.connection(WRONG), topic)
    assert isinstance(raised.value, records.Unavailable)


def test_a_user_who_is_created_later_is_let_in_without_a_new_start(secured: SecuredKafka, topic: str) -> None:
    connection = secured.connection(PASSWORD, user="late")
    producer, reader = Producer(connection, client_id="tests"), PartitionReader(connection, topic, "tests")
    with closing(reader):
        for use in (reader.partitions, lambda: producer.send_all([Record(topic, b"value")], TIMEOUT_SECONDS)):
            with pytest.raises(AuthenticationFailed):
                use()
        secured.create_user("late", PASSWORD)

        eventually_done(lambda: producer.send_all([Record(topic, b"value")], TIMEOUT_SECONDS))
        eventually_done(reader.partitions)
    producer.close(1.0)


def eventually_done(call: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            call()
        except Unavailable:
            if time.monotonic() > deadline:
                raise
        else:
            return


def test_a_client_without_a_user_is_unavailable_and_does_not_hang(secured: SecuredKafka, topic: str) -> None:
    began = time.monotonic()
    reader = PartitionReader(secured.bootstrap, topic, "tests", timeout_seconds=2.0)
    with closing(reader), pytest.raises(Unavailable):
        reader.partitions()

    assert time.monotonic() - began < 2.0 + PROMPT_SECONDS


def test_no_representation_of_a_connection_has_the_password(secured: SecuredKafka) -> None:
    assert PASSWORD not in repr(secured.connection())
    assert PASSWORD not in str(secured.connection())


@pytest.mark.parametrize(
    "arguments",
    [
        ("SASL_SSL", "PLAIN", "user", ""),
        ("PLAINTEXT", "PLAIN", "user", "pw"),
        ("SASL_PLAINTEXT", "PLAIN", "u", "p", "ca"),
    ],
)
def test_a_way_to_connect_that_would_drop_a_secret_cannot_be_made(arguments: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="need"):
        KafkaSecurity(*arguments)  # type: ignore[arg-type]  # the cases differ in their types
