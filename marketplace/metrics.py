"""Every metric of every process, declared once, for processes, docs and alerts.

Labels come from bounded sets: never a store, an address or a path. Names end in a unit where there is one; a counter's
samples end in ``_total``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

MetricKind = Literal["counter", "gauge", "histogram"]
PREFIX: Final = "marketplace_"


@dataclass(frozen=True)
class MetricSpec:
    """A metric.

    Attributes:
        name: Without ``_total``.
        kind: Counter, gauge or histogram.
        text: Its meaning, in one sentence.
        labels: Its labels, in order.
    """

    name: str
    kind: MetricKind
    text: str
    labels: tuple[str, ...] = ()

    @property
    def sample(self) -> str:
        """The name of its samples."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


def _collector(name: str, kind: MetricKind, text: str, *labels: str) -> MetricSpec:
    return MetricSpec(f"{PREFIX}collector_{name}", kind, text, labels)


def _flow(name: str, kind: MetricKind, text: str, *labels: str) -> MetricSpec:
    return MetricSpec(f"{PREFIX}flow_{name}", kind, text, ("flow", *labels))


REQUESTS: Final = _collector("requests", "counter", "Requests by endpoint and status.", "endpoint", "status")
REQUEST_SECONDS: Final = _collector(
    "request_seconds", "histogram", "From the first byte of a request to its answer.", "endpoint"
)
KAFKA_ACK_SECONDS: Final = _collector("kafka_ack_seconds", "histogram", "Until Kafka had all records of a request.")
EVENTS_ACCEPTED: Final = _collector("events_accepted", "counter", "Events that Kafka has.", "origin")
EVENTS_REJECTED: Final = _collector(
    "events_rejected", "counter", "Events and whole bodies that were refused and kept as dead letters.", "reason"
)
FAULTS: Final = _collector("faults", "counter", "Requests that were answered with an error, by its code.", "code")
LOOKUPS: Final = _collector(
    "lookups",
    "counter",
    "Questions to Mongo by lane (known stores, unknown keys, salts) and result.",
    "lane",
    "result",
)
MONGO_BREAKER_OPEN: Final = _collector(
    "mongo_breaker_open", "gauge", "1 while Mongo counts as unavailable and stores are answered from memory."
)
CONNECTIONS_CLOSED: Final = _collector(
    "connections_closed",
    "counter",
    "Connections that were closed or refused because of one bound or the other.",
    "reason",
)
COLLECTOR: Final = (
    REQUESTS,
    REQUEST_SECONDS,
    KAFKA_ACK_SECONDS,
    EVENTS_ACCEPTED,
    EVENTS_REJECTED,
    FAULTS,
    LOOKUPS,
    MONGO_BREAKER_OPEN,
    CONNECTIONS_CLOSED,
)
"""The collector's metrics."""

FLOW_RESTARTS: Final = _flow("restarts", "counter", "Restarts of a flow's processes.")
FLOW_PROCESSES: Final = _flow("processes", "gauge", "Running processes.")
FLOW_HANGS: Final = _flow("hangs", "counter", "Restarts because a process gave no sign of life.")
FLOW_READY: Final = _flow("ready", "gauge", "Whether epochs end in every process.")
FLOW_LAG: Final = _flow("lag_records", "gauge", "Records not yet in every table.", "topic", "partition")
FLOW_UNREACHABLE: Final = _flow(
    "unreachable_records",
    "gauge",
    "Records that retention deleted before they were counted; not written off yet.",
    "topic",
    "partition",
)
FLOW: Final = (FLOW_RESTARTS, FLOW_PROCESSES, FLOW_HANGS, FLOW_READY, FLOW_LAG, FLOW_UNREACHABLE)
"""Metrics of every flow's service."""

CLICKS: Final = MetricSpec(f"{PREFIX}clicks", "counter", "Events by outcome.", ("outcome",))
CLICKS_EXPIRED: Final = MetricSpec(
    f"{PREFIX}clicks_expired",
    "counter",
    "Records that retention deleted before they were counted, as noted in the ledger.",
)
GEOGRAPHY_REFUSED: Final = MetricSpec(
    f"{PREFIX}geography_refused", "gauge", "Whether the GeoIP file that is there is refused, and an older one is used."
)
STORES_UNUSABLE: Final = MetricSpec(
    f"{PREFIX}stores_unusable", "gauge", "Invalid store documents; their events are dead letters."
)
CLICK_FLOW: Final = (CLICKS, CLICKS_EXPIRED, GEOGRAPHY_REFUSED, STORES_UNUSABLE)
"""Metrics of the click flow's service, in addition to :data:`FLOW`."""

API_REQUESTS: Final = MetricSpec(
    f"{PREFIX}api_requests",
    "counter",
    "Requests by route (method and path template; `none` for what is no route) and status.",
    ("route", "status"),
)
API_REQUEST_SECONDS: Final = MetricSpec(
    f"{PREFIX}api_request_seconds", "histogram", "From the head of a request to the end of its answer.", ("route",)
)
API_MONGO_CONNECTIONS: Final = MetricSpec(
    f"{PREFIX}api_mongo_connections", "gauge", "Connections to Mongo that are in use at this moment."
)
API_LIMITER_DEGRADED: Final = MetricSpec(
    f"{PREFIX}api_limiter_degraded", "gauge", "1 while Redis does not answer and this process limits by itself."
)
API_MAILS_WAITING: Final = MetricSpec(
    f"{PREFIX}api_mails_waiting",
    "gauge",
    "Mails of all processes that no mail server has taken yet; missing while Mongo does not answer.",
)
API_MAILS_GIVEN_UP: Final = MetricSpec(
    f"{PREFIX}api_mails_given_up",
    "counter",
    "Mails that nobody will get: a mail server refused the address or the text, or none took them for three days.",
    ("reason",),
)
API_SEARCH_PRODUCTS: Final = MetricSpec(
    f"{PREFIX}api_search_products", "gauge", "Products that this process finds: active ones, of all stores."
)
API_SEARCH_AGE_SECONDS: Final = MetricSpec(
    f"{PREFIX}api_search_age_seconds",
    "gauge",
    "For how long search does not know of changes, which is below a second as a rule; missing before the first read.",
)
API_SEARCH_READS: Final = MetricSpec(
    f"{PREFIX}api_search_reads", "counter", "How often all products were read: once, and when changes were lost."
)
API: Final = (
    API_REQUESTS,
    API_REQUEST_SECONDS,
    API_MONGO_CONNECTIONS,
    API_LIMITER_DEGRADED,
    API_MAILS_WAITING,
    API_MAILS_GIVEN_UP,
    API_SEARCH_PRODUCTS,
    API_SEARCH_AGE_SECONDS,
    API_SEARCH_READS,
)
"""The REST API's metrics."""

CONSUMER_EVENTS: Final = MetricSpec(
    f"{PREFIX}consumer_events",
    "counter",
    "Events of orders by what became of them: handled, duplicate, rejected, parked behind another one, or retried.",
    ("consumer", "outcome"),
)
CONSUMER_PARKED: Final = MetricSpec(
    f"{PREFIX}consumer_parked_events",
    "gauge",
    "Events that wait for an operator, those that were rejected among them.",
    ("consumer",),
)
CONSUMER_LAG: Final = MetricSpec(
    f"{PREFIX}consumer_lag_records", "gauge", "Events that are not handled yet.", ("consumer", "partition")
)
CONSUMER_OLDEST_DUE: Final = MetricSpec(
    f"{PREFIX}consumer_oldest_due_seconds",
    "gauge",
    "For how long the oldest deadline has passed that nobody acted on; 0 where there is none.",
    ("consumer",),
)
CONSUMER_SWEPT: Final = MetricSpec(
    f"{PREFIX}consumer_swept", "counter", "Rows whose time had come and that were acted on.", ("consumer",)
)
CONSUMER_SWEEP_ERRORS: Final = MetricSpec(
    f"{PREFIX}consumer_sweep_errors", "counter", "Sweeps that failed, in whole or for some rows.", ("consumer",)
)
CONSUMER_RESTARTS: Final = MetricSpec(
    f"{PREFIX}consumer_restarts", "counter", "Restarts of a consumer that ended with an error.", ("consumer",)
)
CONSUMER_READY: Final = MetricSpec(
    f"{PREFIX}consumer_ready", "gauge", "Whether a consumer polls, handles and sweeps without trouble.", ("consumer",)
)
CONSUMERS: Final = (
    CONSUMER_EVENTS,
    CONSUMER_PARKED,
    CONSUMER_LAG,
    CONSUMER_OLDEST_DUE,
    CONSUMER_SWEPT,
    CONSUMER_SWEEP_ERRORS,
    CONSUMER_RESTARTS,
    CONSUMER_READY,
)
"""Metrics of the consumers of orders' events."""

PAYMENT_REPORTS: Final = MetricSpec(
    f"{PREFIX}payment_reports",
    "counter",
    "What the provider said, by what became of it: `changed`, `known`, `unknown_payment`, `mismatch`, `unreadable`.",
    ("outcome",),
)
PAYMENT_FAILED_CALLS: Final = MetricSpec(
    f"{PREFIX}payment_failed_calls",
    "counter",
    "Questions to the provider that were not answered, were refused for good, or failed here.",
    ("reason",),
)
PAYMENT_ALARMS: Final = MetricSpec(
    f"{PREFIX}payment_alarms", "counter", "Refunds that came back or were refused too often: an operator decides."
)
PAYMENT_PROVIDER_ASKED: Final = MetricSpec(
    f"{PREFIX}payment_provider_asked", "gauge", "0 while the provider is left alone because it did not answer."
)
PAYMENTS: Final = (PAYMENT_REPORTS, PAYMENT_FAILED_CALLS, PAYMENT_ALARMS, PAYMENT_PROVIDER_ASKED)
"""Metrics of the payments consumer, in addition to :data:`CONSUMERS`."""

RELAY_RUNNING: Final = MetricSpec(
    f"{PREFIX}relay_running", "gauge", "1 while the connector of the outbox and its task run.", ("connector",)
)
RELAY_RESTARTS: Final = MetricSpec(
    f"{PREFIX}relay_restarts", "counter", "Restarts of tasks that had failed.", ("connector",)
)
RELAY_RESENDS: Final = MetricSpec(
    f"{PREFIX}relay_resends",
    "counter",
    "How often the whole outbox was sent again, because Mongo no longer had the changes to go on with.",
    ("connector",),
)
RELAY_LAG_SECONDS: Final = MetricSpec(
    f"{PREFIX}relay_lag_seconds",
    "gauge",
    "How long a row of the outbox takes to its topic, judged by canaries; it grows while none arrives.",
    ("connector",),
)
RELAY: Final = (RELAY_RUNNING, RELAY_RESTARTS, RELAY_RESENDS, RELAY_LAG_SECONDS)
"""The relay's metrics."""

METRICS: Final[dict[str, tuple[MetricSpec, ...]]] = {
    "the collector": COLLECTOR,
    "every flow": FLOW,
    "the click flow": CLICK_FLOW,
    "the REST API": API,
    "the consumers of orders": CONSUMERS,
    "the payments consumer": PAYMENTS,
    "the relay": RELAY,
}
"""All metrics, by the process that exposes them."""
