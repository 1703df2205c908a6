"""The pipeline at a Kafka that asks for a user over TLS: settings reach every process."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath

import httpx
import pytest

from connectors.clickhouse.client import ClickHouse
from connectors.insights.report import Analytics
from connectors.kafka.client_config import KafkaConnection
from connectors.kafka.producer import Producer
from connectors.kafka.records import Record
from connectors.mongo.client import connect
from connectors.mongo.stores import MongoStores
from flows.delivery.process_set import FlowOptions
from marketplace.settings import Urls
from marketplace.topics import CLICKS_COLLECTED
from ops.provision import ensure_provisioned
from ops.stack import Stack
from runtime.ports import free_ports
from runtime.sections import Settings
from tests.kits.clicks import STORES, as_bytes, event, ms
from tests.kits.flow_process import flow
from tests.kits.secured_kafka import PASSWORD, SecuredKafka
from tests.kits.stack import ROOT, eventually

EVENTS = 40
NOON = ms("2025-03-12T16:00:00")
DEADLINE_SECONDS = 60.0


@pytest.fixture(scope="module")
def settings(secured: SecuredKafka, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    urls = Urls(secured.bootstrap, stack.urls.mongo, stack.urls.clickhouse, stack.urls.redis)
    return settings_of(urls, tmp_path_factory.mktemp("pipeline"), secured.connection())


def settings_of(urls: Urls, folder: Path, connection: KafkaConnection) -> Settings:
    database = f"secured_{uuid.uuid4().hex}"
    return Settings(urls, PurePosixPath(folder), database, kafka_security=connection.security)


def test_the_flow_counts_what_it_reads_as_a_user(settings: Settings) -> None:
    assert ensure_provisioned(settings).drift == []
    with closing(connect(settings.urls.mongo)) as client:
        for store in STORES.values():
            MongoStores(client, settings.database).create_store(store)
    producer = Producer(settings.kafka, client_id="tests")
    values = [as_bytes(event(NOON + at * 5_000, target=uuid.uuid4().hex)) for at in range(EVENTS)]
    producer.send_all([Record(CLICKS_COLLECTED.name, value, partition=0) for value in values], DEADLINE_SECONDS)
    producer.close(5.0)
    analytics = Analytics(ClickHouse(settings.urls.clickhouse, settings.database))

    with flow(settings, FlowOptions()) as runner:

        def counted() -> bool:
            runner.watch()
            return analytics.applied().get(0, (-1, 0))[1] == EVENTS

        assert eventually(counted, DEADLINE_SECONDS)
        assert runner.restarts == 0


@contextmanager
def collector(settings: Settings, log: Path) -> Iterator[str]:
    """A collector's process; yields the URL of its admin endpoint."""
    public, admin = free_ports(2)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MARKETPLACE_")}
    ports = {"MARKETPLACE_COLLECTOR_PORT": str(public), "MARKETPLACE_COLLECTOR_ADMIN_PORT": str(admin)}
    # It has no part of the other two.
    environment = settings.environment() | {"MARKETPLACE_CLICKHOUSE_URL": "", "MARKETPLACE_REDIS_URL": ""}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ingest"],
            env={**clean, **environment, **ports, "PYTHONPATH": str(ROOT)},
            stdout=output,
            stderr=output,
        )
    try:
        yield f"http://127.0.0.1:{admin}"
    finally:
        process.terminate()
        process.wait(DEADLINE_SECONDS)


def readiness(url: str) -> httpx.Response | None:
    try:
        return httpx.get(f"{url}/readyz", timeout=10.0)
    except httpx.TransportError:
        return None


def test_a_collector_is_ready_as_a_user(settings: Settings, tmp_path: Path) -> None:
    ensure_provisioned(settings)
    with collector(settings, tmp_path / "log") as url:
        assert eventually(lambda: (found := readiness(url)) is not None and found.status_code == 200, DEADLINE_SECONDS)
    assert PASSWORD not in (tmp_path / "log").read_text()


def test_a_collector_with_a_wrong_password_says_so_and_never_says_it(
    settings: Settings, secured: SecuredKafka, tmp_path: Path
) -> None:
    wrong = settings_of(settings.urls, tmp_path, secured.connection("a-wrong-password"))
    with collector(wrong, tmp_path / "log") as url:
        found: list[httpx.Response] = []

        def is_named() -> bool:
            answer = readiness(url)
            found.extend([answer] if answer is not None else [])
            return answer is not None and "Kafka authentication failed" in answer.text

        assert eventually(is_named, DEADLINE_SECONDS)
        assert found[-1].status_code == 503
    assert "a-wrong-password" not in found[-1].text + (tmp_path / "log").read_text()
