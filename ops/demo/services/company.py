"""The demo's own processes and stores on a stage: opened together, watched together, closed together."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol, TypeVar

from connectors.clickhouse.client import ClickHouse
from connectors.errors import Unavailable
from connectors.insights.report import Analytics
from connectors.kafka.reader import PartitionReader
from connectors.mongo.stores import MongoStores, connect
from flows.delivery.process_set import FlowOptions, FlowProcessSet
from marketplace.flows import CLICKS_FLOW
from marketplace.stores import hash_write_key, import_key
from marketplace.topics import CLICKS_COLLECTED
from ops.demo.services.collector import Collector
from ops.demo.services.served import ServedCollector, ServedFlow, is_served
from ops.demo.services.stage import Stage
from ops.demo.traffic.shops import SHOPS, DemoStore, Shop, store_of, write_key
from runtime.sections import Settings

_TICK_SECONDS: Final = 0.1
_FLOW_SECONDS: Final = 60.0
_PATIENCE_SECONDS: Final = 60.0
_GROUP: Final = "demo.reader"

_Answer = TypeVar("_Answer")


class DemoFailed(Exception):
    """The demo cannot go on; the message says why and where to look."""


def open_shops(
    settings: Settings, seed: int, run: str, *, fresh: bool, shops: tuple[Shop, ...] = SHOPS
) -> list[DemoStore]:
    """Make the stores.

    Args:
        settings: Where Mongo is.
        seed: Keys and secrets are computed from it.
        run: Put behind a slug that must be another than before.
        fresh: Use no store that is there already.
        shops: Which.

    Raises:
        Unavailable: Mongo does not answer.
    """
    client = connect(settings.urls.mongo)
    try:
        book = MongoStores(client, settings.database)
        taken = {store.slug: store for store in book.list_stores()}
        opened = []
        for shop in shops:
            store = store_of(shop, shop.name, seed)
            if shop.name in taken and (fresh or taken[shop.name].write_key_hash != store.write_key_hash):
                store = store_of(shop, f"{shop.name}-{run}", seed)
            # The key for history is a real secret, known to this run alone.
            secret = import_key(store.slug, secrets.token_hex(16))
            store = replace(store, import_key_hash=hash_write_key(secret))
            book.upsert_store(store)
            opened.append(DemoStore(shop, store, write_key(store.slug, seed), secret))
        return opened
    finally:
        client.close()


def close_history(settings: Settings, opened: list[DemoStore]) -> None:
    """Take the keys for history back.

    Raises:
        Unavailable: Mongo does not answer.
    """
    client = connect(settings.urls.mongo)
    try:
        book = MongoStores(client, settings.database)
        for shop in opened:
            book.edit(shop.store.slug, lambda _: {"import_key_hash": None})
    finally:
        client.close()


class Flow(Protocol):
    """The click flow as the demo needs it."""

    @property
    def restarts(self) -> int:
        """How often it was started again."""

    def start(self) -> None:
        """Start its processes."""

    def watch(self) -> None:
        """Start again what has ended."""

    def stop(self) -> None:
        """Stop what was started here."""

    def reads(self) -> bool:
        """Whether it reads the topic."""

    @property
    def pids(self) -> list[int]:
        """Its running processes."""


class Door(Protocol):
    """The collector as the demo needs it."""

    host: str
    port: int
    restarts: int

    @property
    def url(self) -> str:
        """Where it answers."""

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""

    def start(self) -> None:
        """Start it."""

    def wait_ready(self) -> None:
        """Wait until it answers."""

    def watch(self) -> None:
        """Start it again if it ended."""

    def stop(self) -> None:
        """Stop what was started here."""


class Company:
    """The collector and the flow, and what can be asked of the topic and the tables.

    Args:
        stage: Where the parts are.
        options: How the flow runs.
        served: The stack's own collector is the one; a collector of the demo's otherwise.
    """

    def __init__(self, stage: Stage, options: FlowOptions, *, served: bool = False) -> None:
        self.stage, self.settings = stage, stage.settings
        self.clickhouse = ClickHouse(self.settings.urls.clickhouse, self.settings.database)
        self.analytics = Analytics(self.clickhouse)
        self.collector: Door = (
            ServedCollector(stage.folder) if served else Collector(self.settings, stage.logs / "demo-collector.log")
        )
        self.flow: Flow = (
            ServedFlow(stage.folder)
            if is_served(stage.folder)
            else FlowProcessSet(CLICKS_FLOW, self.settings, options, stage.logs / "flow.log")
        )
        self.trouble = ""
        self._started = False

    def start(self) -> None:
        """Start both; return when the collector takes events and the flow reads the topic.

        Raises:
            CollectorFailed: It does not.
            Unavailable: A part is away.
        """
        self.patiently(self.flow.start)
        self._started = True
        self.collector.start()
        self.collector.wait_ready()
        self.tend(self.flow.reads, _FLOW_SECONDS, "the flow's first epoch")

    def watch(self) -> None:
        """Start again what has ended. Call from the main thread only.

        Raises:
            FlowFailed: The flow cannot run.
        """
        if not self._started:
            return
        self.collector.watch()
        try:
            self.flow.watch()
            self.trouble = ""
        except Unavailable as error:
            self.trouble = str(error)

    def tend(self, done: Callable[[], bool], seconds: float, aim: str) -> None:
        """Watch until something is done.

        Raises:
            DemoFailed: It is not in time.
            FlowFailed: The flow cannot run.
        """
        deadline = time.monotonic() + seconds
        while not done():
            self.watch()
            if time.monotonic() > deadline:
                why = f": {self.trouble}" if self.trouble else ""
                raise DemoFailed(f"{aim} was not reached in {seconds:.0f} s{why}; logs are in {self.stage.logs}")
            time.sleep(_TICK_SECONDS)

    def patiently(self, ask: Callable[[], _Answer]) -> _Answer:
        """Ask again while a part is being started, or started again.

        Raises:
            Unavailable: It stays away.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return ask()
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                self.watch()
                time.sleep(_TICK_SECONDS)

    def stop(self) -> None:
        """Stop both; safe at any time."""
        self._started = False
        self.collector.stop()
        self.flow.stop()

    def log_ends(self) -> dict[int, int]:
        """The offset after the last record of each partition of the topic.

        Raises:
            Unavailable: No broker answers.
        """
        reader = PartitionReader(self.settings.kafka, CLICKS_COLLECTED.name, _GROUP)
        try:
            return {partition: reader.range_of(partition)[1] for partition in reader.partitions()}
        finally:
            reader.close()

    def applied_ends(self) -> dict[int, int]:
        """The first offset of each partition that the tables do not hold; partitions without rows are left out.

        Raises:
            Unavailable: ClickHouse does not answer.
        """
        return {partition: offset + 1 for partition, (offset, _) in self.analytics.applied().items()}

    def is_drained(self, ends: dict[int, int], starts: dict[int, int]) -> bool:
        """Whether the tables hold everything up to ``ends``; False while ClickHouse is away."""
        try:
            applied = self.applied_ends()
        except Unavailable as error:
            self.trouble = str(error)
            return False
        return all(applied.get(p, starts.get(p, 0)) >= end for p, end in ends.items())
