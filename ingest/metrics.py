"""Every metric of the collector. Labels come from bounded sets: never a store, an address or a path."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class CollectorMetrics:
    """The metrics in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "marketplace_collector_requests_total",
            "Requests by door and status.",
            ("door", "status"),
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "marketplace_collector_request_seconds",
            "From the first byte of a request to its answer.",
            ("door",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.kafka_seconds = Histogram(
            "marketplace_collector_kafka_ack_seconds",
            "Until Kafka had all records of a request.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.accepted = Counter(
            "marketplace_collector_events_accepted_total", "Events that Kafka has.", ("origin",), registry=self.registry
        )
        self.rejected = Counter(
            "marketplace_collector_events_rejected_total",
            "Events and whole bodies that were refused and kept as dead letters.",
            ("reason",),
            registry=self.registry,
        )
        self.faults = Counter(
            "marketplace_collector_faults_total",
            "Requests that were answered with an error, by its code.",
            ("code",),
            registry=self.registry,
        )
        self.lookups = Counter(
            "marketplace_collector_lookups_total",
            "Questions to Mongo by lane (known stores, unknown keys, salts) and result.",
            ("lane", "result"),
            registry=self.registry,
        )
        self.mongo_breaker_open = Gauge(
            "marketplace_collector_mongo_breaker_open",
            "1 while Mongo counts as unavailable and stores are answered from memory.",
            registry=self.registry,
        )
        self.connections_closed = Counter(
            "marketplace_collector_connections_closed_total",
            "Connections that were closed or refused because of one bound or the other.",
            ("reason",),
            registry=self.registry,
        )
