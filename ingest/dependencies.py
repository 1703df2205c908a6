"""The dependencies of a collector; tests pass in-memory implementations."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from connectors.kafka.records import RecordProducer
from connectors.mongo.salts import SaltRepository
from connectors.mongo.stores import StoreRepository
from connectors.mongo.turned_away import MemoryTurnedAway, TurnedAwayRepository
from ingest.config import CollectorConfig
from runtime.heartbeat import Heartbeat


def _epoch_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class CollectorDependencies:
    """Clients, settings and clocks of a collector.

    Attributes:
        producer: Where events go.
        stores: The stores that may send.
        salts: The salts of cookieless visitors.
        config: Limits and timeouts.
        epoch_ms: The wall clock.
        monotonic: A monotonic clock, in seconds.
        heartbeat: Beats while the event loop runs.
        turned_away: Where counts of refused requests are saved.
    """

    producer: RecordProducer
    stores: StoreRepository
    salts: SaltRepository
    config: CollectorConfig = field(default_factory=CollectorConfig)
    epoch_ms: Callable[[], int] = _epoch_ms
    monotonic: Callable[[], float] = time.monotonic
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    turned_away: TurnedAwayRepository = field(default_factory=MemoryTurnedAway)
