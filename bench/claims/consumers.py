"""``python -m bench.claims.consumers``: what a consumer of orders' events costs for each, beside a bare loop.

The bare loop polls and commits, and does nothing with what it has. In turn, each over a log of its own: the group
consumer with a handler that does nothing; the same that decodes events; the runner, which also knows whether the
event's order has parked events; the same where Mongo is asked for that at each event; and the consumer of orders with
all of it, for events that it has handled and for new ones. CPU is this process's own: Mongo's and Kafka's is not in it.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Final

from bench.claims.numbers import Row, median, report, say, spread
from connectors.kafka.consumer import GroupConsumer, Handler
from connectors.kafka.dead_letters import DeadLetterWriter
from connectors.kafka.group_client import Membership
from connectors.kafka.kafka_group_client import KafkaGroupClient
from connectors.kafka.producer import Producer
from connectors.kafka.records import ConsumerRecord, Record, TopicPartition
from connectors.kafka.topics import TopicAdmin
from connectors.mongo.client import Client, connect
from connectors.mongo.sagas.documents import order_document
from connectors.mongo.sagas.parking import ParkedEvents
from marketplace.collections import INBOX, ORDERS, OUTBOX, PARKED_EVENTS
from marketplace.sagas.declaration import Service
from marketplace.sagas.events import Event, EventType, PaymentCompleted, encode_payload
from marketplace.sagas.order_state import Order, OrderLine, OrderState
from marketplace.sagas.wire import event_of, headers
from marketplace.topics import ORDERS_DEAD, ORDERS_EVENTS
from ops.provision import ensure_provisioned
from ops.resources import Resources
from ops.stack import Stack
from runtime.sections import Settings
from saga_consumers.consumer import Parts, SagaConsumer
from saga_consumers.orders import store as orders
from saga_consumers.records import RecordHandler
from saga_consumers.runner import POLICY

_DATABASE: Final = "bench_consumers"
_AT_ONCE: Final = 500
_COLLECTIONS: Final = (ORDERS, OUTBOX, INBOX, PARKED_EVENTS)
_FAR_MS: Final = 4_000_000_000_000
BARE: Final = "bare poll and commit"
LIGHT: Final = ("group consumer, empty handler", "group consumer, decoded")
HEAVY: Final = (
    "runner, empty consumer",
    "runner that asks about parked events",
    "orders, known events",
    "orders, new events",
)

Assigned = Callable[[Collection[TopicPartition]], None]


@dataclass(frozen=True)
class Run:
    """One pass over the log.

    Attributes:
        name: What consumed it.
        events: How many.
        cpu_seconds: This process's.
        wall_seconds: From the first record to the last offset.
    """

    name: str
    events: int
    cpu_seconds: float
    wall_seconds: float

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU for each event."""
        return 1e6 * self.cpu_seconds / self.events

    @property
    def wall_us(self) -> float:
        """Microseconds for each event."""
        return 1e6 * self.wall_seconds / self.events


class Race:
    """Runs all ways in turn.

    Args:
        stack: The parts.
        mongo: A client of its Mongo.
        events: How many events the cheap ways get.
        handled: How many those get that ask Mongo.
    """

    def __init__(self, stack: Stack, mongo: Client, events: int, handled: int) -> None:
        self._kafka, self._mongo = stack.urls.kafka, mongo
        self._events, self._handled = events, handled
        self._sent = 0
        self._topic, self._admin = "", TopicAdmin(self._kafka)
        self._producer = Producer(self._kafka, client_id="bench", linger_ms=5)

    def close(self) -> None:
        """Disconnect."""
        self._producer.close(5.0)

    def run(self, name: str) -> Run:
        """One way, over events that nobody has handled, but for the way that is about known ones."""
        count = self._events if name == BARE or name in LIGHT else self._handled
        self._topic = f"bench.{uuid.uuid4().hex}"
        self._admin.create(self._topic, ORDERS_EVENTS.partitions, 1, {})
        first = self._send(count)
        if name == BARE:
            return self._bare(name, count)
        if name == LIGHT[0]:
            return self._grouped(name, count, lambda record: None)
        if name == LIGHT[1]:
            return self._grouped(name, count, _decode)
        parts = Parts(self._mongo, _DATABASE)
        consumer = orders.consumer(parts)
        if name in HEAVY[:2]:
            consumer = SagaConsumer(Service.ORDERS, lambda event, now, trace: True, lambda now: 0)
        else:
            self._place(first, count)
        if name == HEAVY[2]:
            for number in range(first, first + count):
                consumer.handle(_event(number), datetime.now(UTC), "")
        handler = RecordHandler(consumer, ParkedEvents(self._mongo, _DATABASE, "orders"))
        # Whoever does not know which partitions are assigned cannot know which keys are parked.
        return self._grouped(name, count, handler, None if name == HEAVY[1] else handler.assigned)

    def _send(self, count: int) -> int:
        """Send so many new events; returns the number of the first."""
        first = self._sent
        self._sent += count
        for begin in range(first, first + count, _AT_ONCE):
            numbers = range(begin, min(begin + _AT_ONCE, first + count))
            self._producer.send_all([_record(self._topic, _event(number)) for number in numbers], 30.0)
        return first

    def _place(self, first: int, count: int) -> None:
        rows = self._mongo[_DATABASE][ORDERS.name]
        for begin in range(first, first + count, _AT_ONCE):
            numbers = range(begin, min(begin + _AT_ONCE, first + count))
            rows.insert_many([order_document(_order(number), 0) for number in numbers])

    def _client(self, group: str) -> KafkaGroupClient:
        return KafkaGroupClient(self._kafka, Membership(group, [self._topic]))

    def _bare(self, name: str, count: int) -> Run:
        client, seen = self._client("bench.bare"), 0
        client.subscribe(_Nobody())
        meter, offsets = _Meter(), {}
        while seen < count:
            for record in client.poll(POLICY.poll_records, 0.1):
                meter.begin()
                offsets[record.source] = record.offset + 1
                seen += 1
            if offsets:
                client.commit(offsets, lambda error: None)
        took = meter.end(name, count)
        client.close(10.0)
        return took

    def _grouped(self, name: str, count: int, handler: Handler, assigned: Assigned | None = None) -> Run:
        meter = _Meter()

        def handle(record: ConsumerRecord) -> None:
            meter.begin()
            handler(record)

        letters = DeadLetterWriter(self._producer, ORDERS_DEAD.name, "bench")
        client, note = self._client("bench.ours"), assigned or (lambda partitions: None)
        with GroupConsumer(client, handle, letters, POLICY, assigned=note) as consumer:
            consumer.run(lambda: consumer.metrics().counts.handled >= count, 0.05)
            return meter.end(name, count)


class _Nobody:
    """Does not care which partitions it has."""

    def assigned(self, offsets: object) -> None: ...

    def revoked(self, partitions: object) -> None: ...

    def lost(self, partitions: object) -> None: ...


class _Meter:
    """Time and CPU from the first event on."""

    def __init__(self) -> None:
        self._wall: float | None = None
        self._cpu = 0.0

    def begin(self) -> None:
        if self._wall is None:
            self._wall, self._cpu = time.perf_counter(), _cpu()

    def end(self, name: str, events: int) -> Run:
        return Run(name, events, _cpu() - self._cpu, time.perf_counter() - (self._wall or 0.0))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _order(number: int) -> Order:
    lines = (OrderLine(1, "p", "v", "Mug", 1, 1250),)
    return Order(f"order-{number:09d}", "shop", "ann", "c", "EUR", lines, OrderState.PENDING, _FAR_MS)


def _event(number: int) -> Event:
    own = f"order-{number:09d}"
    said = PaymentCompleted(f"p-{own}", 1250, "EUR")
    return Event(f"{own}:payments:3:0", EventType.PAYMENT_COMPLETED, own, "shop", 1_796_000_000_000, said)


def _record(topic: str, event: Event) -> Record:
    pairs = tuple((name, text.encode()) for name, text in headers(event, "payments").items())
    return Record(topic, encode_payload(event.payload), event.order.encode(), headers=pairs)


def _decode(record: ConsumerRecord) -> None:
    event_of(record.key, record.headers, record.value)


def main(arguments: Sequence[str]) -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=20_000, help="for ways that do not ask Mongo")
    parser.add_argument("--handled", type=int, default=1_000, help="for ways that do")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    runs: list[Run] = []
    with (
        TemporaryDirectory() as folder,
        Stack(Path(folder), ports="auto", parts={"kafka", "mongo"}, external={}) as stack,
        closing(connect(stack.urls.mongo)) as mongo,
    ):
        resources = Resources(topics=(ORDERS_EVENTS, ORDERS_DEAD), collections=_COLLECTIONS)
        ensure_provisioned(Settings(stack.urls, PurePosixPath("unused"), _DATABASE), resources=resources)
        with closing(Race(stack, mongo, options.events, options.handled)) as race:
            for number in range(options.rounds):
                for name in (BARE, *LIGHT, *HEAVY):
                    runs.append(race.run(name))
                    say(f"round {number + 1}: {name}: {runs[-1].cpu_us:.0f} us CPU, {runs[-1].wall_us:.0f} us")
    return report(_rows(runs), {"runs": [asdict(run) for run in runs]}, options.json)


def _rows(runs: Sequence[Run]) -> list[Row]:
    def of(name: str, number: Callable[[Run], float]) -> list[float]:
        return [number(run) for run in runs if run.name == name]

    bare = median(of(BARE, lambda run: run.cpu_us))
    rows = []
    for name in (BARE, *LIGHT, *HEAVY):
        cpu, wall = of(name, lambda run: run.cpu_us), of(name, lambda run: run.wall_us)
        ratio = f"{median(cpu) / bare:,.1f} x the bare loop"
        note = f"{spread(cpu)} us CPU an event, {median(wall):,.0f} us by the clock"
        rows.append(Row(name, f"{median(cpu):,.1f} us", note=f"{ratio}; {note}"))
    return rows


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
