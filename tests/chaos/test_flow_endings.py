"""A flow's processes that freeze are replaced, and those that leave say why, however many they are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from connectors.clickhouse.client import ClickHouse
from connectors.insights.report import Analytics
from connectors.kafka.producer import Producer
from connectors.kafka.records import Record
from connectors.mongo.client import connect
from connectors.mongo.stores import MongoStores
from flows.delivery.process_set import FlowFailed, FlowFenced, FlowOptions, FlowProcessSet
from marketplace.flows import CLICKS_FLOW
from marketplace.topics import CLICKS_COLLECTED
from ops.drain import unread_records
from ops.provision import ensure_provisioned
from ops.stack import Stack
from runtime.sections import Settings
from tests.kits.clicks import STORES, as_bytes, event, ms
from tests.kits.demo import ROOT
from tests.kits.depth import CHAOS, LONG
from tests.kits.flow_process import command, flow
from tests.kits.processes import wait_until

pytestmark = CHAOS

NOON = ms("2025-03-12T16:00:00")
EVENTS = 40


@pytest.fixture
def shop(stack: Stack, tmp_path: Path) -> Iterator[Settings]:
    """A database of its own on everybody's topic."""
    urls = stack.urls
    settings = Settings(urls, PurePosixPath(tmp_path), f"endings_{uuid.uuid4().hex}")
    ensure_provisioned(settings)
    client = connect(urls.mongo)
    for store in STORES.values():
        MongoStores(client, settings.database).create_store(store)
    yield settings
    client.drop_database(settings.database)
    client.close()
    ClickHouse(urls.clickhouse, settings.database).command(f"DROP DATABASE {settings.database}")


def send(settings: Settings, count: int = EVENTS) -> None:
    """Clicks over all partitions."""
    producer = Producer(settings.kafka, client_id="tests")
    partitions = CLICKS_COLLECTED.partitions
    values = [as_bytes(event(NOON + at * 5_000, target=uuid.uuid4().hex)) for at in range(count)]
    producer.send_all([Record(CLICKS_COLLECTED.name, v, partition=at % partitions) for at, v in enumerate(values)], 30)
    producer.close(5)


def waiting(settings: Settings) -> int:
    return unread_records(settings, CLICKS_FLOW)


def looked_after(runner: FlowProcessSet, seconds: float, settings: Settings) -> None:
    """Look after a flow until it has counted everything."""

    def done() -> bool:
        runner.watch()
        return waiting(settings) == 0

    wait_until(done, seconds, "everything to be counted")


def failure_of(runner: FlowProcessSet, seconds: float) -> FlowFailed:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            runner.watch()
        except FlowFailed as error:
            return error
        time.sleep(0.05)
    raise AssertionError("the flow still runs")


def test_a_frozen_process_is_found_and_replaced_and_nothing_is_counted_twice(shop: Settings) -> None:
    send(shop)
    with flow(shop, FlowOptions(hang_seconds=6.0)) as runner:
        looked_after(runner, 60, shop)
        assert runner.problem() == ""
        frozen = runner.pids[0]
        os.kill(frozen, signal.SIGSTOP)
        send(shop)
        looked_after(runner, 60, shop)
        # A busy machine may let a sound process wait as long.
        assert runner.hangs == runner.restarts >= 1
        assert frozen not in runner.pids
    applied = Analytics(ClickHouse(shop.urls.clickhouse, shop.database)).applied()
    assert all(accounted == offset + 1 for offset, accounted in applied.values())


@LONG
def test_of_two_sets_of_two_workers_the_older_one_leaves_for_good_and_says_why(shop: Settings) -> None:
    send(shop)
    newer_shop = replace(shop, data_dir=PurePosixPath(shop.data_dir / "newer"))
    with flow(shop, FlowOptions(workers=2)) as older:
        looked_after(older, 60, shop)
        with flow(newer_shop, FlowOptions(workers=2)) as newer:
            wait_until(lambda: newer.problem() == "", 60, "the newer set to read")
            send(shop)
            failure = failure_of(older, 60)
            assert isinstance(failure, FlowFenced)
            assert f"generation {newer.generation} of the flow has taken over from {older.generation}" in str(failure)
            looked_after(newer, 60, shop)
            assert newer.restarts == 0
    applied = Analytics(ClickHouse(shop.urls.clickhouse, shop.database)).applied()
    assert all(accounted == offset + 1 for offset, accounted in applied.values())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_refusal_shows_its_text_with_any_number_of_workers(shop: Settings, workers: int) -> None:
    send(shop)
    clickhouse = ClickHouse(shop.urls.clickhouse, shop.database)
    clickhouse.command(
        f"INSERT INTO {shop.database}.click_ledger (store, hour, kind, name, events, source_partition, source_offset) "
        "VALUES ('alpha', toDateTime(0), 'received', '', 1, 3, 1000000)"
    )
    with flow(shop, FlowOptions(workers=workers)) as runner:
        failure = failure_of(runner, 60)
    assert not isinstance(failure, FlowFenced)
    assert f"{CLICKS_COLLECTED.name}[3] ends before offset" in str(failure)
    assert "recover.md" in str(failure)


def test_a_fenced_service_leaves_with_a_code_of_its_own(shop: Settings, tmp_path: Path) -> None:
    send(shop)
    own = {"MARKETPLACE_DATABASE": shop.database, "MARKETPLACE_DATA": str(tmp_path), "PYTHONPATH": str(ROOT)}
    base = {name: value for name, value in os.environ.items() if not name.startswith("MARKETPLACE_")}
    with (tmp_path / "service.log").open("wb") as log:
        service = subprocess.Popen(
            [sys.executable, "-m", "ops.flow_service", "clicks"],
            env={**base, **shop.urls.environment(), **own},
            stderr=log,
        )
    try:
        wait_until(lambda: waiting(shop) == 0, 60, "everything to be counted")
        newer_shop = replace(shop, data_dir=PurePosixPath(shop.data_dir / "newer"))
        with flow(newer_shop) as newer:
            wait_until(lambda: newer.problem() == "", 60, "the newer flow to read")
            send(shop)
            assert service.wait(60) == 3
    finally:
        service.kill()
        service.wait()
    assert "a newer start of the flow has taken over: generation" in (tmp_path / "service.log").read_text()


@pytest.mark.parametrize(("name", "value"), [("FLOW_MAX_RECORDS", "many"), ("FLOW_MEMORY_BYTES", "1 GB")])
def test_a_process_with_settings_that_cannot_be_used_says_so_in_one_line(shop: Settings, name: str, value: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flows.clicks"],
        env={**os.environ, **shop.urls.environment(), name: value, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"{name}={value}" in done.stderr


@LONG
def test_what_a_flow_waits_for_is_its_problem_until_it_goes_on(shop: Settings, stack: Stack) -> None:
    send(shop)
    with flow(shop) as runner:
        looked_after(runner, 60, shop)
        clickhouse = stack.pid("clickhouse")
        os.kill(clickhouse, signal.SIGSTOP)
        try:
            send(shop)

            def waits() -> bool:
                runner.watch()
                return "no epoch ended for" in runner.problem() or "waiting: ClickHouse" in runner.problem()

            wait_until(waits, 60, "the problem")
        finally:
            os.kill(clickhouse, signal.SIGCONT)
        looked_after(runner, 90, shop)

        def works() -> bool:
            runner.watch()
            return runner.problem() == ""

        wait_until(works, 20, "no problem")
        assert runner.restarts == 0


def test_a_ledger_whose_log_cannot_be_asked_is_not_said_to_close(shop: Settings) -> None:
    clickhouse = ClickHouse(shop.urls.clickhouse, shop.database)
    clickhouse.command(
        f"INSERT INTO {shop.database}.click_ledger (store, hour, kind, name, events, source_partition, source_offset) "
        "VALUES ('alpha', toDateTime(0), 'received', '', 1, 0, 0), "
        "('alpha', toDateTime(0), 'outcome', 'counted', 1, 0, 0)"
    )
    nowhere = replace(shop, urls=replace(shop.urls, kafka="127.0.0.1:1"))
    asked = [("ledger",), ("ledger", "--json"), ("ledger", "--store", "alpha")]
    with ThreadPoolExecutor() as pool:
        text, document, one_store = pool.map(lambda arguments: command(nowhere, *arguments), asked)
    assert (text.returncode, document.returncode) == (1, 1)
    assert "closes to zero" not in text.stdout
    assert "not compared with the log: Kafka does not answer" in text.stdout
    found = json.loads(document.stdout)
    assert (found["closed"], found["log"], "Kafka does not answer" in found["problem"]) == (None, None, True)
    assert (one_store.returncode, "closes to zero (the rows of alpha" in one_store.stdout) == (0, True)


@pytest.mark.parametrize("option", ["--from", "--to"])
@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00+23:59"])
def test_a_report_of_no_time_says_so_in_one_line(shop: Settings, option: str, moment: str) -> None:
    done = command(shop, "report", "--store", "alpha", option, moment)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "is no year of a report" in done.stderr


def test_the_largest_record_that_kafka_takes_becomes_a_dead_letter_and_stops_nobody(shop: Settings) -> None:
    producer = Producer(shop.urls.kafka, client_id="tests", max_record_bytes=CLICKS_COLLECTED.max_record_bytes)
    largest = os.urandom(CLICKS_COLLECTED.max_record_bytes - 1_000)
    producer.send_all([Record(CLICKS_COLLECTED.name, largest, partition=0)], 30)
    producer.close(5)
    send(shop)
    with flow(shop) as runner:
        looked_after(runner, 60, shop)
        assert runner.restarts == 0
