"""The admin endpoint, asked over real sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from runtime.admin import AdminServer, Answer

CLIENT_SECONDS = 0.3
DEADLINE_SECONDS = 10.0
LARGE = b"x" * (64 << 20)


@contextmanager
def serving(answer: Callable[[str], Answer], host: str = "127.0.0.1") -> Iterator[AdminServer]:
    server = AdminServer(host, 0, answer, CLIENT_SECONDS)
    try:
        yield server
    finally:
        server.end()


def echo(path: str) -> Answer:
    return Answer(200, path.encode())


def connect(server: AdminServer) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=DEADLINE_SECONDS)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def closed_after_seconds(client: socket.socket, sends: bytes) -> float:
    """How long a client lasts that sends a byte every few milliseconds."""
    began = time.monotonic()
    client.settimeout(0.01)
    for byte in sends:
        try:
            client.sendall(bytes([byte]))
            if client.recv(1) == b"":
                return time.monotonic() - began
        except TimeoutError:
            continue
        except OSError:
            return time.monotonic() - began
    raise AssertionError("it was never closed")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_it_is_reached_at_the_address_that_it_is_given(host: str) -> None:
    if ":" in host and not has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    with serving(echo, host) as server:
        port = server.server_address[1]
        reached = f"http://[::1]:{port}" if ":" in host else f"http://127.0.0.1:{port}"
        assert httpx.get(f"{reached}/livez").text == "/livez"
        assert server.url == f"http://{f'[{host}]' if ':' in host else host}:{port}"


def bytes_left(client: socket.socket) -> int:
    count = 0
    try:
        while data := client.recv(1 << 20):
            count += len(data)
    except ConnectionError:
        pass
    return count


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def test_the_query_is_no_part_of_the_path() -> None:
    with serving(echo) as server:
        assert httpx.get(f"{server.url}/metrics?name[]=up").text == "/metrics"


def test_a_head_request_gets_the_head_of_the_answer() -> None:
    with serving(echo) as server:
        answer = httpx.head(f"{server.url}/livez")
        assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "6", b"")


def test_a_client_that_sends_its_request_byte_by_byte_is_disconnected_in_time() -> None:
    with serving(echo) as server, connect(server) as client:
        lasted = closed_after_seconds(client, b"GET / HTTP/1.1\r\n" + b"x-slow: 1\r\n" * 1_000)

        assert CLIENT_SECONDS * 0.9 < lasted < CLIENT_SECONDS + 2.0


def test_a_client_that_does_not_take_its_response_in_time_does_not_get_all_of_it() -> None:
    with serving(lambda _: Answer(200, LARGE)) as server, connect(server) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert client.recv(1) == b"H"
        deadline = time.monotonic() + DEADLINE_SECONDS
        while server.connections and time.monotonic() < deadline:
            threading.Event().wait(0.01)

        assert server.connections == 0
        assert bytes_left(client) < len(LARGE)


def test_a_response_may_take_the_service_longer_than_its_client_may_take() -> None:
    slow = threading.Event()

    def answer(_path: str) -> Answer:
        slow.wait(3 * CLIENT_SECONDS)
        return Answer(200, b"late")

    with serving(answer) as server:
        assert httpx.get(server.url, timeout=DEADLINE_SECONDS).text == "late"


def test_a_hundred_silent_connections_keep_nobody_from_asking() -> None:
    with serving(echo) as server:
        silent = [connect(server) for _ in range(100)]
        try:
            assert httpx.get(f"{server.url}/livez", timeout=DEADLINE_SECONDS).text == "/livez"
        finally:
            for client in silent:
                client.close()


def test_an_error_of_the_service_is_a_500_and_not_silence() -> None:
    def answer(_path: str) -> Answer:
        raise RuntimeError("a bug")

    with serving(answer) as server:
        assert httpx.get(server.url).status_code == 500


def test_after_its_end_nobody_is_accepted() -> None:
    with serving(echo) as server:
        pass
    with pytest.raises(httpx.TransportError):
        httpx.get(server.url)
