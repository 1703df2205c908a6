"""The click flow: what the delivery runtime needs to know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa
from prometheus_client.registry import Collector

from connectors.clickhouse.client import ClickHouse
from connectors.lookups.bot_list import CrawlerList
from connectors.lookups.geoip import GeoIP
from connectors.lookups.user_agents import UserAgents
from connectors.mongo.client import connect
from connectors.mongo.store_stats import StoreStats
from connectors.mongo.stores import MongoStores
from connectors.redis.live_tile import LiveTile
from flows.clicks.encoding.context import EncodingContext
from flows.clicks.metrics import ClickMetrics
from flows.clicks.output.arrow_rows import rows_of
from flows.clicks.processed_batch import ProcessedBatch
from flows.clicks.processor import PartitionProcessor
from flows.clicks.read_models.projector import Projector
from flows.clicks.read_models.refresher import ReadModels
from flows.clicks.state.clickhouse_pages import ClickHousePages
from flows.clicks.state.memory_limits import MemoryLimits, default_bytes, divide, log_limits
from flows.clicks.store_catalog import StoreCatalog
from flows.delivery.batch import RawBatch
from flows.delivery.flow import Flow, ProcessShares, WorkerContext
from flows.delivery.process_set import FlowProcessSet
from marketplace.clicks.events import decode_click
from marketplace.enrichments.registry import Lookups
from marketplace.flows import CLICKS_FLOW, EXPIRED
from marketplace.tables import CLICKS
from marketplace.topics import CLICKS_COLLECTED
from runtime.breaker import CircuitBreaker
from runtime.periodic import PeriodicThread
from runtime.sections import Settings

_STORES_EVERY_SECONDS: Final = 0.5
_MERGE_SECONDS: Final = 45.0
"""What merging a day's visitors may take: no click waits for it but at a start, which asks for a lease as long."""


class ClickWorker:
    """What one worker thread of the click flow owns.

    Args:
        context: What the delivery runtime gives it.
    """

    def __init__(self, context: WorkerContext) -> None:
        settings, clickhouse = context.settings, context.clickhouse
        self._context, self._memory = (
            context,
            share_memory(context.shares, len(context.partitions[CLICKS_COLLECTED.name])),
        )
        mongo, breaker = connect(settings.urls.mongo), CircuitBreaker()
        # Its thread has a client of its own: its answers must not pass for progress of the flow.
        merging = ClickHouse(settings.urls.clickhouse, settings.database, timeout_seconds=_MERGE_SECONDS)
        stats, tile = StoreStats(mongo, settings.database), LiveTile(settings.urls.redis)
        projector = Projector(merging, stats, tile, lambda: datetime.now(UTC), breaker)
        self.follower = ReadModels(projector, context.retry, context.report)
        self.follower.catch_up(context.fences[CLICKS_COLLECTED.name])
        self._pages = ClickHousePages(clickhouse)
        self._stores = StoreCatalog(MongoStores(mongo, settings.database), breaker)
        self._stores_thread = PeriodicThread(self._stores.refresh, _STORES_EVERY_SECONDS)
        self._stores_thread.start()
        self._places = GeoIP(Path(settings.geoip_file)) if settings.geoip_file else GeoIP()
        agents = UserAgents()
        self._encoding = EncodingContext(
            lambda: Lookups(self._places.snapshot(), agents), CrawlerList(), self._memory.dictionary_bytes
        )
        self._processors: dict[int, PartitionProcessor] = {}

    def process(self, batch: RawBatch) -> ProcessedBatch:
        """Decide a batch.

        Raises:
            Unavailable: A part does not answer; the same batch comes again.
        """
        self._stores_thread.check()
        return (self._processors.get(batch.partition) or self._processor(batch.partition)).process(batch)

    def rows_of(self, table: str, batches: Sequence[ProcessedBatch]) -> pa.Table:
        """The rows of a table, of all partitions together."""
        return rows_of(table, batches)

    def end_epoch(self, *, leaving: bool) -> None:
        """See after what threads do, and whether the places are those of the file that is there."""
        self.follower.end_epoch(leaving=leaving)
        self._places.snapshot()
        if leaving:
            self._stores_thread.end()
        report, problem = self._context.report, self._places.problem
        if problem != report.latest.notes.get("geography", ""):
            report.note("geography", problem)

    def _processor(self, partition: int) -> PartitionProcessor:
        fences = self._context.fences[CLICKS_COLLECTED.name].get(partition, {})
        made = PartitionProcessor(partition, self._pages, self._stores, self._encoding, fences, self._memory.page_bytes)
        self._processors[partition] = made
        return made


class ClickFlow(Flow[ProcessedBatch]):
    """Collected clicks to facts, rollups, sessions, ledger and read models."""

    spec = CLICKS_FLOW
    identity_table = CLICKS

    def metrics(self, settings: Settings, processes: FlowProcessSet) -> list[Collector]:
        """Outcomes, geography and stores."""
        return [ClickMetrics(settings, processes)]

    def open_worker(self, context: WorkerContext) -> ClickWorker:
        """A worker with memories of its own."""
        return ClickWorker(context)

    def expired_row(self, topic: str, partition: int, first: int, low: int, now: datetime) -> pa.Table:
        """A note in the ledger, under the present hour."""
        return pa.table(
            {
                "store": [""],
                "hour": pa.array([int(now.timestamp()) // 3_600 * 3_600], pa.timestamp("s", tz="UTC")),
                "kind": ["note"],
                "name": [EXPIRED],
                "events": pa.array([low - first], pa.uint64()),
                "source_partition": pa.array([partition], pa.uint16()),
                "source_offset": pa.array([low - 1], pa.uint64()),
            }
        )

    def mismatched_partitions(
        self, clickhouse: ClickHouse, topic: str, records: Mapping[int, tuple[int, bytes]]
    ) -> list[int]:
        """Compares dedupe keys."""
        places = ", ".join(f"({partition}, {offset})" for partition, (offset, _) in records.items())
        keys = clickhouse.rows(
            f"SELECT source_partition, dedupe_key FROM {clickhouse.database}.{CLICKS.name} "
            f"WHERE (source_partition, source_offset) IN ({places})"
        )
        return [int(partition) for partition, key in keys if _key_of(records[int(partition)][1]) != int(key)]


def _key_of(value: bytes) -> int | None:
    try:
        return int(decode_click(value).key, 16)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        return None


def share_memory(shares: ProcessShares, partitions: int) -> MemoryLimits:
    """How a process divides its memory among its part of the partitions."""
    mine = -(-partitions // shares.processes)
    memory = divide(shares.memory_bytes or default_bytes(shares.processes), mine)
    log_limits(memory, mine)
    return memory


FLOW: Final = ClickFlow()
