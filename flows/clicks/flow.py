"""The dataflow: source -> click path -> sink, by partition and without any exchange between workers."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from connectors.bot_list import CrawlerList
from connectors.clickhouse import ClickHouse
from connectors.errors import Unavailable
from connectors.geoip import GeoIP
from connectors.kafka.producer import Producer
from connectors.kafka.reader import PartitionReader
from connectors.live_tile import LiveTile
from connectors.mongo_stores import MongoStores, connect
from connectors.store_stats import StoreStats
from connectors.user_agents import UserAgents
from flows.clicks.encoding.context import EncodingContext
from flows.clicks.model.batch import RawBatch
from flows.clicks.processed_batch import ProcessedBatch
from flows.clicks.processor import PartitionProcessor
from flows.clicks.read_models.projector import Projector
from flows.clicks.sink import FencedSink, Writer
from flows.clicks.state.clickhouse_pages import ClickHousePages
from flows.clicks.state.memory_limits import MemoryLimits, default_bytes, divide, tell
from flows.clicks.store_catalog import KnownStores
from flows.delivery.batch_limit import BatchLimit
from flows.delivery.exit_codes import noted
from flows.delivery.fencing import read_fences
from flows.delivery.kafka_source import BatchPolicy, KafkaSource, PartitionConsumer
from flows.delivery.resume import verify_log_identity
from marketplace.enrichments.registry import Lookups
from marketplace.topics import CLICKS_COLLECTED, CLICKS_DEAD
from runtime.breaker import CircuitBreaker
from runtime.periodic import PeriodicThread
from runtime.progress import ProgressReport
from runtime.sections import Settings
from runtime.signals import StopRequest

log = logging.getLogger(__name__)

GROUP: Final = "flows.clicks"
_PAUSE_SECONDS: Final = 0.5
_STORES_EVERY_SECONDS: Final = 0.5
_MERGE_SECONDS: Final = 45.0
"""What merging a day's visitors may take: no click waits for it but at a start, which asks for a lease as long."""
REQUEST_SECONDS: Final = 25.0
"""What a request of the flow to ClickHouse may take: with the work around it less than a lease of its progress. An
insert that takes longer is not lost: the flow waits for its end and reads the fences again."""


@dataclass(frozen=True)
class ProcessShares:
    """What the flow's processes divide among them.

    Attributes:
        processes: How many there are.
        memory_bytes: What each may remember in; 0 for its part of a third of what there is.
    """

    processes: int = 1
    memory_bytes: int = 0

    def memory(self, partitions: int) -> MemoryLimits:
        """How one of them divides its memory, when the topic has so many partitions."""
        mine = -(-partitions // self.processes)
        memory = divide(self.memory_bytes or default_bytes(self.processes), mine)
        tell(memory, mine)
        return memory


class Worker:
    """What one worker thread of the flow owns."""

    def __init__(
        self,
        settings: Settings,
        generation: int,
        stop: StopRequest,
        report: ProgressReport,
        memory: MemoryLimits,
        limit: BatchLimit,
    ) -> None:
        self._stop, self._report, self._page_bytes, self.limit = stop, report, memory.page_bytes, limit
        mongo = connect(settings.urls.mongo)
        # A batch that meets many hours asks hundreds of questions: each answer is progress.
        clickhouse = ClickHouse(
            settings.urls.clickhouse, settings.database, timeout_seconds=REQUEST_SECONDS, on_answer=report.beat
        )
        tile = LiveTile(settings.urls.redis)
        breaker = CircuitBreaker()
        stats = StoreStats(mongo, settings.database)
        # Its thread has a client of its own: its answers must not pass for progress of the flow.
        rollups = ClickHouse(settings.urls.clickhouse, settings.database, timeout_seconds=_MERGE_SECONDS)
        projector = Projector(rollups, stats, tile, lambda: datetime.now(UTC), breaker)
        producer = Producer(settings.kafka, client_id=GROUP, max_record_bytes=CLICKS_DEAD.max_record_bytes)
        # Read once: where batches are cut and what is skipped must agree.
        self.fences = read_fences(clickhouse)
        self.writer = Writer(clickhouse, producer, projector, generation, self.fences, report, stop.asked)
        self.writer.catch_up()
        self._pages = ClickHousePages(clickhouse)
        self._stores = KnownStores(MongoStores(mongo, settings.database), breaker)
        self._stores_keeper = PeriodicThread(self._stores.refresh, _STORES_EVERY_SECONDS)
        self._stores_keeper.start()
        self._places = GeoIP(Path(settings.geoip_file)) if settings.geoip_file else GeoIP()
        agents = UserAgents()
        self._vocabulary = EncodingContext(
            lambda: Lookups(self._places.snapshot(), agents), CrawlerList(), memory.vocabulary_bytes
        )
        self._machines: dict[int, PartitionProcessor] = {}

    def process(self, batch: RawBatch) -> ProcessedBatch:
        """Decide a batch; while a part is away, wait for it.

        Raises:
            Unavailable: A part is away and the process is asked to leave.
        """
        self._stores_keeper.check()
        attempt = 0
        while True:
            began = time.monotonic()
            try:
                machine = self._machines.get(batch.partition) or self._machine(batch.partition)
                result = machine.process(batch)
            except Unavailable as error:
                if self._stop.asked():
                    raise
                if attempt in (1, 10) or attempt % 120 == 119:
                    log.warning("partition %d is waiting, nothing is lost: %s", batch.partition, error)
                attempt += 1
                self._report.beat(waiting=str(error))
                time.sleep(_PAUSE_SECONDS)
            else:
                self.limit.observe(len(batch.values), time.monotonic() - began)
                self._report.decided(len(batch.values))
                return result

    def tend(self, *, leaving: bool) -> None:
        """Between epochs: see after what threads do, and whether the places are those of the file that is there."""
        self.writer.tend(leaving=leaving)
        self._places.snapshot()
        if leaving:
            self._stores_keeper.end()
        problem = self._places.problem
        if problem != self._report.latest.notes.get("geography", ""):
            self._report.note("geography", problem)

    def _machine(self, partition: int) -> PartitionProcessor:
        self._machines[partition] = PartitionProcessor(
            partition,
            self._pages,
            self._stores,
            self._vocabulary,
            self.fences.get(partition, {}),
            self._page_bytes,
        )
        return self._machines[partition]


def build(
    settings: Settings,
    generation: int,
    pace: BatchPolicy,
    stop: StopRequest,
    report: ProgressReport | None = None,
    shares: ProcessShares | None = None,
) -> Dataflow:
    """The dataflow.

    Args:
        settings: Where everything is.
        generation: The number of this start.
        pace: How batches are cut.
        stop: Asked before each batch.
        report: Where it says how far it is.
        shares: What this process has a share of; by default it is alone.

    Raises:
        Unavailable: Kafka or ClickHouse does not answer.
        Refused: The topic does not exist, or is another one than the tables were made from.
    """
    workers: dict[int, Worker] = {}
    progress = report or ProgressReport()

    def worker() -> Worker:
        # The engine's threads are not Python's own: they lose what is thread-local when they let go of the interpreter.
        thread = threading.get_native_id()
        if thread not in workers:
            workers[thread] = Worker(settings, generation, stop, progress, memory, BatchLimit(pace.max_records))
        return workers[thread]

    def hub() -> PartitionConsumer:
        reader = PartitionReader(settings.kafka, CLICKS_COLLECTED.name, GROUP)
        return PartitionConsumer(reader, worker().fences, pace, worker().writer.begin, worker().limit)

    def epoch_ends(leaving: bool) -> None:
        progress.epoch()
        # The sink is not called in an epoch without records.
        worker().tend(leaving=leaving)

    def decide(batch: RawBatch) -> ProcessedBatch:
        with noted(progress):
            return worker().process(batch)

    partitions = _partitions(settings, progress)
    memory = (shares or ProcessShares()).memory(len(partitions))

    flow = Dataflow("clicks")
    batches = op.input("read_collected", flow, KafkaSource(partitions, hub, stop, epoch_ends, progress))
    decided = op.map_value("walk_click_path", batches, decide)
    op.output("write_tables", decided, FencedSink(partitions, lambda: worker().writer, progress))
    return flow


def _partitions(settings: Settings, report: ProgressReport) -> list[int]:
    """The topic's partitions, once it is known to be the topic that the tables were made from."""
    clickhouse = ClickHouse(
        settings.urls.clickhouse, settings.database, timeout_seconds=REQUEST_SECONDS, on_answer=report.beat
    )
    asking = PartitionReader(settings.kafka, CLICKS_COLLECTED.name, GROUP, max_fetch_bytes=64 << 10)
    try:
        partitions = asking.partitions()
        report.beat()
        verify_log_identity(asking, clickhouse, read_fences(clickhouse), partitions)
        return partitions
    finally:
        asking.close()
        clickhouse.close()
