"""The click flow as a process, on a database of its own: what tests of outages and endings share."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from connectors.clickhouse.client import ClickHouse
from connectors.insights.report import Analytics
from connectors.kafka.producer import Producer
from connectors.kafka.reader import PartitionReader
from connectors.kafka.records import Record
from connectors.kafka.topics import TopicAdmin
from flows.delivery.process_set import FlowFailed, FlowOptions, FlowProcessSet
from marketplace.flows import CLICKS_FLOW
from marketplace.topics import CLICKS_COLLECTED, CLICKS_DEAD
from runtime.sections import Settings
from tests.kits.clicks import as_bytes, event, ms
from tests.kits.commands import run_command
from tests.kits.demo import ROOT
from tests.kits.processes import wait_until

TOPIC: Final = CLICKS_COLLECTED.name
NOON: Final = ms("2025-03-12T16:00:00")
PARTITIONS: Final = 2


def recreate_topic(bootstrap: str) -> None:
    """The topic of collected clicks, empty, whatever was there before."""
    topics, admin = TopicAdmin(bootstrap), AdminClient({"bootstrap.servers": bootstrap})
    if topics.identity(TOPIC) is not None:
        admin.delete_topics([TOPIC])[TOPIC].result(15)
        wait_until(lambda: topics.identity(TOPIC) is None, 15, "the topic's end")
    topics.create(TOPIC, PARTITIONS, 1, {})
    wait_until(lambda: topics.identity(TOPIC) is not None, 15, "the new topic")


@dataclass
class Shop:
    """A database of its own on the topic, with stores, and what can be done to them."""

    settings: Settings
    produced: int = 0

    def send(self, count: int, *, partition: int = 0, **fields: Any) -> None:
        """Clicks that all differ."""
        values = []
        for _ in range(count):
            self.produced += 1
            target = f"t{self.produced}"
            values.append(
                as_bytes(
                    event(
                        fields.get("at", NOON) + self.produced * 5_000,
                        target=target,
                        **{name: value for name, value in fields.items() if name != "at"},
                    )
                )
            )
        with closing_producer(self.settings.urls.kafka) as producer:
            producer.send_all([Record(TOPIC, value, partition=partition) for value in values], 30)

    @property
    def analytics(self) -> Analytics:
        return Analytics(ClickHouse(self.settings.urls.clickhouse, self.settings.database))

    def outcomes(self) -> dict[str, int]:
        return self.analytics.ledger_totals().outcomes

    def accounted(self) -> int:
        return sum(events for _, events in self.analytics.applied().values())


@contextmanager
def closing_producer(bootstrap: str) -> Iterator[Producer]:
    producer = Producer(bootstrap, client_id="tests")
    try:
        yield producer
    finally:
        producer.close(5)


@contextmanager
def flow(settings: Settings, options: FlowOptions | None = None) -> Iterator[FlowProcessSet]:
    """A running flow that is looked after; its end fails the test that waits for something."""
    runner = FlowProcessSet(CLICKS_FLOW, settings, options or FlowOptions(), Path(settings.data_dir) / "flow.log")
    runner.start()
    try:
        yield runner
    finally:
        runner.stop()


def log_of(settings: Settings) -> str:
    return (Path(settings.data_dir) / "flow.log").read_text()


def watch_until(runner: FlowProcessSet, done: Callable[[], bool], seconds: float, what: str) -> None:
    """Look after the flow until something holds."""

    def watched() -> bool:
        runner.watch()
        return done()

    wait_until(watched, seconds, what)


def failure_of(runner: FlowProcessSet, seconds: float) -> str:
    """Why the flow stops for good."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            runner.watch()
        except FlowFailed as error:
            return str(error)
        time.sleep(0.05)
    raise AssertionError("the flow still runs")


def command(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    base = {name: value for name, value in os.environ.items() if not name.startswith("MARKETPLACE_")}
    own = {"MARKETPLACE_DATABASE": settings.database, "MARKETPLACE_DATA": str(settings.data_dir)}
    environment = {**base, **settings.urls.environment(), **own, "PYTHONPATH": str(ROOT)}
    return run_command(*arguments, cwd=Path.cwd(), env=environment)


def ledger_of(settings: Settings) -> dict[str, Any]:
    done = command(settings, "ledger", "--json")
    document: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode, document["closed"]) == (0, True), done.stdout
    found: dict[str, Any] = document["log"]
    return found


def delete_records(bootstrap: str, partition: int, before: int) -> None:
    """What retention does."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for done in admin.delete_records([TopicPartition(TOPIC, partition, before)]).values():
        done.result(15)


def dead_letters(settings: Settings) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    with closing(PartitionReader(settings.kafka, CLICKS_DEAD.name, "tests")) as reader:
        waiting = 0
        for partition in reader.partitions():
            low, high = reader.range_of(partition)
            waiting += high - low
            reader.add(partition, low)
        deadline = time.monotonic() + 20
        while len(found) < waiting and time.monotonic() < deadline:
            for message in reader.consume(100, 0.2):
                headers = {name: value.decode() for name, value in message.headers()}
                found.append((headers["dlq_reason"], headers["dlq_store"]))
    return found


def partitions_of(settings: Settings) -> int:
    identity = TopicAdmin(settings.kafka).identity(TOPIC)
    return 0 if identity is None else identity.partitions


def metrics_of(port: int) -> set[str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            return set(answer.read().decode().splitlines())
    except OSError:
        return set()
