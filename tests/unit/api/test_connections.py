"""What a client may do with a connection: heads have a size and a time, and nobody takes all places."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import time
from collections.abc import Iterator

import pytest

from api.server import CONNECTIONS_OF_ADDRESS, HEAD_SECONDS, uvicorn_config
from runtime.http.protocol import BoundedProtocol
from tests.kits.sockets import DEADLINE_SECONDS, connect, read_all, send_all, serving
from tests.unit.api.test_app import make_app

HEAD = b"GET /openapi.json HTTP/1.1\r\nhost: api.example\r\n"


@contextlib.contextmanager
def running(head_seconds: float = HEAD_SECONDS, of_address: int = CONNECTIONS_OF_ADDRESS) -> Iterator[int]:
    """Serve the application; gives the port."""
    config = uvicorn_config(make_app(), "127.0.0.1", 0, head_seconds=head_seconds, of_address=of_address)
    with serving(config) as port:
        yield port


def asked(port: int) -> bytes:
    with connect(port) as connection:
        connection.sendall(HEAD + b"connection: close\r\n\r\n")
        return read_all(connection).partition(b"\r\n")[0]


@pytest.mark.parametrize(
    ("begin", "part"),
    [
        (b"GET /", b"a" * 10_000),
        (b"GET /?", b"a=b&" * 2_500),
        (HEAD + b"x-a: ", b"a" * 10_000),
        (HEAD + b"cookie: ", b"a=b; " * 2_000),
        (HEAD, b"x-a: b\r\n" * 1_000),
        (HEAD, b"a:\r\n" * 2_500),
        (b"POST /v1/identity/sessions HTTP/1.1\r\nhost: api.example\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
         b"x-a: b\r\n" * 1_000),
        (b"POST /v1/identity/sessions HTTP/1.1\r\nhost: api.example\r\ntransfer-encoding: chunked\r\n\r\n1;",
         b"a" * 10_000),
    ],
    ids=["path", "query", "header", "cookie", "headers", "empty headers", "trailers", "extension of a chunk"],
)  # fmt: skip
def test_a_head_without_an_end_is_given_up_and_not_collected(begin: bytes, part: bytes) -> None:
    with running() as port, connect(port) as connection:
        connection.sendall(begin)
        assert send_all(connection, iter([part] * 2_000)) < 10_000_000
        assert asked(port) == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    "sent", [b"", b"GET", HEAD, HEAD + b"x-a: b\r\n"], ids=["nothing", "a word", "host", "headers"]
)
def test_a_head_that_does_not_come_costs_its_connection(sent: bytes) -> None:
    with running(head_seconds=0.3) as port, connect(port) as connection:
        connection.sendall(sent)
        began = time.monotonic()
        read_all(connection)
        assert time.monotonic() - began < DEADLINE_SECONDS / 2


def test_a_head_that_comes_letter_by_letter_is_not_waited_for_longer() -> None:
    def letters() -> Iterator[bytes]:
        while True:
            time.sleep(0.05)
            yield b"a"

    with running(head_seconds=0.5) as port, connect(port) as connection:
        connection.sendall(HEAD + b"x-a: ")
        began = time.monotonic()
        send_all(connection, letters())
        assert time.monotonic() - began < DEADLINE_SECONDS / 2


def test_connections_that_wait_leave_room_for_a_request_of_the_same_address() -> None:
    with running(of_address=5) as port, contextlib.ExitStack() as idle:
        for _ in range(30):
            idle.enter_context(connect(port))
        assert {asked(port) for _ in range(10)} == {b"HTTP/1.1 200 OK"}


def test_an_address_whose_connections_are_all_at_work_gets_a_problem_with_when_to_come_again() -> None:
    begin = b"POST /v1/identity/sessions HTTP/1.1\r\nhost: api.example\r\nexpect: 100-continue\r\n"
    with running(of_address=2) as port, contextlib.ExitStack() as busy:
        for _ in range(2):
            connection = busy.enter_context(connect(port))
            connection.sendall(begin + b"content-length: 9\r\n\r\n")
            assert connection.recv(65_536).startswith(b"HTTP/1.1 100")
        with connect(port) as further:
            head, _, body = read_all(further).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429 ")
    assert b"content-type: application/problem+json" in head
    assert b"retry-after: 2" in head
    problem = json.loads(body)
    assert (problem["type"], problem["status"]) == ("/problems/too-many-requests", 429)


def test_a_trusted_proxy_has_as_many_connections_as_its_clients_need() -> None:
    config = uvicorn_config(make_app(), "127.0.0.1", 0, [ipaddress.ip_network("127.0.0.0/8")], of_address=1)
    protocol = config.http
    assert isinstance(protocol, type)
    assert issubclass(protocol, BoundedProtocol)
    connections = protocol.open_connections

    class Busy:
        """A connection at work."""

        idle = False

        def close_idle(self) -> None:
            raise AssertionError

    assert all(connections.admit(Busy(), "127.0.0.1") for _ in range(100))
    assert [connections.admit(Busy(), "192.0.2.1") for _ in range(2)] == [True, False]


def test_an_offer_of_another_protocol_is_not_taken_up_and_the_request_is_answered() -> None:
    with running() as port, connect(port) as connection:
        offer = b"connection: upgrade, close\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\r\n"
        connection.sendall(HEAD + offer)
        assert read_all(connection).startswith(b"HTTP/1.1 200 OK")
