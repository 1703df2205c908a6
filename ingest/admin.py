"""What operators and the supervisor ask a collector, on a listener of its own: the public port shows none of it."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from connectors.errors import Refused
from ingest.health import Answer, Readiness, liveness
from ingest.metrics import CollectorMetrics
from ingest.parts import Parts
from runtime.worker_pool import PoolFull, WorkerPool

_REQUEST_SECONDS: Final = 5.0
_MAX_CONNECTIONS: Final = 16
_MAX_WAITING: Final = 128
"""Connections that came faster than threads get to see that they have to go."""
_log = logging.getLogger(__name__)


class AdminPortTaken(Refused):
    """The admin listener cannot have its address; the message says which and why."""


@contextmanager
def admin_listener(host: str, port: int, parts: Parts, metrics: CollectorMetrics) -> Iterator[str]:
    """Answer ``/livez``, ``/readyz`` and ``/metrics`` on threads of their own while it lasts; yields the base URL.

    ``/livez`` is 200 while the event loop makes progress: a collector that fails it has to be started again.
    ``/readyz`` says what each part answers, within two seconds. It is 200 while Kafka does: without Mongo the stores
    that were seen before go on.

    Args:
        host: The address to listen on.
        port: The port; 0 takes a free one.
        parts: What the collector is made of.
        metrics: What it counts.

    Raises:
        AdminPortTaken: The address cannot be listened on.
    """
    readiness = Readiness(parts)
    pages: dict[str, Callable[[], Answer]] = {
        "/livez": lambda: liveness(parts.heartbeat),
        "/readyz": readiness.answer,
        "/metrics": lambda: (200, generate_latest(metrics.registry), CONTENT_TYPE_LATEST),
    }
    try:
        server = _Server((host, port), _handler(pages))
    except OSError as error:
        raise AdminPortTaken(f"the collector's admin address {host}:{port} cannot be used: {error.strerror}") from None
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="admin", daemon=True).start()
    url = f"http://{host}:{server.server_address[1]}"
    _log.info("readiness and metrics on %s", url)
    try:
        yield url
    finally:
        server.shutdown()
        server.server_close()
        readiness.close()


class _Server(HTTPServer):
    """Serves a bounded number of connections; the oldest has to go where there are too many."""

    request_queue_size = _MAX_WAITING

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._pool = WorkerPool(_MAX_CONNECTIONS, _MAX_WAITING, "admin-request")
        self._lock = threading.Lock()
        self._open: dict[Any, None] = {}
        super().__init__(address, handler)

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


def _handler(pages: dict[str, Callable[[], Answer]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        # A client that says nothing must not hold a thread for ever.
        timeout = _REQUEST_SECONDS

        def do_GET(self) -> None:
            page = pages.get(self.path)
            status, body, kind = page() if page else (404, b"only /livez, /readyz and /metrics\n", "text/plain")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            _log.debug(format, *args)

    return Handler
