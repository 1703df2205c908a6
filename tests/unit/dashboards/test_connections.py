"""What a browser may do with a connection to the dashboard, and what somebody who is no browser may not."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

import pytest
from starlette.types import Message, Receive, Scope, Send

from dashboards.__main__ import uvicorn_config
from dashboards.web.forms import BadForm, read_form
from tests.kits.sockets import DEADLINE_SECONDS, connect, read_all, send_all, serving

HEAD = b"GET / HTTP/1.1\r\nhost: localhost\r\n"
OFFER = (
    b"GET /socket HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
PING = b"\x81\x84\0\0\0\0ping"
PONG = b"\x81\x04ping"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers requests, and gives messages back."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


@contextlib.contextmanager
def running(head_seconds: float = 30.0) -> Iterator[int]:
    with serving(uvicorn_config(app, head_seconds)) as port:
        yield port


@pytest.mark.parametrize("begin", [b"GET /", HEAD + b"x-a: ", OFFER + b"x-a: "], ids=["path", "header", "websocket"])
def test_a_head_without_an_end_is_given_up_and_not_collected(begin: bytes) -> None:
    with running() as port:
        with connect(port) as connection:
            connection.sendall(begin)
            assert send_all(connection, iter([b"a" * 10_000] * 2_000)) < 10_000_000
        with connect(port) as connection:
            connection.sendall(HEAD + b"connection: close\r\n\r\n")
            assert read_all(connection).endswith(b"ok")


@pytest.mark.parametrize("sent", [b"", HEAD, OFFER], ids=["nothing", "a part", "a part of an offer"])
def test_a_head_that_does_not_come_costs_its_connection(sent: bytes) -> None:
    with running(head_seconds=0.3) as port, connect(port) as connection:
        connection.sendall(sent)
        began = time.monotonic()
        read_all(connection)
        assert time.monotonic() - began < DEADLINE_SECONDS / 2


def test_a_websocket_goes_on_when_the_time_of_a_head_is_over_also_after_a_request_on_its_connection() -> None:
    with running(head_seconds=0.3) as port, connect(port) as connection:
        connection.sendall(HEAD + b"\r\n")
        found = b""
        while not found.endswith(b"ok"):
            found += connection.recv(65_536)
        connection.sendall(OFFER + b"\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 101")
        began = time.monotonic()
        while time.monotonic() - began < 1.0:
            connection.sendall(PING)
            found = b""
            while len(found) < len(PONG):
                part = connection.recv(len(PONG) - len(found))
                assert part, "it was closed"
                found += part
            assert found == PONG


def test_an_offer_of_a_websocket_while_an_answer_is_due_ends_the_connection() -> None:
    with running() as port, connect(port) as connection:
        connection.sendall(HEAD + b"\r\n" + OFFER + b"\r\n" + PING)
        assert b" 101 " not in read_all(connection)


def test_a_form_that_does_not_come_is_not_waited_for() -> None:
    scope = {"type": "http", "headers": [(b"content-type", b"application/x-www-form-urlencoded")]}

    async def receive() -> Message:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"a", "more_body": True}

    with pytest.raises(BadForm) as refused:
        asyncio.run(read_form(scope, receive, seconds=0.2))

    assert refused.value.status == 408
