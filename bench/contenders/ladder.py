"""The rungs below the whole flow: the cost of its parts by themselves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

import numpy as np

from bench.contender import Task
from connectors.kafka.reader import PartitionReader
from connectors.lookups.bot_list import CrawlerList
from connectors.lookups.geoip import GeoIP
from connectors.lookups.user_agents import UserAgents
from connectors.mongo.client import connect
from connectors.mongo.stores import MongoStores
from flows.arrays.types import I64, U64
from flows.clicks.encoding.context import EncodingContext
from flows.clicks.encoding.dictionary import make_dictionaries
from flows.clicks.output.arrow_rows import rows_of
from flows.clicks.processed_batch import ProcessedBatch
from flows.clicks.processor import PartitionProcessor
from flows.clicks.state.click_page import Minutes
from flows.clicks.state.stored_rows import StoredFacts, StoredSessions
from flows.clicks.steps.decode import decode
from flows.clicks.store_catalog import StoreCatalog
from flows.delivery.batch import RawBatch
from flows.delivery.fenced_writer import MAX_BUFFERED_EVENTS
from flows.delivery.topic_consumer import BatchPolicy, TopicConsumer
from marketplace.enrichments.registry import Lookups
from marketplace.flows import CLICKS_FLOW
from marketplace.stores import Store
from marketplace.tables import CLICK_TABLES, ENTRY_COLUMNS
from runtime.breaker import CircuitBreaker

MAX_RECORDS: Final = 50_000
_IDLE_SECONDS: Final = 0.002


class EmptyPageStore:
    """A page store over empty tables."""

    def dedupe_keys(self, partition: int, hours: list[int], before: int, only: U64 | None = None) -> dict[int, U64]:
        """None."""
        return {hour: np.zeros(0, np.uint64) for hour in hours}

    def clicks(self, partition: int, hours: list[int], before: int, only: U64 | None = None) -> tuple[U64, I64]:
        """None."""
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)

    def minutes(self, partition: int, hours: list[int], before: int, only: U64 | None = None) -> Minutes:
        """None."""
        none = np.zeros(0, np.int64)
        return Minutes(none.astype(np.uint64), none.astype(np.uint8), none, np.zeros((0, 3), np.int32))

    def sessions(self, partition: int, hours: list[int], only: U64 | None = None) -> StoredSessions:
        """None."""
        none = np.zeros(0, np.int64)
        texts: dict[str, list[str]] = {name: [] for name in ENTRY_COLUMNS}
        return StoredSessions(none.astype(np.uint64), none.astype(np.uint8), [], none, none, none, none, texts, [])

    def verdicts(self, partition: int, first: int, last: int) -> StoredFacts:
        """Never called: nothing was decided before."""
        raise AssertionError("there is nothing below a fence")

    def applied(self, partition: int) -> int:
        """Nothing."""
        return -1


class FixedStores:
    """A directory of stores that does not change."""

    def __init__(self, stores: dict[str, Store]) -> None:
        self._stores = stores

    def known(self) -> dict[str, Store]:
        """All stores."""
        return self._stores

    def look_up(self, slugs: object) -> dict[str, Store]:
        """All stores, whatever is asked for."""
        return self._stores


def batches(task: Task) -> Iterator[RawBatch]:
    """All records in the batches of the flow's source, from all partitions in turn."""
    reader = PartitionReader(task.settings.urls.kafka, task.topic, "bench.ladder")
    consumer = TopicConsumer(CLICKS_FLOW, reader, {}, BatchPolicy(MAX_RECORDS, 0.0))
    for partition in task.ends:
        consumer.open(partition)
    left = dict(task.ends)
    while left:
        idle = True
        for partition in list(left):
            batch = consumer.take(partition)
            if batch is not None:
                idle = False
                yield batch
                if batch.last_offset + 1 >= left[partition]:
                    del left[partition]
        if idle:
            # Polling without a pause would count waiting for the broker as CPU time.
            time.sleep(_IDLE_SECONDS)
    reader.close()


def consume(task: Task) -> None:
    """Consume records as bytes, in batches."""
    task.meter.start()
    for batch in batches(task):
        assert batch.values
    task.meter.stop()


def decode_all(task: Task) -> None:
    """Decode typed events and their columns."""
    repository = MongoStores(connect(task.settings.urls.mongo), task.settings.database)
    known, words = {store.slug for store in repository.list_stores()}, make_dictionaries()
    task.meter.start()
    for batch in batches(task):
        decode(batch, known.__contains__, words)
    task.meter.stop()


def decide(task: Task) -> None:
    """Run the whole click path up to the rows of all tables; nothing is read back, nothing is written."""
    settings = task.settings
    stores = StoreCatalog(MongoStores(connect(settings.urls.mongo), settings.database), CircuitBreaker())
    lookups = Lookups(GeoIP().snapshot(), UserAgents())
    encoding = EncodingContext(lambda: lookups, CrawlerList())
    processors = {part: PartitionProcessor(part, EmptyPageStore(), stores, encoding, {}) for part in task.ends}
    waiting: list[ProcessedBatch] = []
    task.meter.start()
    for batch in batches(task):
        waiting.append(processors[batch.partition].process(batch))
        if sum(result.events for result in waiting) >= MAX_BUFFERED_EVENTS:
            make_rows(waiting)
            waiting.clear()
    make_rows(waiting)
    task.meter.stop()


def make_rows(results: list[ProcessedBatch]) -> None:
    """Build what the sink would send, for all results together."""
    for table in CLICK_TABLES:
        found = [result for result in results if result.fence(table.name) is not None]
        if found:
            rows_of(table.name, found)
