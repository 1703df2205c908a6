"""The parts a collector is built from; tests put the in-memory twins in their place."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from connectors.kafka.records import RecordProducer
from connectors.mongo.salts import SaltBook
from connectors.mongo.stores import StoreBook
from connectors.mongo.turned_away import MemoryTurnedAway, TurnedAwayBook
from ingest.config import CollectorConfig
from runtime.heartbeat import Heartbeat


def _epoch_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Parts:
    """What a collector needs from outside.

    Attributes:
        producer: Where events go.
        stores: Who may send.
        salts: What cookieless visitors are hashed under.
        config: Its bounds.
        epoch_ms: The wall clock.
        monotonic: The clock of intervals, in seconds.
        heartbeat: Beats while the event loop runs.
        turned_away: Where it is kept what stores were turned away with.
    """

    producer: RecordProducer
    stores: StoreBook
    salts: SaltBook
    config: CollectorConfig = field(default_factory=CollectorConfig)
    epoch_ms: Callable[[], int] = _epoch_ms
    monotonic: Callable[[], float] = time.monotonic
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    turned_away: TurnedAwayBook = field(default_factory=MemoryTurnedAway)
