"""The listener that is not public."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from ingest.config import Addresses
from ingest.dependencies import CollectorDependencies
from ingest.http.admin import AdminPortTaken, admin_listener
from ingest.metrics import CollectorMetrics
from runtime.settings import InvalidSettings
from tests.kits.collector import Collector, eventually, running_collector

READY_SECONDS = 3.0  # two are promised
MAX_ADMIN_THREADS = 16


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as running:
        yield running


@pytest.mark.parametrize("path", ["/livez", "/metrics", "/readyz"])
def test_the_public_port_knows_nothing_of_metrics_and_readiness(collector: Collector, path: str) -> None:
    assert collector.http.get(path).status_code == 404
    assert collector.admin(path).status_code == 200


def test_the_public_sign_of_life_says_nothing_more(collector: Collector) -> None:
    collector.producer.available = collector.stores.available = False

    answer = collector.http.get("/healthz")

    assert (answer.status_code, answer.text) == (200, "ok\n")


def test_readiness_tells_which_part_is_unavailable(collector: Collector) -> None:
    collector.producer.available = False
    answer = collector.admin("/readyz")

    assert answer.status_code == 503
    assert answer.json()["ready"] is False
    assert answer.json()["kafka"] == "topic clicks.collected.v1: no answer"
    assert answer.json()["mongo"] == "answers"


def test_without_mongo_it_is_ready_and_says_that_mongo_is_unavailable(collector: Collector) -> None:
    collector.stores.available = False
    answer = collector.admin("/readyz")

    assert (answer.status_code, answer.json()["ready"]) == (200, True)
    assert answer.json()["mongo"] != "answers"


def test_readiness_is_answered_in_time_whatever_hangs_and_asks_each_part_once(collector: Collector) -> None:
    collector.producer.hang()
    collector.stores.hang()
    answers: list[tuple[int, float]] = []

    def ask() -> None:
        began = time.monotonic()
        status = httpx.get(f"{collector.admin_url}/readyz", timeout=20).status_code
        answers.append((status, time.monotonic() - began))

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    most = 0
    while any(thread.is_alive() for thread in threads):
        asking = [thread for thread in threading.enumerate() if thread.name.startswith("readiness")]
        most = max(most, len(asking))
        threads[0].join(0.01)
    for thread in threads:
        thread.join(20)

    assert {status for status, _ in answers} == {503}
    assert max(seconds for _, seconds in answers) < READY_SECONDS
    assert 1 <= most <= 2
    collector.producer.release()
    collector.stores.release()
    eventually(lambda: collector.admin("/readyz").json()["mongo"] == "answers", "both answer")
    assert collector.admin("/readyz").json() == {"ready": True, "kafka": "answers", "mongo": "answers"}


def test_the_event_loop_beats_by_itself(collector: Collector) -> None:
    def silent() -> float:
        return collector.dependencies.heartbeat.silent_seconds

    eventually(lambda: silent() > 0.1, "some time passes")
    eventually(lambda: silent() < 0.1, "the loop beats again")
    assert (collector.admin("/livez").status_code, collector.admin("/livez").text) == (200, "ok\n")


def test_connections_that_ask_nothing_keep_nobody_from_asking(collector: Collector) -> None:
    address = ("127.0.0.1", int(collector.admin_url.rpartition(":")[2]))
    idle = [socket.create_connection(address) for _ in range(60)]
    try:
        began = time.monotonic()
        assert collector.admin("/livez").status_code == 200
        assert time.monotonic() - began < READY_SECONDS
        assert sum(thread.name == "admin-request" for thread in threading.enumerate()) <= MAX_ADMIN_THREADS
    finally:
        for connection in idle:
            connection.close()


def test_the_admin_listener_takes_no_events(collector: Collector) -> None:
    assert collector.http.post(f"{collector.admin_url}/v1/collect", json={"event_id": "a"}).status_code == 501
    assert collector.admin("/m.js").status_code == 404


def test_an_admin_address_that_is_taken_is_named(collector: Collector) -> None:
    dependencies = CollectorDependencies(collector.producer, collector.stores, collector.salts)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(AdminPortTaken, match=f"127.0.0.1:{port} cannot be used: Address already in use"),
            admin_listener("127.0.0.1", port, dependencies, CollectorMetrics()),
        ):
            pass


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ("127.0.0.1", 8700, "127.0.0.1", 8701)),
        ({"PORT": "9000", "HOST": "0.0.0.0"}, ("0.0.0.0", 9000, "127.0.0.1", 9001)),
        ({"PORT": "0"}, ("127.0.0.1", 0, "127.0.0.1", 0)),
        ({"PORT": "65535"}, ("127.0.0.1", 65535, "127.0.0.1", 0)),
        ({"ADMIN_PORT": "9100", "ADMIN_HOST": "10.0.0.5"}, ("127.0.0.1", 8700, "10.0.0.5", 9100)),
    ],
)
def test_the_admin_port_follows_the_public_one_on_loopback_unless_it_is_reported(
    variables: dict[str, str], expected: tuple[str, int, str, int]
) -> None:
    found = Addresses.load({f"MARKETPLACE_COLLECTOR_{name}": value for name, value in variables.items()})

    assert (found.host, found.port, found.admin_host, found.effective_admin_port) == expected


@pytest.mark.parametrize("value", ["x", "-1", "65536", "²"])
def test_a_port_that_is_none_is_named(value: str) -> None:
    with pytest.raises(InvalidSettings, match=f"MARKETPLACE_COLLECTOR_ADMIN_PORT={value}: not a port"):
        Addresses.load({"MARKETPLACE_COLLECTOR_ADMIN_PORT": value})
