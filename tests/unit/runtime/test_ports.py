from __future__ import annotations

import socket
from pathlib import Path

from runtime.ports import free_ports

EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_ports_are_different_and_can_be_listened_on_all_at_once() -> None:
    ports = free_ports(20)
    listeners = [socket.create_server(("127.0.0.1", port)) for port in ports]
    assert len(set(ports)) == 20
    for listener in listeners:
        listener.close()


def test_a_port_that_somebody_listens_on_is_none() -> None:
    (taken,) = free_ports(1)
    with socket.create_server(("127.0.0.1", taken)):
        assert all(taken not in free_ports(200) for _ in range(20))


def test_no_outgoing_connection_can_take_a_port_before_its_server_starts() -> None:
    lowest = int(EPHEMERAL.read_text().split()[0]) if EPHEMERAL.exists() else 32_768
    assert max(free_ports(200)) < lowest
