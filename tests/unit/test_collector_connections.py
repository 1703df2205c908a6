"""What a client can do to a connection, on raw sockets."""

from __future__ import annotations

import socket

from tests.collector_kit import WRITE_KEY, Collector, running_collector, with_limits

HEAD = f"POST /v1/collect HTTP/1.1\r\nhost: x\r\nx-write-key: {WRITE_KEY}\r\n"


def connect(collector: Collector) -> socket.socket:
    port = int(collector.url.rpartition(":")[2])
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while chunk := connection.recv(65_536):
        received += chunk
    return received


def test_a_client_that_never_finishes_its_headers_is_cut_off() -> None:
    with running_collector(with_limits(head_timeout_seconds=0.2)) as collector, connect(collector) as connection:
        connection.sendall(b"POST /v1/collect HTTP/1.1\r\nhost: x\r\n")

        assert read_all(connection) == b""


def test_a_client_that_stalls_after_an_answer_is_cut_off() -> None:
    with running_collector(with_limits(head_timeout_seconds=0.2)) as collector, connect(collector) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        answer = b""
        while not answer.endswith(b"ok\n"):
            answer += connection.recv(65_536)
        connection.sendall(b"GET /hea")

        assert read_all(connection) == b""


def test_a_client_that_never_finishes_its_body_gets_408() -> None:
    with running_collector(with_limits(body_timeout_seconds=0.2)) as collector, connect(collector) as connection:
        connection.sendall(f"{HEAD}content-length: 100\r\n\r\n{{".encode())

        assert read_all(connection).startswith(b"HTTP/1.1 408")


def test_headers_beyond_the_bound_are_refused() -> None:
    with running_collector() as collector, connect(collector) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: " + b"x" * 100_000)

        assert read_all(connection).startswith(b"HTTP/1.1 4")


def test_a_declared_length_beyond_the_bound_is_refused_before_the_body_is_asked_for() -> None:
    with running_collector() as collector, connect(collector) as connection:
        connection.sendall(f"{HEAD}expect: 100-continue\r\ncontent-length: 10000000\r\n\r\n".encode())

        assert read_all(connection).startswith(b"HTTP/1.1 413")


def test_a_client_that_goes_away_in_the_middle_harms_nobody() -> None:
    with running_collector() as collector:
        with connect(collector) as connection:
            connection.sendall(f"{HEAD}content-length: 100\r\n\r\n{{".encode())
        answer = collector.post({"event_id": "a"})

    assert answer.status_code == 202
