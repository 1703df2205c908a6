"""Every topic, declared once; ``ops`` provisions them and reports drift."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

_MAX_REPLICAS: Final = 3

DEAD_LETTER_SUFFIX: Final = ".dlq"
"""A topic with this ending has dead letters; the part before it is the topic from which they come."""


@dataclass(frozen=True)
class Topic:
    """The declaration of a topic.

    Attributes:
        name: Plural noun, stage, version.
        partitions: Never lowered; raising it moves keys, so it is a reviewed act.
        retention: How long records stay; None is for ever.
        max_record_bytes: The largest record that the broker takes.
        config: Further broker settings by their Kafka names.
    """

    name: str
    partitions: int
    retention: timedelta | None
    max_record_bytes: int = 1_048_576
    config: dict[str, str] = field(default_factory=dict)

    def replicas(self, brokers: int) -> int:
        """The number of replicas: three if there are as many brokers, so that records survive the loss of one."""
        return min(brokers, _MAX_REPLICAS)

    def settings(self, replicas: int) -> dict[str, str]:
        """The topic's configuration by Kafka's own names.

        Args:
            replicas: The number of replicas. A write is acknowledged when all but one of them have it: of three
                replicas one may be unavailable, a single one must be available.
        """
        retention_ms = -1 if self.retention is None else int(self.retention.total_seconds() * 1000)
        return {
            "cleanup.policy": "delete",
            "retention.ms": str(retention_ms),
            "retention.bytes": "-1",
            "min.insync.replicas": str(max(1, replicas - 1)),
            "unclean.leader.election.enable": "false",
            "max.message.bytes": str(self.max_record_bytes),
            **self.config,
        }


CLICKS_COLLECTED: Final = Topic("clicks.collected.v1", partitions=8, retention=timedelta(days=400))
_DEAD_LETTER_BYTES: Final = 1_048_576 + 65_536
"""The largest record of the source topic and the headers of a dead letter: no record is too large to be refused."""

CLICKS_DEAD: Final = Topic(
    "clicks.collected.v1.dlq", partitions=2, retention=timedelta(days=90), max_record_bytes=_DEAD_LETTER_BYTES
)
IMPORTS_DEAD: Final = Topic("clicks.imports.v1.dlq", partitions=1, retention=timedelta(days=90))

ORDERS_EVENTS: Final = Topic("orders.events.v1", partitions=8, retention=timedelta(days=30))
"""What the services of an order say to each other; the key is the order's id."""

ORDERS_DEAD: Final = Topic(
    "orders.events.v1.dlq", partitions=2, retention=timedelta(days=90), max_record_bytes=_DEAD_LETTER_BYTES
)

RELAY_EVENTS: Final = Topic("relay.events.v1", partitions=1, retention=timedelta(days=1))
"""Canaries: rows that the relay writes into the outbox to see how long the way to Kafka takes."""

_LATEST: Final = {"cleanup.policy": "compact"}

RELAY_HEARTBEATS: Final = Topic("__debezium-heartbeat.outbox", partitions=1, retention=None, config=_LATEST)
"""What the connector writes while nobody writes to the outbox, so that its place in the change stream stays fresh; the
name is Debezium's."""

CONNECT_CONFIGS: Final = Topic("connect.configs", partitions=1, retention=None, config=_LATEST)
CONNECT_OFFSETS: Final = Topic("connect.offsets", partitions=1, retention=None, config=_LATEST)
CONNECT_STATUSES: Final = Topic("connect.statuses", partitions=1, retention=None, config=_LATEST)
CONNECT_TOPICS: Final = (CONNECT_CONFIGS, CONNECT_OFFSETS, CONNECT_STATUSES)
"""What the workers of Kafka Connect remember: their connectors, how far each has come, and how it is."""

TOPICS: Final[tuple[Topic, ...]] = (
    CLICKS_COLLECTED,
    CLICKS_DEAD,
    IMPORTS_DEAD,
    ORDERS_EVENTS,
    ORDERS_DEAD,
    RELAY_EVENTS,
    RELAY_HEARTBEATS,
    *CONNECT_TOPICS,
)


def dead_letter_topics(topics: Iterable[Topic]) -> tuple[Topic, ...]:
    """Those whose name ends in ``.dlq``, in the same order."""
    return tuple(topic for topic in topics if topic.name.endswith(DEAD_LETTER_SUFFIX))


DEAD_LETTER_TOPICS: Final[tuple[Topic, ...]] = dead_letter_topics(TOPICS)
"""All dead-letter topics; the flow ``dead_letters`` reads them."""
