"""Liveness, readiness and metrics of a collector, on a separate listener: the public port shows none of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from connectors.errors import Refused
from ingest.dependencies import CollectorDependencies
from ingest.metrics import CollectorMetrics
from marketplace.topics import CLICKS_COLLECTED
from runtime.admin import AdminServer, Answer
from runtime.readiness import QUESTION_SECONDS, Readiness, liveness

_log = logging.getLogger(__name__)


class AdminPortTaken(Refused):
    """The admin address cannot be listened on; the message names it and the reason."""


@contextmanager
def admin_listener(
    host: str, port: int, dependencies: CollectorDependencies, metrics: CollectorMetrics
) -> Iterator[str]:
    """Serve ``/livez``, ``/readyz`` and ``/metrics`` on separate threads inside the context; yields the base URL.

    ``/livez`` is 200 while the event loop makes progress: a collector that fails it must be restarted.
    ``/readyz`` shows within two seconds whether Kafka and Mongo answer. It is 200 while Kafka does: without Mongo,
    stores that were seen before are still served.

    Args:
        host: The address to listen on.
        port: The port; 0 takes a free one.
        dependencies: Their clients are queried for readiness.
        metrics: What ``/metrics`` shows.

    Raises:
        AdminPortTaken: The address cannot be listened on.
    """
    readiness = Readiness(
        {
            "kafka": lambda: dependencies.producer.partition_count(CLICKS_COLLECTED.name, QUESTION_SECONDS),
            "mongo": lambda: dependencies.stores.read(()),
        },
        required=("kafka",),
    )
    pages: dict[str, Callable[[], Answer]] = {
        "/livez": lambda: liveness(dependencies.heartbeat),
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
