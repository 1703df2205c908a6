"""Runs a collector on its public and its admin port."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from typing import Any, Final

import uvicorn

from connectors.kafka.client_config import KafkaConnection
from connectors.kafka.producer import Producer
from connectors.mongo.client import connect
from connectors.mongo.salts import MongoSalts
from connectors.mongo.stores import MongoStores
from connectors.mongo.turned_away import MongoTurnedAway
from ingest.collect.lookups import MONGO_SECONDS
from ingest.config import Addresses, CollectorConfig
from ingest.dependencies import CollectorDependencies
from ingest.http.admin import admin_listener
from ingest.http.app import build_app
from ingest.metrics import CollectorMetrics
from marketplace.topics import CLICKS_COLLECTED
from runtime.descriptors import allow_descriptors
from runtime.http.connections import Connections, Reason
from runtime.http.protocol import bounded_protocol
from runtime.reachable import warn_of_unreachable
from runtime.sections import MongoSettings

_KEEP_ALIVE_SECONDS: Final = 30
_SHUTDOWN_SECONDS: Final = 15
_OTHER_DESCRIPTORS: Final = 500
"""Of clients of parts, files and threads."""
_TOO_MANY: Final = (
    b'{"error": {"code": "too_many_connections", "message": "too many connections from this address", "path": ""}}'
)
_log = logging.getLogger(__name__)


def serve(
    kafka: KafkaConnection, mongo: MongoSettings, addresses: Addresses, config: CollectorConfig | None = None
) -> None:
    """Run a collector until SIGTERM or SIGINT; answers the requests that are under way, then returns.

    Args:
        kafka: Where Kafka is; it need not be up yet.
        mongo: Where MongoDB is; it need not be up yet.
        addresses: Where to listen; chosen free ports are logged.
        config: Limits and timeouts; the defaults when None.

    Raises:
        AdminPortTaken: The admin address cannot be listened on.
    """
    config = config or CollectorConfig()
    allow_descriptors(config.max_connections + _OTHER_DESCRIPTORS)
    client = connect(mongo.url, MONGO_SECONDS)
    warn_of_unreachable({"kafka": kafka.bootstrap, "mongo": mongo.url}, _log)
    if threading.current_thread() is threading.main_thread():
        # Uvicorn stops in order and then raises the signal once more, which would turn a clean stop into a failure.
        signal.signal(signal.SIGTERM, lambda _signal, _frame: None)
    try:
        dependencies, metrics = _dependencies(kafka, client, mongo.database, config), CollectorMetrics()
        public = uvicorn.Server(uvicorn_config(dependencies, metrics, addresses.host, addresses.port))
        with (
            admin_listener(addresses.admin_host, addresses.effective_admin_port, dependencies, metrics),
            contextlib.suppress(KeyboardInterrupt),
        ):
            public.run()
    finally:
        client.close()


def _dependencies(kafka: KafkaConnection, client: Any, database: str, config: CollectorConfig) -> CollectorDependencies:
    return CollectorDependencies(
        producer=Producer(
            kafka,
            client_id="collector",
            delivery_timeout_seconds=config.kafka_timeout_seconds,
            max_in_flight_bytes=config.max_in_flight_bytes,
            max_record_bytes=CLICKS_COLLECTED.max_record_bytes,
            stuck_seconds=config.kafka_stuck_seconds,
        ),
        stores=MongoStores(client, database),
        salts=MongoSalts(client, database),
        config=config,
        turned_away=MongoTurnedAway(client, database),
    )


def uvicorn_config(
    dependencies: CollectorDependencies, metrics: CollectorMetrics, host: str, port: int
) -> uvicorn.Config:
    """Uvicorn's settings: limits on heads and connections, no access log (it would contain full addresses)."""
    connections = _connections(dependencies.config, metrics)
    return uvicorn.Config(
        build_app(dependencies, metrics),
        host=host,
        port=port,
        http=bounded_protocol(dependencies.config.head_timeout_seconds, connections, "application/json", _TOO_MANY),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )


def _connections(config: CollectorConfig, metrics: CollectorMetrics) -> Connections:
    def closed(reason: Reason) -> None:
        metrics.connections_closed.labels(reason).inc()
        _log.warning("connections: one is closed to make room (%s)", reason)

    return Connections(config.max_connections, config.max_connections_per_address, config.trusted_proxies, closed)
