"""The flow of dead letters on real Kafka and ClickHouse keeps the promise of every flow; its numbers are readable."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from connectors.clickhouse.client import ClickHouse
from connectors.clickhouse.dead_letters import DeadLetterQueries
from connectors.kafka.producer import Producer
from connectors.kafka.reader import PartitionReader
from connectors.kafka.records import Record
from flows.delivery.process_set import FlowOptions
from marketplace.dead_letters import DeadLetter, headers
from marketplace.flows import DEAD_LETTERS_FLOW
from marketplace.settings import Urls
from marketplace.topics import CLICKS_DEAD, DEAD_LETTER_TOPICS, IMPORTS_DEAD
from ops.provision import ensure_provisioned
from ops.stack import Stack
from runtime.sections import Settings
from tests.flow.harness import Case, DeliveryPromise, running, watch_until
from tests.kits.depth import CHAOS, LONG

pytestmark = CHAOS

LETTERS = 400
COPIES = 7
FIELDS = ("consumer_group", "reason", "topic", "partition", "offset")


@pytest.fixture(scope="module")
def case(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Letters of a flow, some of them twice, and of an import, beside what is in the topics already."""
    producer = Producer(stack.urls.kafka, client_id="tests")
    producer.send_all([*of_a_flow(), *of_others()], 30)
    producer.close(5)
    messages = {topic.name: read_topic(stack, topic.name) for topic in DEAD_LETTER_TOPICS}
    ends: dict[str, dict[int, int]] = {topic: {} for topic in messages}
    for topic, found in messages.items():
        for message in found:
            ends[topic][message.partition()] = message.offset() + 1

    @contextmanager
    def fresh_settings() -> Iterator[Settings]:
        urls = Urls(stack.urls.kafka, stack.urls.mongo, stack.urls.clickhouse, stack.urls.redis)
        folder = tmp_path_factory.mktemp("letters")
        made = Settings(urls, PurePosixPath(folder), f"letters_{uuid.uuid4().hex}")
        ensure_provisioned(made)
        yield made
        ClickHouse(made.urls.clickhouse, made.database).command(f"DROP DATABASE {made.database}")

    return Case(DEAD_LETTERS_FLOW, ends, {"letters": expected_rows(messages)}, read_rows, fresh_settings, 25)


def of_a_flow() -> list[Record]:
    """Letters by the place of a record, of which a crash had some written twice."""
    group, made = f"flows.{uuid.uuid4().hex}", []
    for at in range(LETTERS):
        letter = DeadLetter(group, "undecodable", "why", "shop", "orders.v1", at % 3, at)
        record = Record(CLICKS_DEAD.name, b"bytes %d" % at, key=b"%d" % (at % 3), headers=headers(letter))
        made += [record] * (2 if at < COPIES else 1)
    return made


def of_others() -> list[Record]:
    earlier = (("dlq_source", b"import"), ("dlq_reason", b"unparseable"), ("dlq_message", b"why"), ("store", b"shop"))
    return [Record(IMPORTS_DEAD.name, b"line %d" % at, headers=earlier) for at in range(LETTERS // 4)]


def read_topic(stack: Stack, topic: str) -> list[Any]:
    """All records of a topic."""
    reader, found = PartitionReader(stack.urls.kafka, topic, "tests"), list[Any]()
    ranges = {partition: reader.range_of(partition) for partition in reader.partitions()}
    for partition, (low, _) in ranges.items():
        reader.add(partition, low)
    while len(found) < sum(high - low for low, high in ranges.values()):
        found += reader.consume(1_000, 1.0)
    reader.close()
    return found


def expected_rows(messages: dict[str, list[Any]]) -> dict[tuple[Any, ...], tuple[int, int]]:
    """How often each record was given up, and its size; plain Python that shares no code with the flow."""
    found: dict[tuple[Any, ...], tuple[int, int]] = {}
    for topic, of_topic in messages.items():
        for message in of_topic:
            said = {name: value.decode() for name, value in message.headers() or []}
            place = (topic, message.partition(), message.offset())
            if "dlq_topic" in said:
                place = (said["dlq_topic"], int(said["dlq_partition"]), int(said["dlq_offset"]))
            key = (said.get("dlq_group") or said["dlq_source"], said["dlq_reason"], *place)
            found[key] = (found.get(key, (0, 0))[0] + 1, len(message.value() or b""))
    return found


def read_rows(settings: Settings) -> dict[str, Any]:
    rows = ClickHouse(settings.urls.clickhouse, settings.database).rows(
        f"SELECT {', '.join(FIELDS)}, sum(letters), max(bytes) FROM {settings.database}.dead_letters "
        f"GROUP BY {', '.join(FIELDS)}"
    )
    return {"letters": {tuple(row[:5]): (int(row[5]), int(row[6])) for row in rows}}


@LONG
class TestDeadLetters(DeliveryPromise):
    """The promise of every flow."""


def test_a_letter_that_was_written_twice_is_one_record_that_was_given_up(case: Case) -> None:
    with case.settings() as settings:
        with running(case.flow, settings, FlowOptions()) as runner:
            watch_until(runner, settings, lambda: case.is_done(settings))
        clickhouse = ClickHouse(settings.urls.clickhouse, settings.database)
        groups = DeadLetterQueries(clickhouse).by_reason(topic="orders.v1")
    assert sum(group.records for group in groups) == len({k for k in case.expected["letters"] if k[2] == "orders.v1"})
    assert {(group.reason, group.topic) for group in groups} == {("undecodable", "orders.v1")}


def test_the_folder_of_a_flow_is_its_name() -> None:
    assert (Path(__file__).parents[2] / "flows" / DEAD_LETTERS_FLOW.name / "__main__.py").is_file()
