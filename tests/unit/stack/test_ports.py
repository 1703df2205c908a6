"""Which ports the parts get."""

import os
import socket
from collections.abc import Iterator

import pytest

from ops.stack.errors import StackError
from ops.stack.port_choice import check_free, choose_ports
from ops.stack.ports import is_free, owner
from ops.stack.registry import REGISTRY
from runtime.ports import free_ports

PARTS = REGISTRY.parts
COLLECTOR = REGISTRY.chosen({"collector"})


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def test_where_no_port_is_asked_for_the_usual_ones_are_taken() -> None:
    chosen = choose_ports(PARTS, "default", 1, {})
    usual = {"kafka": 19092, "mongo": 27117, "clickhouse": 18123, "redis": 16379}
    assert {name: chosen[name] for name in usual} == usual


def test_three_brokers_take_three_ports_in_a_row() -> None:
    chosen = choose_ports(PARTS, {"kafka": 5000}, 3, {"kafka-2": 9})
    assert [chosen[f"kafka-{number}"] for number in (1, 2, 3)] == [5000, 5001, 5002]


def test_the_ports_of_the_last_time_are_taken_again() -> None:
    chosen = choose_ports(PARTS, "default", 1, {"kafka": 4001, "mongo": 4002})
    assert (chosen["kafka"], chosen["mongo"], chosen["redis"]) == (4001, 4002, 16379)


def test_a_port_asked_for_wins_over_the_last_time() -> None:
    assert choose_ports(PARTS, {"mongo": 4444}, 1, {"mongo": 4002})["mongo"] == 4444


def test_automatic_ports_are_those_of_the_last_time_unless_somebody_has_them(taken: int) -> None:
    (free,) = free_ports(1)
    chosen = choose_ports(PARTS, "auto", 1, {"kafka": taken, "mongo": free})
    assert chosen["mongo"] == free
    assert chosen["kafka"] != taken


def test_the_collectors_admin_port_is_the_one_after_its_public_port_unless_somebody_has_it(taken: int) -> None:
    chosen = choose_ports(COLLECTOR, {"collector": taken - 1}, 1, {})
    assert chosen["collector-admin"] not in (taken, taken - 1)
    again = choose_ports(COLLECTOR, {"collector": taken - 1}, 1, chosen)
    assert again == chosen
    (free,) = free_ports(1)
    assert choose_ports(COLLECTOR, {"collector": free - 1}, 1, {})["collector-admin"] == free


def test_all_ports_differ() -> None:
    chosen = choose_ports(PARTS, "auto", 3, {})
    assert len(set(chosen.values())) == len(chosen) == 11


def test_a_taken_port_is_reported_with_its_owner_and_the_way_out(taken: int) -> None:
    assert not is_free(taken)
    with pytest.raises(StackError) as raised:
        check_free(REGISTRY.chosen({"redis"}), 1, {"redis": taken})
    message = str(raised.value)
    assert f"port {taken}" in message
    assert f"(pid {os.getpid()})" in message
    assert "--redis-port" in message
    assert "MARKETPLACE_REDIS_PORT" in message
    assert "\n" not in message


def test_two_parts_cannot_share_a_port() -> None:
    (free,) = free_ports(1)
    with pytest.raises(StackError, match="cannot both listen"):
        check_free(REGISTRY.chosen({"redis", "mongo"}), 1, {"redis": free, "mongo": free})


def test_a_free_port_has_no_owner() -> None:
    (free,) = free_ports(1)
    assert is_free(free)
    assert owner(free) is None
