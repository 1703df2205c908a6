"""What operators and the supervisor ask a collector, on a listener of its own: the public port shows none of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from connectors.errors import Refused, Unavailable
from connectors.kafka.records import RecordProducer
from connectors.mongo_stores import StoreBook
from ingest.metrics import CollectorMetrics
from ingest.parts import Parts
from marketplace.topics import CLICKS_COLLECTED

_KAFKA_SECONDS: Final = 3.0
_REQUEST_SECONDS: Final = 10.0
_log = logging.getLogger(__name__)

Answer = tuple[int, bytes, str]


class AdminPortTaken(Refused):
    """The admin listener cannot have its address; the message says which and why."""


@contextmanager
def admin_listener(host: str, port: int, parts: Parts, metrics: CollectorMetrics) -> Iterator[str]:
    """Answer ``/readyz`` and ``/metrics`` on threads of their own while it lasts; yields the base URL.

    ``/readyz`` says what each part answers. It is 200 while Kafka does: without Mongo the stores that were seen before
    go on.

    Args:
        host: The address to listen on.
        port: The port; 0 takes a free one.
        parts: What the collector is made of.
        metrics: What it counts.

    Raises:
        AdminPortTaken: The address cannot be listened on.
    """
    pages: dict[str, Callable[[], Answer]] = {
        "/readyz": lambda: _readiness(parts.producer, parts.stores),
        "/metrics": lambda: (200, generate_latest(metrics.registry), CONTENT_TYPE_LATEST),
    }
    try:
        server = ThreadingHTTPServer((host, port), _handler(pages))
    except OSError as error:
        raise AdminPortTaken(f"the collector's admin address {host}:{port} cannot be used: {error.strerror}") from None
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="admin", daemon=True).start()
    url = f"http://{host}:{server.server_address[1]}"
    _log.info("readiness and metrics on %s", url)
    try:
        yield url
    finally:
        server.shutdown()
        server.server_close()


def _readiness(producer: RecordProducer, stores: StoreBook) -> Answer:
    said = {"kafka": "answers", "mongo": "answers"}
    ready = True
    try:
        producer.partition_count(CLICKS_COLLECTED.name, _KAFKA_SECONDS)
    except Unavailable as error:
        ready, said["kafka"] = False, str(error)
    try:
        stores.read(())
    except Unavailable as error:
        said["mongo"] = str(error)
    return 200 if ready else 503, msgspec.json.encode({"ready": ready, **said}), "application/json"


def _handler(pages: dict[str, Callable[[], Answer]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        # A client that says nothing must not hold a thread for ever.
        timeout = _REQUEST_SECONDS

        def do_GET(self) -> None:
            page = pages.get(self.path)
            status, body, kind = page() if page else (404, b"only /readyz and /metrics\n", "text/plain")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            _log.debug(format, *args)

    return Handler
