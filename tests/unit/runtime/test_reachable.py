"""What cannot be reached at a start is said once, and nothing of a password."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator

import pytest

from runtime.ports import free_ports
from runtime.reachable import places_of, unreachable, warn_of_unreachable


@pytest.fixture
def there() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("url", "places"),
    [
        ("kafka-1:9092,kafka-2:9093", [("kafka-1", 9092), ("kafka-2", 9093)]),
        ("mongodb://me:a%40b@mongo-1,mongo-2:27018/?replicaSet=rs0", [("mongo-1", 27017), ("mongo-2", 27018)]),
        ("mongodb+srv://me:word@cluster.example/", []),
        ("https://me:word@clickhouse.example", [("clickhouse.example", 443)]),
        ("rediss://:word@[::1]:6380/0", [("::1", 6380)]),
        ("unix:///run/redis.sock", []),
        ("", []),
    ],
)
def test_places_are_those_of_the_url_without_its_user(url: str, places: list[tuple[str, int]]) -> None:
    assert places_of(url) == places


def test_a_part_is_reached_where_one_of_its_places_takes_a_connection(there: int) -> None:
    (nobody,) = free_ports(1)
    urls = {"kafka": f"127.0.0.1:{nobody},127.0.0.1:{there}", "mongo": f"mongodb://me:word@127.0.0.1:{nobody}/"}
    assert unreachable(urls) == {"mongo": f"127.0.0.1:{nobody}"}


def test_what_cannot_be_reached_at_a_start_is_logged_once_without_its_password(
    there: int, caplog: pytest.LogCaptureFixture
) -> None:
    (nobody,) = free_ports(1)
    urls = {"mongo": f"mongodb://me:word@127.0.0.1:{nobody}/", "redis": f"redis://127.0.0.1:{there}"}
    warn_of_unreachable(urls, logging.getLogger("test"), patience_seconds=0).join(10)
    assert caplog.messages == [f"mongo cannot be reached: nobody takes a connection at 127.0.0.1:{nobody}"]
