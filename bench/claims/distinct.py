"""Small events with distinct ids, for claims about the amount of data that the flow has seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from connectors.kafka.producer import Producer
from connectors.kafka.records import Record
from marketplace.clicks.events import CollectedClick, encode_click
from marketplace.topics import CLICKS_COLLECTED

PER_VISITOR: Final = 10
_PAGES: Final = 500
_VISITORS_AT_ONCE: Final = 1_000
_ODD: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1
_AGENT: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
_AT_ONCE: Final = 20_000
_SEND_SECONDS: Final = 120.0


@dataclass(frozen=True)
class Distinct:
    """A generated log of numbered events.

    Attributes:
        store: The slug of their store.
        begins_ms: The time of event 0, epoch milliseconds.
        per_hour: Events in an hour of event time.
    """

    store: str
    begins_ms: int
    per_hour: int

    def record(self, number: int) -> Record:
        """The event of a number; each visitor has ten events, between those of many others."""
        block, place = divmod(number, _VISITORS_AT_ONCE * PER_VISITOR)
        visitor = _hash(block * _VISITORS_AT_ONCE + place % _VISITORS_AT_ONCE + 1)
        at_ms = self.begins_ms + number * 3_600_000 // self.per_hour
        click = CollectedClick(
            key=f"{_hash(number + (1 << 40)):016x}",
            event_id=f"{number:x}",
            store=self.store,
            visitor=f"{visitor:016x}",
            visitor_kind="first_party",
            received_at_ms=at_ms + 40,
            occurred_at_ms=at_ms,
            sent_at_ms=at_ms + 40,
            ip="198.51.100.0",
            user_agent=_AGENT,
            url=f"https://{self.store}.example/p/{number % _PAGES}",
        )
        partition = visitor % CLICKS_COLLECTED.partitions
        return Record(CLICKS_COLLECTED.name, encode_click(click), click.visitor.encode(), partition)

    def records(self, first: int, end: int) -> Iterator[Record]:
        """The events from ``first`` to before ``end``."""
        return map(self.record, range(first, end))


def produce(bootstrap: str, records: Iterator[Record]) -> int:
    """Write records to the topic; returns their number."""
    producer = Producer(bootstrap, client_id="bench", max_in_flight_bytes=256 << 20)
    count = 0
    while chunk := list(islice(records, _AT_ONCE)):
        producer.send_all(chunk, _SEND_SECONDS)
        count += len(chunk)
    producer.close(_SEND_SECONDS)
    return count


def _hash(number: int) -> int:
    """A hash without collisions: multiplication by an odd number and a shift are invertible."""
    product = number * _ODD & _MASK
    return product ^ (product >> 32)
