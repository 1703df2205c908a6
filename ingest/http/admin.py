"""What operators and the supervisor ask a collector, on a listener of its own: the public port shows none of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from connectors.errors import Refused
from ingest.http.health import Readiness, liveness
from ingest.metrics import CollectorMetrics
from ingest.parts import Parts
from runtime.admin import AdminServer, Answer

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
        "/metrics": lambda: Answer(200, generate_latest(metrics.registry), CONTENT_TYPE_LATEST),
    }

    def answer(path: str) -> Answer:
        page = pages.get(path)
        return page() if page else Answer(404, b"only /livez, /readyz and /metrics\n")

    try:
        server = AdminServer(host, port, answer)
    except OSError as error:
        raise AdminPortTaken(f"the collector's admin address {host}:{port} cannot be used: {error.strerror}") from None
    _log.info("readiness and metrics on %s", server.url)
    try:
        yield server.url
    finally:
        server.end()
        readiness.close()
