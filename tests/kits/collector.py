"""What the collector's tests share: a store, in-memory parts, and a collector that really listens."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import confluent_kafka
import httpx
import msgspec
import uvicorn

from connectors.kafka.memory import MemoryProducer
from connectors.kafka.records import Record
from connectors.mongo.salts import MemorySalts
from connectors.mongo.stores import MemoryStores
from connectors.mongo.turned_away import MemoryTurnedAway
from ingest.config import CollectorConfig
from ingest.dependencies import CollectorDependencies
from ingest.http.admin import admin_listener
from ingest.http.server import uvicorn_config
from ingest.metrics import CollectorMetrics
from marketplace.clicks.events import CollectedClick, decode_click
from marketplace.networks import parse_networks
from marketplace.stores import Store, hash_write_key
from marketplace.topics import CLICKS_COLLECTED, CLICKS_DEAD, IMPORTS_DEAD, Topic

WRITE_KEY = "key-of-the-shop"
START_SECONDS = 10.0

SHOP = Store(
    slug="shop",
    title="The shop",
    timezone="Europe/Berlin",
    domains=("shop.example",),
    write_key_hash=hash_write_key(WRITE_KEY),
    visitor_secret="5a" * 32,
)


class SteppingClock:
    """A wall clock and an interval clock that stand still until they are moved."""

    def __init__(self, epoch_ms: int) -> None:
        self.now_ms = epoch_ms

    def epoch_ms(self) -> int:
        return self.now_ms

    def monotonic(self) -> float:
        return self.now_ms / 1000

    def step(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)


@dataclass
class Collector:
    """A running collector on in-memory parts."""

    url: str
    http: httpx.Client
    producer: MemoryProducer
    stores: MemoryStores
    salts: MemorySalts
    clock: SteppingClock
    admin_url: str
    dependencies: CollectorDependencies
    turned_away: MemoryTurnedAway

    def admin(self, path: str) -> httpx.Response:
        """What the admin listener answers."""
        return self.http.get(f"{self.admin_url}{path}")

    def post(self, body: Any, **headers: str) -> httpx.Response:
        """Send JSON, or bytes as they are, with the shop's key."""
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return self.http.post("/v1/collect", content=content, headers={"x-write-key": WRITE_KEY, **headers})

    def clicks(self) -> list[CollectedClick]:
        """What is on the topic of clicks."""
        return [decode_click(record.value) for record in self.producer.records(CLICKS_COLLECTED.name)]

    def dead_letters(self) -> list[Record]:
        """What is on the topic of dead letters."""
        return self.producer.records(CLICKS_DEAD.name)

    def metric(self, name: str) -> float:
        """A line of ``/metrics`` by its name with labels; 0.0 when it is not there."""
        lines = self.admin("/metrics").text.splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)


def error_of(response: httpx.Response) -> dict[str, str]:
    """The ``error`` of an answer."""
    document = response.json()["error"]
    assert isinstance(document, dict)
    return document


def memory_producer(stuck_seconds: float = float("inf")) -> MemoryProducer:
    topics = (CLICKS_COLLECTED, CLICKS_DEAD, IMPORTS_DEAD)
    return MemoryProducer({topic.name: topic.partitions for topic in topics}, stuck_seconds=stuck_seconds)


@contextmanager
def running_collector(
    config: CollectorConfig | None = None, store: Store = SHOP, producer: MemoryProducer | None = None
) -> Iterator[Collector]:
    """A collector with in-memory parts behind a real port; loopback is a trusted proxy unless ``config`` is given."""
    clock = SteppingClock(1_750_000_000_000)
    producer, stores, salts = producer or memory_producer(), MemoryStores(), MemorySalts()
    stores.upsert_store(store)
    config = config or CollectorConfig(trusted_proxies=parse_networks("127.0.0.0/8"))
    turned_away = MemoryTurnedAway()
    dependencies = CollectorDependencies(
        producer, stores, salts, config, clock.epoch_ms, clock.monotonic, turned_away=turned_away
    )
    metrics = CollectorMetrics()
    with (
        listening(dependencies, metrics) as url,
        admin_listener("127.0.0.1", 0, dependencies, metrics) as admin_url,
        httpx.Client(base_url=url, timeout=20, headers={"user-agent": "Browser/1"}) as http,
    ):
        yield Collector(url, http, producer, stores, salts, clock, admin_url, dependencies, turned_away)


@contextmanager
def listening(dependencies: CollectorDependencies, metrics: CollectorMetrics) -> Iterator[str]:
    """A collector's server in a thread, on a free port; yields its base URL."""
    server = uvicorn.Server(uvicorn_config(dependencies, metrics, "127.0.0.1", 0))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        eventually(lambda: server.started, "the server starts")
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(START_SECONDS)
        assert not thread.is_alive()


def eventually(holds: Any, what: str, seconds: float = START_SECONDS) -> None:
    """Wait until something holds, up to a deadline."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)


def read_topic(bootstrap: str, topic: Topic, seconds: float = 60.0) -> list[confluent_kafka.Message]:
    """All that a topic holds now, partition by partition; waits out a broker that has just come back."""
    deadline = time.monotonic() + seconds
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "tests",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 10,
            "log_level": 0,
        }
    )
    try:
        places = [confluent_kafka.TopicPartition(topic.name, partition, 0) for partition in range(topic.partitions)]
        ends = {place.partition: _end_of(consumer, place, deadline) for place in places}
        consumer.assign([place for place in places if ends[place.partition]])
        unread = {partition for partition, end in ends.items() if end}
        messages: list[confluent_kafka.Message] = []
        while unread:
            assert time.monotonic() < deadline, f"{topic.name}: not read within {seconds} s"
            for message in consumer.consume(10_000, 0.05):
                if message.error() is None:
                    messages.append(message)
                    if (message.offset() or 0) + 1 >= ends[message.partition() or 0]:
                        unread.discard(message.partition() or 0)
        return sorted(messages, key=lambda message: (message.partition() or 0, message.offset() or 0))
    finally:
        consumer.close()


def _end_of(consumer: confluent_kafka.Consumer, place: confluent_kafka.TopicPartition, deadline: float) -> int:
    while True:
        try:
            end = consumer.get_watermark_offsets(place, timeout=5.0)[1]
            return int(end)
        except confluent_kafka.KafkaException:
            assert time.monotonic() < deadline, f"{place.topic}: the broker does not say where it ends"
            # A client that once saw a partition without a leader goes on saying so until it asks for metadata again.
            consumer.list_topics(place.topic, timeout=5.0)


def with_limits(**limits: Any) -> CollectorConfig:
    """The default bounds with some of them changed, loopback a trusted proxy."""
    return replace(CollectorConfig(trusted_proxies=parse_networks("127.0.0.0/8")), **limits)


def readable(messages: Iterable[confluent_kafka.Message]) -> list[CollectedClick]:
    """The clicks among records; other tests put broken ones on the topic that all share."""
    clicks = []
    for message in messages:
        try:
            clicks.append(decode_click(message.value() or b""))
        except msgspec.DecodeError:
            continue
    return clicks
