"""The admin endpoint of a service: whether it lives, whether it is ready, and its metrics.

It listens on loopback unless a service is configured otherwise, as in a container, whose probes come from outside. It
has no authentication and is not for the public; what it may cost is bounded by threads, connections and time.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from typing import Any, Final

from runtime.worker_pool import PoolFull, WorkerPool

LOOPBACK: Final = "127.0.0.1"

_CLIENT_SECONDS: Final = 5.0
_MAX_CONNECTIONS: Final = 16
_MAX_WAITING: Final = 128
"""Connections that came faster than threads get to see that they have to go."""
_POLL_SECONDS: Final = 0.05
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: its status, its body and the body's type."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


class AdminServer(TCPServer):
    """Answers GET and HEAD requests on threads of its own, one request for each connection.

    A client has a time to send its request, and as long again to take the response, however it spreads its bytes; the
    time that the service takes for the response is its own. Where there are too many connections the oldest is closed.

    Args:
        host: The address to listen on, IPv4 or IPv6; ``0.0.0.0`` or ``::`` for all.
        port: The port; 0 takes a free one.
        answer: From a path without its query to the response; called on several threads.
        client_seconds: How long a client may take.

    Raises:
        OSError: The address cannot be listened on.
    """

    allow_reuse_address = True
    request_queue_size = _MAX_WAITING

    def __init__(
        self, host: str, port: int, answer: Callable[[str], Answer], client_seconds: float = _CLIENT_SECONDS
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._answer, self._client_seconds = answer, client_seconds
        self._pool = WorkerPool(_MAX_CONNECTIONS, _MAX_WAITING, "admin-request")
        self._lock = threading.Lock()
        self._deadlines: dict[Any, float] = {}
        super().__init__((host, port), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(_POLL_SECONDS,), name="admin", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop listening, and wait until no connection is accepted any more."""
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        """Its base URL."""
        host, port = self.server_address[:2]
        return f"http://[{host!s}]:{port}" if ":" in str(host) else f"http://{host!s}:{port}"

    @property
    def connections(self) -> int:
        """How many clients are connected that have time left."""
        with self._lock:
            return len(self._deadlines)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hand a connection to a thread."""
        with self._lock:
            self._deadlines[request] = time.monotonic() + self._client_seconds
            oldest = next(iter(self._deadlines)) if len(self._deadlines) > _MAX_CONNECTIONS else None
            self._deadlines.pop(oldest, None)
        if oldest is not None:
            # Connections on which nothing is asked must not keep the supervisor from asking.
            _disconnect(oldest)
        try:
            self._pool.submit(lambda: self._serve(request, client_address))
        except PoolFull:
            self._leave(request)

    def service_actions(self) -> None:
        """Disconnect clients that are too slow; called every few milliseconds by the accepting thread.

        A timeout of the socket would begin again with every byte.
        """
        now = time.monotonic()
        with self._lock:
            late = [request for request, deadline in self._deadlines.items() if deadline < now]
            for request in late:
                del self._deadlines[request]
        for request in late:
            _disconnect(request)

    def server_close(self) -> None:
        """Stop listening and let the threads end."""
        super().server_close()
        self._pool.close()

    def answer(self, request: Any, path: str) -> Answer:
        """The response for a path; its client's time stands still meanwhile."""
        self._set_deadline(request, float("inf"))
        try:
            return self._answer(path.partition("?")[0])
        except Exception:
            _log.exception("no response for an admin request")
            return Answer(500, b"an error that nothing expected; see the log\n")
        finally:
            self._set_deadline(request, time.monotonic() + self._client_seconds)

    def _set_deadline(self, request: Any, deadline: float) -> None:
        with self._lock:
            # One that was disconnected meanwhile stays so.
            if request in self._deadlines:
                self._deadlines[request] = deadline

    def _serve(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except OSError as error:
            _log.debug("admin: %s", error)
        except Exception:
            _log.exception("admin request failed")
        finally:
            self._leave(request)

    def _leave(self, request: Any) -> None:
        with self._lock:
            self._deadlines.pop(request, None)
        self.shutdown_request(request)


class _Handler(BaseHTTPRequestHandler):
    server: AdminServer

    def do_GET(self) -> None:
        page = self.server.answer(self.request, self.path)
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        _log.debug(format, *args)


def _disconnect(request: Any) -> None:
    with suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)
