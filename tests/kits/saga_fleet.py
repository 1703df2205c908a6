"""The consumers of orders in one process, on a broker in memory or on Kafka, and an outbox that is sent to it."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

from connectors.kafka.consumer_policy import ConsumerPolicy
from connectors.kafka.group_client import GroupClient, Membership
from connectors.kafka.memory import MemoryBroker, MemoryGroupClient, MemoryProducer
from connectors.kafka.records import Record, RecordProducer, TopicPartition
from connectors.mongo.sagas.parking import ParkedEvents
from marketplace.sagas.declaration import Service
from marketplace.topics import ORDERS_DEAD, ORDERS_EVENTS
from saga_consumers.consumer import Parts, SagaConsumer
from saga_consumers.inventory import store as inventory
from saga_consumers.orders import store as orders
from saga_consumers.runner import ConsumerRunner, membership_of
from tests.kits.consumer import DEADLINE_SECONDS, eventually
from tests.kits.sagas import OutboxPump, Payments, Shop

PARTITIONS = 4
POLICY = ConsumerPolicy(threads=2, commit_seconds=0.02, revoke_seconds=2.0, backoff_seconds=(0.05,))

Make = Callable[[Parts], SagaConsumer]


class Running:
    """One runner on a thread of its own."""

    def __init__(self, runner: ConsumerRunner) -> None:
        self.runner = runner
        self.error: BaseException | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.runner.run(self._stopping.is_set)
        except BaseException as error:
            self.error = error

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(20)
        assert not self._thread.is_alive()


@dataclass
class Fleet:
    """Consumers of a shop's orders.

    Attributes:
        shop: Whose orders; its time is that of all consumers.
        client: Makes a member of a group.
        producer: Of events and of dead letters.
        payments: What the provider says.
    """

    shop: Shop
    client: Callable[[Membership], GroupClient]
    producer: RecordProducer
    payments: Payments
    opened: ExitStack
    times: int = 1
    topic: str = ORDERS_EVENTS.name
    running: list[Running] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pump = OutboxPump(self.shop, self.producer, self.times, self.topic)

    def makers(self) -> list[Make]:
        return [orders.consumer, inventory.consumer, self.payments.consumer]

    def start(self, make: Make, client: GroupClient | None = None, parked: ParkedEvents | None = None) -> Running:
        consumer = make(self.shop.parts)
        member = client or self.client(self.membership(consumer.service))
        rows, dead = parked or self.parked(consumer.service), f"{self.topic}.dlq"
        runner = ConsumerRunner(consumer, member, self.producer, rows, POLICY, lambda: self.shop.now, dead, 2.0)
        started = Running(runner)
        self.running.append(started)
        self.opened.callback(started.stop)
        return started

    def start_all(self) -> None:
        for make in self.makers():
            self.start(make)

    def membership(self, service: Service, session_seconds: float = 6.0) -> Membership:
        return replace(membership_of(service, session_seconds), topics=[self.topic])

    def parked(self, service: Service) -> ParkedEvents:
        return ParkedEvents(self.shop.client, self.shop.database, service.value)

    def send(self, records: Sequence[Record]) -> None:
        self.producer.send_all(records, 10.0)

    def until(self, condition: Callable[[], object], what: str, seconds: float = DEADLINE_SECONDS) -> None:
        """Send what is said, until something is so."""

        def done() -> object:
            self.pump.pump()
            for each in self.running:
                assert each.error is None, each.error
            return condition()

        eventually(done, what, seconds)

    def until_ended(self, owns: Sequence[str] | None = None) -> None:
        """Until all orders have ended, and what they said is heard by all."""
        wanted = self.shop.orders if owns is None else owns
        self.until(
            lambda: all(self.shop.order(own)["state"] in ("confirmed", "cancelled") for own in wanted), "all end"
        )
        self.until(lambda: not any(self.shop.reservation(own)["state"] == "held" for own in wanted), "all is released")


class MemoryFleet(Fleet):
    """On a broker in memory."""

    broker: MemoryBroker

    def dead_letters(self) -> list[Record]:
        return [
            record
            for partition in range(2)
            for record in self.broker.log(TopicPartition(ORDERS_DEAD.name, partition))
        ]  # fmt: skip

    def log(self) -> list[Record]:
        """All events, partition by partition."""
        return [
            record
            for partition in range(PARTITIONS)
            for record in self.broker.log(TopicPartition(ORDERS_EVENTS.name, partition))
        ]

    def handled(self, service: Service) -> int:
        """The sum of the group's offsets."""
        return sum(self.broker.group(f"saga.{service.value}").offsets.values())

    def caught_up(self, service: Service) -> bool:
        return self.handled(service) == len(self.log())


@contextmanager
def memory_fleet(shop: Shop, times: int = 1) -> Iterator[MemoryFleet]:
    broker = MemoryBroker({ORDERS_EVENTS.name: PARTITIONS, ORDERS_DEAD.name: 2})
    with ExitStack() as opened:
        fleet = MemoryFleet(
            shop, lambda membership: MemoryGroupClient(broker, membership), MemoryProducer(broker), Payments(shop),
            opened, times,
        )  # fmt: skip
        fleet.broker = broker
        yield fleet


def shuffled_keys(records: Sequence[Record], seed: int) -> list[Record]:
    """The same records, where those of each key keep their order and keys come in any."""
    by_key: dict[bytes | None, list[Record]] = {}
    for record in records:
        by_key.setdefault(record.key, []).append(record)
    chance, mixed = random.Random(seed), list[Record]()
    while by_key:
        key = chance.choice(sorted(by_key, key=repr))
        mixed.append(by_key[key].pop(0))
        if not by_key[key]:
            del by_key[key]
    return mixed
