"""The demo's own processes (collector and flow) and stores on a demo stack."""

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
from connectors.mongo.client import connect
from connectors.mongo.stores import MongoStores
from flows.delivery.process_set import FlowOptions, FlowProcessSet
from marketplace.flows import CLICKS_FLOW
from marketplace.stores import hash_write_key, import_key
from marketplace.topics import CLICKS_COLLECTED
from ops.demo.services.background import retry_unavailable
from ops.demo.services.collector import Collector
from ops.demo.services.demo_stack import DemoStack
from ops.demo.services.served import ServedCollector, ServedFlow, is_served
from ops.demo.traffic.shops import SHOPS, DemoStore, Shop, store_of, write_key
from runtime.sections import Settings

_TICK_SECONDS: Final = 0.1
_FLOW_SECONDS: Final = 60.0
_GROUP: Final = "demo.reader"

_Result = TypeVar("_Result")


class DemoFailed(Exception):
    """The demo cannot continue; the message says why and where the logs are."""


def open_shops(
    settings: Settings, seed: int, run: str, *, fresh: bool, shops: tuple[Shop, ...] = SHOPS
) -> list[DemoStore]:
    """Create the stores.

    Args:
        settings: Mongo's URL and the database.
        seed: Keys and secrets are computed from it.
        run: The suffix of a slug that is taken.
        fresh: Use no store that exists already.
        shops: The shops to open.

    Raises:
        Unavailable: Mongo does not answer.
    """
    client = connect(settings.urls.mongo)
    try:
        stores = MongoStores(client, settings.database)
        taken = {store.slug: store for store in stores.list_stores()}
        opened = []
        for shop in shops:
            store = store_of(shop, shop.name, seed)
            if shop.name in taken and (fresh or taken[shop.name].write_key_hash != store.write_key_hash):
                store = store_of(shop, f"{shop.name}-{run}", seed)
            # The import key is a real secret, known to this run alone.
            secret = import_key(store.slug, secrets.token_hex(16))
            store = replace(store, import_key_hash=hash_write_key(secret))
            stores.upsert_store(store)
            opened.append(DemoStore(shop, store, write_key(store.slug, seed), secret))
        return opened
    finally:
        client.close()


def close_history(settings: Settings, opened: list[DemoStore]) -> None:
    """Revoke the stores' import keys.

    Raises:
        Unavailable: Mongo does not answer.
    """
    client = connect(settings.urls.mongo)
    try:
        stores = MongoStores(client, settings.database)
        for shop in opened:
            stores.edit(shop.store.slug, lambda _: {"import_key_hash": None})
    finally:
        client.close()


class FlowHandle(Protocol):
    """The click flow as the demo needs it."""

    @property
    def restarts(self) -> int:
        """The number of restarts."""

    def start(self) -> None:
        """Start its processes."""

    def watch(self) -> None:
        """Restart processes that have exited."""

    def stop(self) -> None:
        """Stop what this object started."""

    def all_started(self) -> bool:
        """Whether it consumes the topic."""

    @property
    def pids(self) -> list[int]:
        """Ids of its running processes."""


class CollectorHandle(Protocol):
    """The collector as the demo needs it."""

    host: str
    port: int
    restarts: int

    @property
    def url(self) -> str:
        """Its base URL."""

    @property
    def pid(self) -> int | None:
        """Its process id; None while it does not run."""

    def start(self) -> None:
        """Start it without waiting."""

    def wait_ready(self) -> None:
        """Wait until it answers; raises ``CollectorFailed`` if it does not."""

    def watch(self) -> None:
        """Restart it if it has exited."""

    def stop(self) -> None:
        """Stop what this object started."""


class DemoProcesses:
    """The collector and the flow, and queries of the topic and the tables.

    Args:
        demo_stack: The running parts.
        options: The flow's options.
        served: Use the stack's own collector; otherwise the demo starts one.
    """

    def __init__(self, demo_stack: DemoStack, options: FlowOptions, *, served: bool = False) -> None:
        self.demo_stack, self.settings = demo_stack, demo_stack.settings
        self.clickhouse = ClickHouse(self.settings.urls.clickhouse, self.settings.database)
        self.analytics = Analytics(self.clickhouse)
        self.collector: CollectorHandle = (
            ServedCollector(demo_stack.folder)
            if served
            else Collector(self.settings, demo_stack.logs / "demo-collector.log")
        )
        self.flow: FlowHandle = (
            ServedFlow(demo_stack.folder)
            if is_served(demo_stack.folder)
            else FlowProcessSet(CLICKS_FLOW, self.settings, options, demo_stack.logs / "flow.log")
        )
        self.trouble = ""
        self._started = False

    def start(self) -> None:
        """Start both; returns when the collector accepts events and the flow consumes the topic.

        Raises:
            CollectorFailed: The collector does not come up.
            Unavailable: A part was unavailable for too long.
        """
        self.retry(self.flow.start)
        self._started = True
        self.collector.start()
        self.collector.wait_ready()
        self.wait_until(self.flow.all_started, _FLOW_SECONDS, "the flow's first epoch")

    def watch(self) -> None:
        """Restart processes that have exited. Call from the main thread only.

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

    def wait_until(self, done: Callable[[], bool], seconds: float, aim: str) -> None:
        """Wait for a condition, and watch the processes meanwhile.

        Args:
            done: The condition.
            seconds: The timeout.
            aim: What is waited for, for the error's message.

        Raises:
            DemoFailed: The timeout has passed.
            FlowFailed: The flow cannot run.
        """
        deadline = time.monotonic() + seconds
        while not done():
            self.watch()
            if time.monotonic() > deadline:
                why = f": {self.trouble}" if self.trouble else ""
                raise DemoFailed(f"{aim} was not reached in {seconds:.0f} s{why}; logs are in {self.demo_stack.logs}")
            time.sleep(_TICK_SECONDS)

    def retry(self, call: Callable[[], _Result]) -> _Result:
        """Call a function until it does not raise ``Unavailable``, and watch the processes meanwhile.

        Raises:
            Unavailable: The part was unavailable for too long.
        """
        return retry_unavailable(call, self.watch)

    def stop(self) -> None:
        """Stop both; safe at any time."""
        self._started = False
        self.collector.stop()
        self.flow.stop()

    def log_ends(self) -> dict[int, int]:
        """The end offset of each partition of the topic.

        Raises:
            Unavailable: No broker answers.
        """
        reader = PartitionReader(self.settings.kafka, CLICKS_COLLECTED.name, _GROUP)
        try:
            return {partition: reader.range_of(partition)[1] for partition in reader.partitions()}
        finally:
            reader.close()

    def applied_ends(self) -> dict[int, int]:
        """For each partition the first offset that is not in all tables; partitions without rows are left out.

        Raises:
            Unavailable: ClickHouse does not answer.
        """
        return {partition: offset + 1 for partition, (offset, _) in self.analytics.applied().items()}

    def is_drained(self, ends: dict[int, int], starts: dict[int, int]) -> bool:
        """Whether all tables have everything before ``ends``; False while ClickHouse is unavailable."""
        try:
            applied = self.applied_ends()
        except Unavailable as error:
            self.trouble = str(error)
            return False
        return all(applied.get(p, starts.get(p, 0)) >= end for p, end in ends.items())
