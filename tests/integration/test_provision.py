"""Provisioning on the real parts: what is missing is made, what differs is said and left."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any

import pytest

from connectors.clickhouse.client import ClickHouse
from connectors.errors import Unavailable
from connectors.kafka.topics import TopicAdmin
from connectors.mongo.client import connect
from marketplace.collections import COLLECTIONS, STORES, VISITOR_SALTS
from marketplace.tables import CLICKS, GENERATIONS, SESSIONS, TABLES, Table
from marketplace.topics import TOPICS, Topic
from ops.drift import topic_drift
from ops.provision import ensure_provisioned
from ops.stack import Stack
from ops.stack.registry import REGISTRY
from runtime.sections import Settings
from tests.kits.collector import eventually


@pytest.fixture
def settings(stack: Stack) -> Iterator[Settings]:
    """A database of the test's own, in ClickHouse and Mongo."""
    urls = stack.urls
    database = f"drift_{uuid.uuid4().hex[:8]}"
    found = Settings(urls, PurePosixPath("unused"), database)
    yield found
    ClickHouse(urls.clickhouse, database).command(f"DROP DATABASE IF EXISTS {database}")
    client = connect(urls.mongo)
    client.drop_database(database)
    client.close()


@pytest.fixture
def made(settings: Settings) -> Settings:
    """The same, provisioned."""
    ensure_provisioned(settings)
    return settings


def drift_after(settings: Settings, *statements: str) -> list[str]:
    clickhouse = ClickHouse(settings.urls.clickhouse, settings.database)
    for statement in statements:
        clickhouse.command(statement.replace("ALTER TABLE ", f"ALTER TABLE {settings.database}."))
    drift = ensure_provisioned(settings).drift
    assert ensure_provisioned(settings).drift == drift, "reported and left"
    return drift


def test_what_is_missing_is_made_once_and_is_then_as_declared(settings: Settings) -> None:
    first, second = ensure_provisioned(settings), ensure_provisioned(settings)

    assert {f"table {table.name}" for table in TABLES} <= set(first.made)
    assert {f"collection {collection.name}" for collection in COLLECTIONS} <= set(first.made)
    assert (first.drift, second.made, second.drift) == ([], [], [])


def test_what_one_service_finds_is_made_alone_and_no_other_part_is_asked(settings: Settings) -> None:
    collector = REGISTRY.resources(["collector"])
    nowhere = replace(settings, urls=replace(settings.urls, clickhouse="http://127.0.0.1:1", redis=""))

    made = ensure_provisioned(nowhere, resources=collector).made

    collections = {line.removeprefix("collection ") for line in made if line.startswith("collection ")}
    assert collections == {"stores", "visitor_salts", "turned_away"}
    assert [line for line in made if line.startswith("table ")] == []
    assert ensure_provisioned(settings).drift == []


def test_what_two_services_find_is_made_once(settings: Settings) -> None:
    made = ensure_provisioned(settings, resources=REGISTRY.resources(["flow", "dashboard"])).made

    assert len(set(made)) == len(made)
    assert {"table clicks", "table rollups", "collection turned_away"} <= set(made)
    assert "collection visitor_salts" not in made


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        (
            "ALTER TABLE clicks MODIFY TTL toDateTime(occurred_at) + INTERVAL 30 DAY",
            "table clicks: TTL toDateTime(occurred_at) + toIntervalDay(30), declared none; counted rows disappear",
        ),
        (
            "ALTER TABLE sessions MODIFY COLUMN page String TTL toDateTime(ended_at) + INTERVAL 1 DAY",
            "table sessions: column page has a TTL, declared none; its values disappear",
        ),
        (
            "ALTER TABLE rollups MODIFY SETTING non_replicated_deduplication_window = 0",
            "table rollups: non_replicated_deduplication_window is 0, declared 1000; "
            "an insert that is repeated counts twice",
        ),
        (
            "ALTER TABLE rollups RESET SETTING non_replicated_deduplication_window",
            "table rollups: non_replicated_deduplication_window is not set, declared 1000; "
            "an insert that is repeated counts twice",
        ),
        ("ALTER TABLE clicks DROP INDEX occurred", "table clicks: index occurred is missing; reading at a start"),
        ("ALTER TABLE clicks ADD INDEX mine page TYPE bloom_filter", "table clicks: index mine is not declared"),
        ("ALTER TABLE clicks ADD COLUMN extra UInt8", "table clicks: column extra is not declared"),
        ("ALTER TABLE clicks DROP COLUMN target", "table clicks: column target is missing"),
        ("ALTER TABLE clicks MODIFY COLUMN sampling Float64", "table clicks: sampling is Float64, declared Float32"),
        (
            "ALTER TABLE clicks MODIFY COLUMN sampling DEFAULT 1",
            "table clicks: sampling has DEFAULT 1, declared no default",
        ),
    ],
)
def test_a_table_that_was_altered_is_reported_with_what_that_does(made: Settings, statement: str, finding: str) -> None:
    (drift,) = drift_after(made, statement)

    assert drift.startswith(finding)


@pytest.mark.parametrize(
    ("other", "finding"),
    [
        (
            replace(SESSIONS, engine="MergeTree"),
            "table sessions: engine MergeTree, declared CollapsingMergeTree(sign); rows are merged by another rule",
        ),
        (
            replace(GENERATIONS, order_by="generation, flow"),
            "table flow_generations: ordered by generation, flow, declared flow, generation; other rows may be merged",
        ),
        (
            replace(CLICKS, partition_by="toYYYYMM(occurred_at)"),
            "table clicks: partitioned by toYYYYMM(occurred_at), declared nothing; "
            "an insert is no longer applied as a whole",
        ),
    ],
)
def test_a_table_of_another_form_is_reported_with_what_that_does(made: Settings, other: Table, finding: str) -> None:
    name = f"{made.database}.{other.name}"

    assert drift_after(made, f"DROP TABLE {name}", other.create(made.database)) == [finding]


def indexes(settings: Settings, collection: str) -> Any:
    client = connect(settings.urls.mongo)
    return client[settings.database][collection]


def test_indexes_that_differ_are_reported_also_those_that_delete(made: Settings) -> None:
    salts, stores = indexes(made, VISITOR_SALTS.name), indexes(made, STORES.name)
    salts.drop_index("destroy")
    salts.create_index("destroy_at", name="destroy")
    stores.create_index("opened_at", name="mine", expireAfterSeconds=60)
    stores.drop_index("by_write_key")
    stores.create_index("write_key_hash", name="by_write_key")

    assert drift_after(made) == [
        "index stores.by_write_key: not unique, declared unique",
        "index stores.mine: not declared, and it deletes documents after 60 s",
        "index visitor_salts.destroy: expires after never, declared 0 s",
    ]
    for collection in (salts, stores):
        collection.database.client.close()


def own_topic() -> Topic:
    return Topic(f"drift-{uuid.uuid4().hex[:8]}", partitions=2, retention=timedelta(days=3))


def drift_of(stack: Stack, declared: Topic, found: Topic, settings: dict[str, str], brokers: int = 1) -> list[str]:
    admin = TopicAdmin(stack.urls.kafka)
    admin.create(declared.name, found.partitions, 1, {**found.settings(1), **settings})
    eventually(lambda: admin.describe([declared.name]), "the broker knows the topic")
    return list(topic_drift(declared, admin.describe([declared.name])[declared.name], brokers))


def test_who_makes_a_topic_finds_it_also_where_others_make_it_at_the_same_time(stack: Stack) -> None:
    names = [f"made.by.many.{uuid.uuid4().hex}" for _ in range(10)]

    def make_and_find(_: int) -> list[bool]:
        admin, found = TopicAdmin(stack.urls.kafka), []
        for name in names:
            admin.create(name, 1, 1, {})
            found.append(admin.identity(name) is not None)
        return found

    with ThreadPoolExecutor(4) as several:
        assert list(several.map(make_and_find, range(4))) == [[True] * len(names)] * 4


@pytest.mark.parametrize("connected", [True, False])
def test_a_kafka_that_stands_still_makes_no_topic_in_time_and_makes_it_when_it_goes_on(
    stack: Stack, connected: bool
) -> None:
    admin, name, broker = TopicAdmin(stack.urls.kafka, timeout_seconds=3.0), uuid.uuid4().hex, stack.pid("kafka")
    if connected:
        assert admin.identity(name) is None
    os.kill(broker, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(Unavailable):
            admin.create(name, 2, 1, {})
        assert time.monotonic() - began < 9
    finally:
        os.kill(broker, signal.SIGCONT)

    def made() -> bool:
        try:
            admin.create(name, 2, 1, {})
        except Unavailable:
            return False
        found = admin.identity(name)
        return found is not None and found.partitions == 2

    eventually(made, "the topic is made", 20)


def test_a_topic_that_is_gone_again_before_it_is_known_is_an_error_in_time(stack: Stack) -> None:
    class Forgetful(TopicAdmin):
        """Asks a broker that does not know the topic."""

        def identity(self, name: str) -> None:
            assert super().identity(f"{name}.deleted") is None

    admin = Forgetful(stack.urls.kafka, timeout_seconds=5.0)
    name, began = f"made.and.gone.{uuid.uuid4().hex}", time.monotonic()

    with pytest.raises(Unavailable, match=name):
        admin.create(name, 1, 1, {})

    assert time.monotonic() - began < 15


def test_a_topic_made_as_declared_has_no_drift(stack: Stack) -> None:
    topic = own_topic()

    assert drift_of(stack, topic, topic, {}) == []


def test_every_setting_of_a_topic_that_differs_is_reported_with_what_that_does(stack: Stack) -> None:
    topic = own_topic()
    found = replace(topic, partitions=3, retention=timedelta(days=1), max_record_bytes=1_000)
    others = {"cleanup.policy": "compact", "retention.bytes": "1000", "unclean.leader.election.enable": "true"}

    drift = drift_of(stack, topic, found, {**others, "min.insync.replicas": "2"})

    assert [line.partition(", declared")[0].removeprefix(f"topic {topic.name}: ") for line in drift] == [
        "3 partitions",
        "cleanup.policy=compact",
        "retention.ms=86400000",
        "retention.bytes=1000",
        "min.insync.replicas=2",
        "unclean.leader.election.enable=true",
        "max.message.bytes=1000",
    ]
    assert all("; " in line for line in drift)


def test_a_topic_of_one_copy_where_there_are_three_brokers_is_reported(stack: Stack) -> None:
    topic = own_topic()

    (drift,) = drift_of(stack, topic, topic, {}, brokers=3)

    assert "1 copies of each record, declared 3" in drift


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_of_three_copies_two_acknowledge_and_of_one_that_one(topic: Topic) -> None:
    for brokers, copies, acknowledging in ((1, 1, "1"), (3, 3, "2"), (5, 3, "2")):
        assert topic.replicas(brokers) == copies
        assert topic.settings(copies)["min.insync.replicas"] == acknowledging
