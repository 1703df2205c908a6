"""A server of uvicorn's on a free port, and connections that send what no client of HTTP would."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import uvicorn

DEADLINE_SECONDS = 10.0


@contextlib.contextmanager
def serving(config: uvicorn.Config) -> Iterator[int]:
    """Serve an application, without its start and end; gives the port."""
    config.host, config.port, config.lifespan = "127.0.0.1", 0, "off"
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not server.started:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def connect(port: int) -> socket.socket:
    """A connection whose every wait has a deadline."""
    return socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS)


def read_all(connection: socket.socket) -> bytes:
    """What comes until the server closes."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65_536):
            found += part
    return found


def send_all(connection: socket.socket, parts: Iterator[bytes]) -> int:
    """Send until the server closes, or there is no more; gives the bytes."""
    sent = 0
    with contextlib.suppress(ConnectionError):
        for part in parts:
            connection.sendall(part)
            sent += len(part)
    return sent
