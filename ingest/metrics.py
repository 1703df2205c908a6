"""The collector's metrics, in a registry of their own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from marketplace import metrics as catalogue
from runtime.metrics import counter, gauge, histogram


class CollectorMetrics:
    """Counters and histograms of one collector; ``marketplace.metrics`` describes each."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = counter(catalogue.REQUESTS, registry)
        self.request_seconds = histogram(catalogue.REQUEST_SECONDS, registry)
        self.kafka_seconds = histogram(catalogue.KAFKA_ACK_SECONDS, registry)
        self.accepted = counter(catalogue.EVENTS_ACCEPTED, registry)
        self.rejected = counter(catalogue.EVENTS_REJECTED, registry)
        self.faults = counter(catalogue.FAULTS, registry)
        self.lookups = counter(catalogue.LOOKUPS, registry)
        self.mongo_breaker_open = gauge(catalogue.MONGO_BREAKER_OPEN, registry)
        self.connections_closed = counter(catalogue.CONNECTIONS_CLOSED, registry)
