"""Consumers as processes of their own on a real Kafka and a real Mongo: killed, frozen, and begun again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import confluent_kafka
import httpx
import pytest
from pymongo import MongoClient

from connectors.kafka.kafka_group_client import KafkaGroupClient
from connectors.kafka.producer import Producer
from connectors.kafka.records import Record
from marketplace.sagas.provider_calls import Outcome
from marketplace.topics import ORDERS_EVENTS
from ops.consumer_service import NEEDS, run
from ops.service_settings import ConsumerSettings
from ops.stack import Stack
from runtime.ports import free_ports
from runtime.sections import Settings
from runtime.settings import load
from runtime.signals import StopRequest
from saga_consumers.registry import consumer_named
from tests.kits.consumer import eventually
from tests.kits.depth import CHAOS, CHAOS_SEEDS, LONG
from tests.kits.saga_fleet import Fleet
from tests.kits.sagas import Payments, Shop, saga_database, wrong

ROOT = Path(__file__).resolve().parents[2]
SESSION_SECONDS = 6
LONG_ENOUGH = 90.0


@pytest.fixture(scope="module")
def database(stack: Stack) -> Iterator[tuple[MongoClient[dict[str, Any]], str]]:
    with saga_database(stack) as made:
        yield made


@pytest.fixture
def fleet(stack: Stack, database: tuple[MongoClient[dict[str, Any]], str]) -> Iterator[Fleet]:
    """Payments and the outbox are in the process of the test; the others are started by it."""
    # Processes have no other clock than the machine's.
    shop = Shop(*database, now=datetime.now(UTC))
    for service in ("orders", "inventory", "payments"):
        begin_at_the_end(stack, f"saga.{service}")
    producer = Producer(stack.urls.kafka, client_id="outbox", linger_ms=1)
    with ExitStack() as opened:
        opened.callback(producer.close, 5.0)
        yield Fleet(
            shop, lambda membership: KafkaGroupClient(stack.urls.kafka, membership), producer, Payments(shop), opened,
            times=2,
        )  # fmt: skip


def begin_at_the_end(stack: Stack, group: str) -> None:
    """What other tests have sent is not this one's."""
    config = {"bootstrap.servers": stack.urls.kafka, "group.id": group, "enable.auto.commit": False}
    with closing(confluent_kafka.Consumer(config)) as consumer:
        places = [confluent_kafka.TopicPartition(ORDERS_EVENTS.name, number) for number in range(8)]
        for place in places:
            place.offset = consumer.get_watermark_offsets(place, timeout=20)[1]
        eventually(lambda: committed(consumer, places), "the group begins at the end", 40.0)


def committed(consumer: Any, places: list[Any]) -> bool:
    try:
        consumer.commit(offsets=places, asynchronous=False)
    except confluent_kafka.KafkaException:
        # The members of an earlier test leave the group at this moment.
        return False
    return True


class Process:
    """``python -m ops.consumer_service``."""

    def __init__(self, stack: Stack, database: str, names: list[str], log: Path) -> None:
        urls = stack.urls
        own = {
            "MARKETPLACE_KAFKA_URL": urls.kafka,
            "MARKETPLACE_MONGO_URL": urls.mongo,
            "MARKETPLACE_DATABASE": database,
            "MARKETPLACE_CONSUMERS_SESSION_SECONDS": str(SESSION_SECONDS),
            "MARKETPLACE_CONSUMERS_PORT": "0",
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MARKETPLACE_")}
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "ops.consumer_service", *names],
                cwd=ROOT,
                env={**kept, **own},
                stdout=output,
                stderr=output,
            )

    def signal(self, number: int) -> None:
        self._popen.send_signal(number)

    def kill(self) -> None:
        self._popen.kill()
        self._popen.wait()

    def stop(self) -> int:
        self._popen.send_signal(signal.SIGCONT)
        self._popen.terminate()
        return self._popen.wait(40)


@contextmanager
def process(stack: Stack, fleet: Fleet, log: Path) -> Iterator[Process]:
    made = Process(stack, fleet.shop.database, ["orders", "inventory"], log)
    try:
        yield made
    finally:
        made.kill()


def place_orders(fleet: Fleet, count: int) -> None:
    variant = fleet.shop.sells(count)
    for number in range(count):
        own = fleet.shop.place({variant: 1})
        fleet.payments.outcomes[own] = Outcome.DECLINED if number % 4 == 3 else Outcome.SUCCEEDED


def states(fleet: Fleet) -> list[str]:
    return sorted(fleet.shop.order(own)["state"] for own in fleet.shop.orders)


def ended(fleet: Fleet, count: int) -> bool:
    return sum(state in ("confirmed", "cancelled") for state in states(fleet)) >= count


@LONG
@CHAOS
@pytest.mark.parametrize("seed", range(CHAOS_SEEDS))
def test_orders_end_right_though_the_process_of_their_consumers_is_killed(
    stack: Stack, fleet: Fleet, tmp_path: Path, seed: int
) -> None:
    log = tmp_path / "log"
    fleet.start(fleet.payments.consumer)
    place_orders(fleet, 16)
    with process(stack, fleet, log) as first:
        fleet.send([Record(ORDERS_EVENTS.name, b"{poison", b"an order")])
        fleet.until(lambda: ended(fleet, 2 + 3 * (seed % 4)), "some have ended")
        first.kill()
    with process(stack, fleet, log) as second:
        waited = time.monotonic()
        fleet.until(lambda: ended(fleet, 16), "all have ended", LONG_ENOUGH)
        assert time.monotonic() - waited < 60, "they are all terminal within a minute"
        fleet.until_ended()
        assert states(fleet) == ["cancelled"] * 4 + ["confirmed"] * 12
        assert wrong(fleet.shop) == []
        assert second.stop() == 0, log.read_text()


@LONG
def test_a_process_that_is_frozen_for_longer_than_its_session_comes_back_and_does_nothing_twice(
    stack: Stack, fleet: Fleet, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    fleet.start(fleet.payments.consumer)
    place_orders(fleet, 16)
    with process(stack, fleet, log) as zombie:
        fleet.until(lambda: ended(fleet, 3), "some have ended")
        zombie.signal(signal.SIGSTOP)
        with process(stack, fleet, log) as other:
            fleet.until(lambda: ended(fleet, 16), "the other one does the rest", LONG_ENOUGH)
            zombie.signal(signal.SIGCONT)
            place_orders(fleet, 8)
            fleet.until(lambda: ended(fleet, 24), "both go on", LONG_ENOUGH)
            fleet.until_ended()
            assert wrong(fleet.shop) == []
            assert (other.stop(), zombie.stop()) == (0, 0), log.read_text()


def test_health_and_metrics_say_what_the_consumers_do_which_wait_for_no_relay(
    stack: Stack, fleet: Fleet, tmp_path: Path
) -> None:
    """In the process of the test, where its port is known."""
    (nobody,) = free_ports(1)
    environment = {
        "MARKETPLACE_KAFKA_URL": stack.urls.kafka,
        "MARKETPLACE_MONGO_URL": stack.urls.mongo,
        "MARKETPLACE_DATABASE": fleet.shop.database,
        # Kafka Connect does not answer: deadlines pass and providers speak all the same.
        "MARKETPLACE_CONNECT_URL": f"http://127.0.0.1:{nobody}",
    }
    settings = load(environment, lambda env: Settings.read(env, needs=NEEDS))
    stop, urls = StopRequest(), list[str]()
    own = fleet.shop.place({fleet.shop.sells(5): 1})
    fleet.send([Record(ORDERS_EVENTS.name, b"{poison", own.encode())])
    specs = [consumer_named("orders"), consumer_named("inventory")]
    codes: list[int] = []
    thread = threading.Thread(
        target=lambda: codes.append(run(specs, settings, ConsumerSettings("127.0.0.1", 0, 6), stop, {}, urls.append))
    )
    thread.start()
    try:
        eventually(lambda: urls, "it listens")

        def sample(name: str) -> float:
            text = httpx.get(f"{urls[0]}/metrics").text
            return next((float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name)), -1.0)

        rejected = 'marketplace_consumer_events_total{consumer="orders",outcome="rejected"}'
        fleet.until(lambda: sample(rejected) == 1.0, "the poison is counted")
        eventually(lambda: sample('marketplace_consumer_parked_events{consumer="orders"}') >= 1, "and parked", 40.0)
        eventually(lambda: httpx.get(f"{urls[0]}/readyz").text == "ok\n", "it is ready")
        assert httpx.get(f"{urls[0]}/livez").text == "ok\n"
        assert sample('marketplace_consumer_lag_records{consumer="orders"') >= 0
        assert sample('marketplace_consumer_oldest_due_seconds{consumer="orders"}') >= 0
        assert sample('marketplace_consumer_ready{consumer="inventory"}') == 1.0
    finally:
        stop.ask()
        thread.join(30)
    assert codes == [0]
