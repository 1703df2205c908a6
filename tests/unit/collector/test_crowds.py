"""Many connections and many guesses from one address, and what is left for others."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message

from ingest.config import CollectorConfig
from ingest.http.app import COLLECT_PATH
from ingest.http.app import Collector as CollectorApp
from ingest.metrics import CollectorMetrics
from marketplace.clicks.client_address import bucket_name
from marketplace.token_bucket import BucketPolicy
from runtime.http.connections import Connections
from tests.kits.collector import WRITE_KEY, Collector, error_of, eventually, running_collector, with_limits

MOST, MOST_PER_ADDRESS = 12, 4
ADDRESSES = st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"])


class Line:
    """A connection of which a test says whether it is idle."""

    def __init__(self, idle: bool) -> None:
        self.idle, self.closed = idle, False

    def close_idle(self) -> None:
        assert self.idle
        self.closed = True


@given(st.lists(st.tuples(ADDRESSES, st.booleans(), st.booleans()), max_size=60))
def test_no_address_has_more_than_its_bound_and_only_idle_connections_are_closed(
    steps: list[tuple[str, bool, bool]],
) -> None:
    connections, opened = Connections(MOST, MOST_PER_ADDRESS), []
    for peer, idle, leaves in steps:
        line = Line(idle)
        if connections.admit(line, peer):
            opened.append((peer, line))
        if leaves and opened:
            connections.remove(opened[0][1], opened[0][0])
            opened.pop(0)
        opened = [(peer, line) for peer, line in opened if not line.closed]
        names = [bucket_name(peer) for peer, _ in opened]

        assert len(connections) == len(opened)
        assert all(names.count(name) <= MOST_PER_ADDRESS for name in names)


@given(st.integers(1, 40), st.integers(1, 5))
def test_who_has_few_connections_keeps_them_while_another_opens_many(many: int, few: int) -> None:
    connections = Connections(20, 15)
    own = [Line(idle=True) for _ in range(few)]
    for line in own:
        connections.admit(line, "192.0.2.1")
    for number in range(many):
        connections.admit(Line(idle=True), f"198.51.100.{number % 2}")
    late = Line(idle=True)

    assert connections.admit(late, "192.0.2.1")
    assert [line.closed for line in own] == [False] * few
    assert len(connections) <= 20


def test_an_ipv6_network_is_one_address() -> None:
    connections = Connections(1_000, MOST_PER_ADDRESS)
    base = int(ipaddress.ip_address("2001:db8::"))

    taken = [connections.admit(Line(idle=False), str(ipaddress.ip_address(base + 2**40 * n))) for n in range(6)]

    assert taken == [True] * 4 + [False] * 2


@contextlib.contextmanager
def idle_connections(collector: Collector, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        port = int(collector.url.rpartition(":")[2])
        yield [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10)) for _ in range(count)]


def test_idle_connections_of_one_address_leave_room_for_a_request() -> None:
    config = CollectorConfig(max_connections=8, max_connections_per_address=6)
    with running_collector(config) as collector, idle_connections(collector, 40):
        statuses = {httpx.get(f"{collector.url}/healthz").status_code for _ in range(10)}

        assert statuses == {200}
        assert collector.metric('marketplace_collector_connections_closed_total{reason="address"}') >= 34


def test_a_proxys_connections_have_no_bound_of_their_own() -> None:
    with running_collector() as collector, idle_connections(collector, 150) as connections:
        connections[0].sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")

        assert connections[0].recv(65_536).startswith(b"HTTP/1.1 200")


def test_more_requests_than_connections_are_asked_to_come_again_and_the_next_one_is_served() -> None:
    config = CollectorConfig(max_connections=2, body_timeout_seconds=30)
    head = f"POST /v1/collect HTTP/1.1\r\nhost: x\r\nx-write-key: {WRITE_KEY}\r\nexpect: 100-continue\r\n"
    with running_collector(config) as collector:
        with idle_connections(collector, 2) as busy:
            for connection in busy:
                connection.sendall(f"{head}content-length: 9\r\n\r\n".encode())
                assert connection.recv(65_536).startswith(b"HTTP/1.1 100")
            for path in ("/v1/collect", "/v1/pixel.gif", "/m.js"):
                refused = httpx.post(f"{collector.url}{path}", content=b"{}")
                assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
                assert error_of(refused)["code"] == "unavailable"
        deadline = time.monotonic() + 10
        while httpx.get(f"{collector.url}/healthz").status_code == 503:
            assert time.monotonic() < deadline

        assert collector.post({"event_id": "a"}).status_code == 202
        assert collector.metric('marketplace_collector_faults_total{code="unavailable"}') >= 3


def test_a_request_that_is_refused_or_whose_client_leaves_is_no_longer_counted() -> None:
    config = CollectorConfig(max_connections=1, body_timeout_seconds=30)
    head = f"POST /v1/collect HTTP/1.1\r\nhost: x\r\nx-write-key: {WRITE_KEY}\r\nexpect: 100-continue\r\n"
    with running_collector(config) as collector:

        def is_free() -> bool:
            return httpx.get(f"{collector.url}/healthz").status_code == 200

        for _ in range(5):
            with idle_connections(collector, 1) as (leaving,):
                leaving.sendall(f"{head}content-length: 9\r\n\r\n".encode())
                assert leaving.recv(65_536).startswith(b"HTTP/1.1 100")
                assert not is_free()
                leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            eventually(is_free, "the request of a client that left is no longer counted")
        for path, status in (("/nothing", 404), ("/v1/collect", 405)):
            assert httpx.get(f"{collector.url}{path}").status_code == status
            assert is_free()


@pytest.mark.parametrize("path", [COLLECT_PATH, "/other"])
def test_a_request_that_raises_or_is_cancelled_is_no_longer_counted(path: str) -> None:
    scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}
    sent: list[int] = []

    async def receive() -> Message:
        raise AssertionError("no endpoint here reads a body")

    async def send(message: Message) -> None:
        sent.append(message.get("status", 0))

    async def endpoint(_: Request) -> Response:
        return await behaviours.pop(0)()

    async def fail() -> Response:
        raise ZeroDivisionError

    async def hang() -> Response:
        await asyncio.Event().wait()
        raise AssertionError("it is cancelled")

    async def answer() -> Response:
        return Response(status_code=204)

    async def requests() -> None:
        app = CollectorApp(endpoint, CollectorMetrics(), 1, routes=[Route("/other", endpoint, methods=["POST"])])
        with pytest.raises(ZeroDivisionError):
            await app(dict(scope), receive, send)
        hanging = asyncio.create_task(app(dict(scope), receive, send))
        while len(behaviours) > 1:
            await asyncio.sleep(0)
        sent.clear()
        await app(dict(scope), receive, send)
        assert 503 in sent
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
        sent.clear()
        await app(dict(scope), receive, send)
        assert 204 in sent

    behaviours = [fail, hang, answer]
    asyncio.run(asyncio.wait_for(requests(), 10))


def test_an_address_whose_connections_are_all_busy_is_refused_another() -> None:
    config = CollectorConfig(max_connections_per_address=2, body_timeout_seconds=30)
    head = f"POST /v1/collect HTTP/1.1\r\nhost: x\r\nx-write-key: {WRITE_KEY}\r\nexpect: 100-continue\r\n"
    with running_collector(config) as collector, idle_connections(collector, 2) as busy:
        for connection in busy:
            connection.sendall(f"{head}content-length: 9\r\n\r\n".encode())
            assert connection.recv(65_536).startswith(b"HTTP/1.1 100")

        with idle_connections(collector, 1) as (further,):
            assert further.recv(65_536).startswith(b"HTTP/1.1 429")


def test_an_address_that_guesses_keys_gets_429_and_known_keys_go_on() -> None:
    with running_collector(with_limits(unknown_key_limit=BucketPolicy(1, 3))) as collector:
        assert collector.post({"event_id": "a"}).status_code == 202
        guesses = [collector.post({"event_id": "a"}, **{"x-write-key": f"guess-{number}"}) for number in range(5)]
        known = [collector.post({"event_id": "a"}).status_code for _ in range(3)]
        elsewhere = collector.post({"event_id": "a"}, **{"x-write-key": "guess", "x-forwarded-for": "198.51.100.9"})
        collector.clock.step(1.0)
        later = collector.post({"event_id": "a"}, **{"x-write-key": "guess-9"})

    assert [answer.status_code for answer in guesses] == [401, 401, 401, 429, 429]
    assert error_of(guesses[-1])["code"] == "unknown_keys"
    assert (known, elsewhere.status_code, later.status_code) == ([202] * 3, 401, 401)


def test_many_clients_of_one_address_may_bring_a_key_before_it_was_looked_up() -> None:
    config = with_limits(unknown_key_limit=BucketPolicy(1, 1))
    with running_collector(config) as collector, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: collector.post({"event_id": str(number)}), range(64)))

    assert {answer.status_code for answer in answers} == {202}
