"""The click flow when its environment changes: invalid store documents, Mongo unavailable, a recreated topic."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions  # type: ignore[attr-defined]  # it does not list its exports

from connectors.clickhouse.client import ClickHouse
from connectors.mongo.client import connect
from connectors.mongo.store_stats import StoreStats
from connectors.mongo.stores import MongoStores
from flows.delivery.process_set import FlowOptions
from marketplace.collections import STORES as STORES_COLLECTION
from ops.provision import ensure_provisioned
from ops.stack import Stack, StackError
from ops.stack.parts.kafka_jars import ensure_jars, find_java
from runtime.sections import Settings
from tests.kits.clicks import STORES, ms, visitor_of
from tests.kits.demo import ROOT
from tests.kits.depth import CHAOS, LONG
from tests.kits.flow_process import (
    NOON,
    PARTITIONS,
    TOPIC,
    Shop,
    command,
    dead_letters,
    delete_records,
    failure_of,
    flow,
    ledger_of,
    log_of,
    metrics_of,
    partitions_of,
    recreate_topic,
    watch_until,
)
from tests.kits.processes import wait_until
from tests.kits.tcp_proxy import TcpProxy

pytestmark = CHAOS


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose topics these tests may delete."""
    try:
        find_java()
        ensure_jars()
    except StackError as error:
        pytest.skip(str(error))
    with Stack(tmp_path_factory.mktemp("outages"), ports="auto", external={}) as running:
        yield running


@pytest.fixture
def shop(own_stack: Stack, tmp_path: Path) -> Iterator[Shop]:
    urls = own_stack.urls
    recreate_topic(urls.kafka)
    settings = Settings(urls, PurePosixPath(tmp_path), f"outages_{uuid.uuid4().hex}")
    ensure_provisioned(settings)
    client = connect(urls.mongo)
    for store in STORES.values():
        MongoStores(client, settings.database).upsert_store(store)
    yield Shop(settings)
    client.drop_database(settings.database)
    client.close()
    ClickHouse(urls.clickhouse, settings.database).command(f"DROP DATABASE {settings.database}")


@pytest.fixture
def proxy(shop: Shop) -> Iterator[TcpProxy]:
    """Mongo, through a proxy that can refuse connections."""
    with closing(TcpProxy(shop.settings.urls.mongo)) as made:
        made.open()
        yield made


def test_a_document_that_is_no_store_costs_its_own_clicks_only_and_counts_once_it_is_corrected(shop: Shop) -> None:
    with connect(shop.settings.urls.mongo) as client:
        documents = client[shop.settings.database][STORES_COLLECTION.name]
        documents.update_one({"_id": "beta"}, {"$set": {"timezone": ["Asia/Kathmandu"]}})
        shop.send(5, store="alpha")
        shop.send(3, store="beta")
        with flow(shop.settings) as runner:
            watch_until(runner, lambda: shop.accounted() == 8, 60, "all clicks")
            assert shop.outcomes() == {"counted": 5, "invalid": 3}
            documents.update_one({"_id": "beta"}, {"$set": {"timezone": "Asia/Kathmandu"}})
            shop.send(2, store="beta")
            watch_until(runner, lambda: shop.accounted() == 10, 60, "the clicks after it was mended")
        assert runner.restarts == 0
    assert shop.outcomes() == {"counted": 7, "invalid": 3}
    assert log_of(shop.settings).count("a store is left out") == 1
    assert dead_letters(shop.settings) == [("unknown_store", "beta")] * 3


def test_while_mongo_is_unavailable_clicks_are_counted_and_read_models_come_later(shop: Shop, proxy: TcpProxy) -> None:
    settings = replace(shop.settings, urls=replace(shop.settings.urls, mongo=proxy.url))
    with flow(settings) as runner, connect(shop.settings.urls.mongo) as client:
        stats = StoreStats(client, settings.database)
        shop.send(5)
        watch_until(runner, lambda: [d["views"] for d in stats.of("alpha")] == [5], 60, "the first clicks in Mongo")
        proxy.cut()
        shop.send(5)
        watch_until(runner, lambda: shop.accounted() == 10, 30, "counting without Mongo")
        shop.send(5, at=NOON + 86_400_000, partition=1)
        watch_until(runner, lambda: shop.accounted() == 15, 30, "counting of another day without Mongo")
        assert [day["views"] for day in stats.of("alpha")] == [5]
        behind = "store_stats is behind, counting goes on"
        watch_until(runner, lambda: behind in log_of(settings), 30, "the word that Mongo lacks something")
        proxy.open()
        watch_until(runner, lambda: [d["views"] for d in stats.of("alpha")] == [5, 10], 30, "both days in Mongo")
        assert runner.restarts == 0


@LONG
def test_what_mongo_missed_is_made_up_for_by_the_next_start(shop: Shop, proxy: TcpProxy) -> None:
    settings = replace(shop.settings, urls=replace(shop.settings.urls, mongo=proxy.url))
    with connect(shop.settings.urls.mongo) as client:
        stats = StoreStats(client, settings.database)
        with flow(settings) as runner:
            shop.send(1, store="beta")
            watch_until(runner, lambda: shop.accounted() == 1, 60, "the first click")
            proxy.cut()
            shop.send(5)
            watch_until(runner, lambda: shop.accounted() == 6, 30, "counting without Mongo")
        assert stats.of("alpha") == []
        with flow(shop.settings) as runner:
            watch_until(runner, lambda: [day["views"] for day in stats.of("alpha")] == [5], 30, "the day in Mongo")


@LONG
def test_a_click_of_an_unknown_store_waits_for_mongo_and_is_counted_then(shop: Shop, proxy: TcpProxy) -> None:
    settings = replace(shop.settings, urls=replace(shop.settings.urls, mongo=proxy.url))
    with flow(settings) as runner, connect(shop.settings.urls.mongo) as client:
        shop.send(1)
        watch_until(runner, lambda: shop.accounted() == 1, 60, "the first click")
        proxy.cut()
        new = replace(STORES["alpha"], slug="brand-new", write_key_hash="0" * 64)
        MongoStores(client, settings.database).upsert_store(new)
        shop.send(2, store="brand-new")
        watch_until(runner, lambda: "waiting, nothing is lost" in log_of(settings), 30, "the pause")
        assert shop.accounted() == 1
        proxy.open()
        watch_until(runner, lambda: shop.accounted() == 3, 30, "the new store's clicks")
        assert runner.restarts == 0
    assert shop.outcomes() == {"counted": 3}


def test_a_visit_that_goes_on_after_midnight_changes_the_read_model_of_the_day_before(shop: Shop) -> None:
    before_midnight = ms("2025-03-12T03:59:00")
    with flow(shop.settings) as runner, connect(shop.settings.urls.mongo) as client:
        stats = StoreStats(client, shop.settings.database)
        visitor = visitor_of("alpha", 1)
        shop.send(1, at=before_midnight, visitor=visitor)
        watch_until(runner, lambda: [d["bounces"] for d in stats.of("alpha")] == [1], 60, "the bounce")
        shop.send(1, at=before_midnight + 120_000, visitor=visitor)
        watch_until(runner, lambda: [d["bounces"] for d in stats.of("alpha")] == [0, 0], 30, "no bounce any more")
        assert [(d["day"], d["sessions"], d["views"]) for d in stats.of("alpha")] == [
            ("2025-03-12", 0, 1),
            ("2025-03-11", 1, 1),
        ]


@LONG
def test_partitions_that_are_added_are_read_from_their_beginning_within_a_minute(shop: Shop) -> None:
    shop.send(3)
    with flow(shop.settings, FlowOptions(look_seconds=1.0)) as runner:
        watch_until(runner, lambda: shop.accounted() == 3, 60, "the first clicks")
        admin = AdminClient({"bootstrap.servers": shop.settings.urls.kafka})
        admin.create_partitions([NewPartitions(TOPIC, PARTITIONS + 1)])[TOPIC].result(15)
        wait_until(lambda: partitions_of(shop.settings) == PARTITIONS + 1, 15, "the new partition")
        shop.send(4, partition=PARTITIONS)
        watch_until(runner, lambda: shop.accounted() == 7, 60, "the new partition's clicks")
        assert runner.restarts == 1
    assert shop.analytics.applied()[PARTITIONS] == (3, 4)


def test_a_topic_recreated_under_a_running_flow_stops_it_with_what_to_do(shop: Shop) -> None:
    shop.send(3)
    with flow(shop.settings, FlowOptions(look_seconds=1.0)) as runner:
        watch_until(runner, lambda: shop.accounted() == 3, 60, "the first clicks")
        recreate_topic(shop.settings.urls.kafka)
        assert "recover.md" in failure_of(runner, 60) + log_of(shop.settings)
    assert shop.accounted() == 3


@LONG
def test_a_topic_recreated_with_fewer_records_is_refused(shop: Shop) -> None:
    shop.send(5)
    with flow(shop.settings) as runner:
        watch_until(runner, lambda: shop.accounted() == 5, 60, "the first clicks")
    recreate_topic(shop.settings.urls.kafka)
    shop.send(2)
    with flow(shop.settings) as runner:
        assert "refused" in failure_of(runner, 60)
    assert f"{TOPIC}[0] ends before offset 2, but the tables hold records up to 4" in log_of(shop.settings)


def test_a_topic_recreated_with_more_records_is_refused(shop: Shop) -> None:
    shop.send(5)
    with flow(shop.settings) as runner:
        watch_until(runner, lambda: shop.accounted() == 5, 60, "the first clicks")
    recreate_topic(shop.settings.urls.kafka)
    shop.send(50)
    with flow(shop.settings) as runner:
        assert "refused" in failure_of(runner, 60)
    assert f"{TOPIC}[0] has another record at offset 4 than the tables" in log_of(shop.settings)
    assert shop.accounted() == 5


@LONG
def test_uncounted_records_that_retention_took_stop_the_flow_until_the_loss_is_accepted(shop: Shop) -> None:
    shop.send(5)
    with flow(shop.settings) as runner:
        watch_until(runner, lambda: shop.accounted() == 5, 60, "the first clicks")
    shop.send(10)
    delete_records(shop.settings.urls.kafka, 0, before=12)
    with flow(shop.settings) as runner:
        assert "refused" in failure_of(runner, 60)
    assert "7 records (offsets 5 to 11) were deleted by retention before they were counted" in log_of(shop.settings)

    accepted = command(shop.settings, "flows", "accept-loss", "clicks", "--json")
    again = command(shop.settings, "flows", "accept-loss", "clicks", "--json")
    assert json.loads(accepted.stdout) == {"written_off": 7, "partitions": {"clicks.collected.v1[0]": 7}}
    assert json.loads(again.stdout) == {"written_off": 0, "partitions": {}}
    with flow(shop.settings) as runner:
        watch_until(runner, lambda: shop.accounted() == 15, 60, "the records that are left")
    assert shop.outcomes() == {"counted": 8}
    assert ledger_of(shop.settings) == {
        "records": 15,
        "accounted": 15,
        "expired": 7,
        "unaccounted": 0,
        "waiting": 0,
    }


@LONG
def test_tables_made_again_from_a_shorter_log_replace_the_read_models_of_before(shop: Shop) -> None:
    shop.send(5)
    with flow(shop.settings) as runner, connect(shop.settings.urls.mongo) as client:
        stats = StoreStats(client, shop.settings.database)
        watch_until(runner, lambda: [d["views"] for d in stats.of("alpha")] == [5], 60, "the clicks in Mongo")
    delete_records(shop.settings.urls.kafka, 0, before=2)
    database = shop.settings.database
    ClickHouse(shop.settings.urls.clickhouse, database).command(f"DROP DATABASE {database}")
    ensure_provisioned(shop.settings)
    with flow(shop.settings) as runner, connect(shop.settings.urls.mongo) as client:
        stats = StoreStats(client, shop.settings.database)
        watch_until(runner, lambda: [day["views"] for day in stats.of("alpha")] == [3], 60, "the clicks that are left")


@LONG
def test_the_ledger_closes_on_a_log_whose_beginning_was_gone_before_the_first_start(shop: Shop) -> None:
    shop.send(10)
    delete_records(shop.settings.urls.kafka, 0, before=6)
    with flow(shop.settings) as runner:
        watch_until(runner, lambda: shop.outcomes() == {"counted": 4}, 60, "what is left")
    with flow(shop.settings) as runner:
        shop.send(1)
        watch_until(runner, lambda: shop.outcomes() == {"counted": 5}, 60, "one more")
    delete_records(shop.settings.urls.kafka, 0, before=9)
    found = ledger_of(shop.settings)
    assert (found["records"], found["expired"], found["unaccounted"], found["waiting"]) == (11, 6, 0, 0)


def test_the_service_exposes_its_numbers_and_that_of_invalid_stores(shop: Shop, tmp_path: Path) -> None:
    with connect(shop.settings.urls.mongo) as client:
        documents = client[shop.settings.database][STORES_COLLECTION.name]
        documents.update_one({"_id": "beta"}, {"$unset": {"domains": ""}})
    shop.send(3)
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    own = {"MARKETPLACE_DATABASE": shop.settings.database, "MARKETPLACE_DATA": str(tmp_path)}
    base = {name: value for name, value in os.environ.items() if not name.startswith("MARKETPLACE_")}
    environment = {**base, **shop.settings.urls.environment(), **own, "MARKETPLACE_FLOW_PORT": str(port)}
    with (tmp_path / "service.log").open("wb") as log:
        service = subprocess.Popen(
            [sys.executable, "-m", "ops.flow_service", "clicks"],
            env={**environment, "PYTHONPATH": str(ROOT)},
            stderr=log,
        )
    try:
        wanted = {
            'marketplace_clicks_total{outcome="counted"} 3.0',
            'marketplace_flow_lag_records{flow="clicks",partition="0",topic="clicks.collected.v1"} 0.0',
            'marketplace_flow_unreachable_records{flow="clicks",partition="1",topic="clicks.collected.v1"} 0.0',
            "marketplace_clicks_expired_total 0.0",
            "marketplace_stores_unusable 1.0",
            'marketplace_flow_processes{flow="clicks"} 1.0',
        }
        wait_until(lambda: wanted <= metrics_of(port), 60, "the numbers")
    finally:
        service.terminate()
        assert service.wait(20) == 0, (tmp_path / "service.log").read_text()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MARKETPLACE_FLOW_WORKERS", "many"),
        ("MARKETPLACE_FLOW_PORT", "70000"),
        ("MARKETPLACE_DATABASE", "a-b"),
    ],
)
def test_a_service_that_cannot_run_says_why_in_one_line(shop: Shop, name: str, value: str) -> None:
    own = {"MARKETPLACE_DATA": str(shop.settings.data_dir), name: value}
    done = subprocess.run(
        [sys.executable, "-m", "ops.flow_service", "clicks"],
        env={**os.environ, **shop.settings.urls.environment(), **own, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"{name}={value}" in done.stderr
