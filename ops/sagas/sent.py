"""The events of orders that are in their topic, read from its beginning to where it ends now."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

from connectors.errors import Unavailable
from connectors.kafka.client_config import KafkaConnection
from connectors.kafka.reader import PartitionReader
from marketplace.topics import ORDERS_EVENTS

_RECORDS_AT_ONCE: Final = 5_000
_SILENCE_SECONDS: Final = 15.0


@dataclass
class SentEvents:
    """What is in the topic.

    Attributes:
        records: How many times each event is there, by its id.
        places: By order: the partitions that have events of it, each with the slug of the store.
        first_ms: When its oldest record was written, epoch milliseconds; None for an empty topic.
        unknown: Records that are no events.
    """

    records: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    places: dict[str, set[tuple[int, str]]] = field(default_factory=lambda: defaultdict(set))
    first_ms: int | None = None
    unknown: int = 0


def read_sent(
    kafka: KafkaConnection | str, store: str | None = None, progress: Callable[[int, int], None] = lambda done, of: None
) -> SentEvents:
    """Read the topic.

    Args:
        kafka: Where it is.
        store: The slug of one; None for all.
        progress: Is told how many records were read, and of how many.

    Raises:
        Unavailable: Kafka does not answer.
        Refused: There is no such topic.
    """
    sent = SentEvents()
    with closing(PartitionReader(kafka, ORDERS_EVENTS.name, "ops.reconcile")) as reader:
        ranges = {partition: reader.range_of(partition) for partition in reader.partitions()}
        waiting = {partition: high for partition, (low, high) in ranges.items() if low < high}
        whole, done = sum(high - ranges[partition][0] for partition, high in waiting.items()), 0
        for partition in waiting:
            reader.add(partition, ranges[partition][0])
        quiet_since = time.monotonic()
        while waiting:
            found = reader.consume(_RECORDS_AT_ONCE, 0.2)
            if found:
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > _SILENCE_SECONDS:
                raise Unavailable(f"Kafka does not answer: {ORDERS_EVENTS.name} sends no records")
            for message in found:
                partition, offset = message.partition(), message.offset()
                if offset < ranges[partition][1]:
                    _note(sent, partition, message, store)
                    done += 1
                if offset + 1 >= ranges[partition][1]:
                    waiting.pop(partition, None)
            progress(done, whole)
    return sent


def _note(sent: SentEvents, partition: int, message: Any, store: str | None) -> None:
    headers = {name: (value or b"").decode("utf-8", "replace") for name, value in message.headers() or ()}
    written_ms = message.timestamp()[1]
    sent.first_ms = written_ms if sent.first_ms is None else min(sent.first_ms, written_ms)
    event, shop = headers.get("ce_id", ""), headers.get("ce_store", "")
    key = (message.key() or b"").decode("utf-8", "replace")
    if not event or not key:
        sent.unknown += 1
    elif store in (None, shop):
        sent.records[event] += 1
        sent.places[key].add((partition, shop))
