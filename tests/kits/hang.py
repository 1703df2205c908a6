"""A collector's service on twins that can hang and crawl, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from connectors.mongo.salts import MemorySalts
from connectors.mongo.stores import MemoryStores
from ingest.collect.service import CollectService, Sender
from ingest.dependencies import CollectorDependencies
from ingest.faults import HttpFault
from ingest.metrics import CollectorMetrics
from marketplace.clicks.collect import read_body
from marketplace.clicks.record import Client
from marketplace.stores import Store, hash_write_key
from tests.kits.collector import SHOP, SteppingClock, memory_producer

NOON_MS = 1_750_068_000_000  # 2025-06-16T10:00Z, noon in Berlin
SENDER = Sender("192.0.2.1", "Browser", Client("192.0.2.0", "Browser", "web", False, False))
TWIN_SECONDS = 0.05


def key_of(number: int) -> str:
    return f"key of {number}"


def shop(number: int) -> Store:
    return replace(SHOP, slug=f"shop-{number}", write_key_hash=hash_write_key(key_of(number)))


@dataclass
class World:
    service: CollectService
    metrics: CollectorMetrics
    stores: MemoryStores
    salts: MemorySalts
    clock: SteppingClock

    async def send(self, key: str, *, own_id: bool = False) -> int:
        """The status of one event."""
        visitor = ',"visitor_id":"me"' if own_id else ""
        try:
            store = await self.service.authenticate(key, "192.0.2.1")
            batch = read_body(f'{{"event_id":"a"{visitor}}}'.encode())
            return (await self.service.collect(store, batch, SENDER)).status
        except HttpFault as fault:
            return fault.status

    async def send_all(self, shops: int) -> set[int]:
        return set(await asyncio.gather(*(self.send(key_of(number)) for number in range(shops))))

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"marketplace_collector_{name}", labels) or 0.0

    def hang(self) -> None:
        self.stores.hang()
        self.salts.hang()

    def release(self) -> None:
        self.stores.release()
        self.salts.release()


@contextmanager
def world(shops: int = 1, twin_seconds: float = TWIN_SECONDS) -> Iterator[World]:
    clock, metrics = SteppingClock(NOON_MS), CollectorMetrics()
    stores, salts = MemoryStores(twin_seconds), MemorySalts(twin_seconds)
    for number in range(shops):
        stores.create_store(shop(number))
    parts = CollectorDependencies(memory_producer(), stores, salts, epoch_ms=clock.epoch_ms, monotonic=clock.monotonic)
    service = CollectService(parts, metrics)
    made = World(service, metrics, stores, salts, clock)
    try:
        yield made
    finally:
        made.release()
        service.close()
