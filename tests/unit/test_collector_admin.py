"""The listener that is not public."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from ingest.admin import AdminPortTaken, admin_listener
from ingest.config import Addresses
from ingest.metrics import CollectorMetrics
from ingest.parts import Parts
from marketplace.settings import InvalidSettings
from tests.collector_kit import Collector, running_collector


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as running:
        yield running


@pytest.mark.parametrize("path", ["/metrics", "/readyz"])
def test_the_public_port_knows_nothing_of_metrics_and_readiness(collector: Collector, path: str) -> None:
    assert collector.http.get(path).status_code == 404
    assert collector.admin(path).status_code == 200


def test_the_public_sign_of_life_says_nothing_more(collector: Collector) -> None:
    collector.producer.available = collector.stores.available = False

    answer = collector.http.get("/healthz")

    assert (answer.status_code, answer.text) == (200, "ok\n")


def test_readiness_tells_which_part_is_away(collector: Collector) -> None:
    collector.producer.available = False
    answer = collector.admin("/readyz")

    assert answer.status_code == 503
    assert answer.json()["ready"] is False
    assert answer.json()["kafka"] == "topic clicks.collected.v1: no answer"
    assert answer.json()["mongo"] == "answers"


def test_without_mongo_it_is_ready_and_says_that_mongo_is_away(collector: Collector) -> None:
    collector.stores.available = False
    answer = collector.admin("/readyz")

    assert (answer.status_code, answer.json()["ready"]) == (200, True)
    assert answer.json()["mongo"] != "answers"


def test_the_admin_listener_takes_no_events(collector: Collector) -> None:
    assert collector.http.post(f"{collector.admin_url}/v1/collect", json={"event_id": "a"}).status_code == 501
    assert collector.admin("/m.js").status_code == 404


def test_an_admin_address_that_is_taken_is_named(collector: Collector) -> None:
    parts = Parts(collector.producer, collector.stores, collector.salts)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(AdminPortTaken, match=f"127.0.0.1:{port} cannot be used: Address already in use"),
            admin_listener("127.0.0.1", port, parts, CollectorMetrics()),
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
def test_the_admin_port_follows_the_public_one_on_loopback_unless_it_is_told(
    variables: dict[str, str], expected: tuple[str, int, str, int]
) -> None:
    found = Addresses.load({f"MARKETPLACE_COLLECTOR_{name}": value for name, value in variables.items()})

    assert (found.host, found.port, found.admin_host, found.effective_admin_port) == expected


@pytest.mark.parametrize("value", ["x", "-1", "65536", "²"])
def test_a_port_that_is_none_is_named(value: str) -> None:
    with pytest.raises(InvalidSettings, match=f"MARKETPLACE_COLLECTOR_ADMIN_PORT={value}: not a port"):
        Addresses.load({"MARKETPLACE_COLLECTOR_ADMIN_PORT": value})
