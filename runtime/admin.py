"""What operators and a supervisor ask a service: whether it lives, whether it is ready, and its numbers."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Final

from runtime.worker_pool import PoolFull, WorkerPool

_REQUEST_SECONDS: Final = 5.0
_MAX_CONNECTIONS: Final = 16
_MAX_WAITING: Final = 128
"""Connections that came faster than threads get to see that they have to go."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered: the status, the body and its type."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


class AdminServer(HTTPServer):
    """Answers GET requests on threads of its own; the oldest connection has to go where there are too many.

    Args:
        host: The address to listen on.
        port: The port; 0 takes a free one.
        answer: From a path to what is answered; called on several threads.

    Raises:
        OSError: The address cannot be listened on.
    """

    request_queue_size = _MAX_WAITING

    def __init__(self, host: str, port: int, answer: Callable[[str], Answer]) -> None:
        self._pool = WorkerPool(_MAX_CONNECTIONS, _MAX_WAITING, "admin-request")
        self._lock = threading.Lock()
        self._open: dict[Any, None] = {}
        super().__init__((host, port), _handler(answer))
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Answer nothing any more."""
        self.shutdown()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hand a connection to a thread."""
        with self._lock:
            self._open[request] = None
            oldest = next(iter(self._open)) if len(self._open) > _MAX_CONNECTIONS else None
            self._open.pop(oldest, None)
        if oldest is not None:
            # Connections on which nothing is asked must not keep the supervisor from asking.
            with suppress(OSError):
                oldest.shutdown(socket.SHUT_RDWR)
        try:
            self._pool.submit(lambda: self._serve(request, client_address))
        except PoolFull:
            self._leave(request)

    @property
    def url(self) -> str:
        """Where it answers."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def server_close(self) -> None:
        """Stop listening and let the threads end."""
        super().server_close()
        self._pool.close()

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
            self._open.pop(request, None)
        self.shutdown_request(request)


def _handler(answer: Callable[[str], Answer]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        # A client that says nothing must not hold a thread for ever.
        timeout = _REQUEST_SECONDS

        def do_GET(self) -> None:
            page = answer(self.path)
            self.send_response(page.status)
            self.send_header("Content-Type", page.content_type)
            self.send_header("Content-Length", str(len(page.body)))
            self.end_headers()
            self.wfile.write(page.body)

        def log_message(self, format: str, *args: object) -> None:
            _log.debug(format, *args)

    return Handler
