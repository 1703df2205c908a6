"""A flow as the delivery runtime sees it, and its dataflow: source -> processing -> sink, without any exchange."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Generic, Protocol

import bytewax.operators as op
import pyarrow as pa
from bytewax.dataflow import Dataflow
from prometheus_client.registry import Collector

from connectors.clickhouse.client import ClickHouse
from connectors.kafka.producer import Producer
from connectors.kafka.reader import PartitionReader
from connectors.kafka.records import RecordProducer
from flows.delivery.batch import RawBatch
from flows.delivery.batch_limit import BatchLimit
from flows.delivery.exit_codes import noted
from flows.delivery.expiry import record_expired
from flows.delivery.fenced_writer import Batch, FencedSink, FencedWriter, WriteFollower
from flows.delivery.fencing import REQUEST_SECONDS, Fences, read_fences
from flows.delivery.kafka_source import BatchPolicy, KafkaSource, PartitionConsumer, partition_keys
from flows.delivery.process_set import FlowProcessSet
from flows.delivery.resume import verify_log_identity
from flows.delivery.retry import UnavailableRetry
from marketplace.flows import FlowSpec
from marketplace.tables import Table
from runtime.progress import ProgressReport
from runtime.sections import Settings
from runtime.signals import StopRequest


@dataclass(frozen=True)
class ProcessShares:
    """What a flow's processes divide among them.

    Attributes:
        processes: How many there are.
        memory_bytes: What each may remember in; 0 for its part of a third of what there is.
    """

    processes: int = 1
    memory_bytes: int = 0


@dataclass(frozen=True)
class WorkerContext:
    """What a worker of a flow gets.

    Attributes:
        settings: Where everything is.
        generation: The number of this start.
        partitions: The numbers of each topic's partitions.
        shares: What this process has a share of.
        clickhouse: The worker's own client; each of its answers counts as progress.
        fences: What the tables held when this start took over, by topic. Read once: where batches are cut and what is
            skipped must agree.
        stop: Whether the process is asked to leave.
        report: Where it says how far it is.
        retry: Calls again while a part is unavailable.
    """

    settings: Settings
    generation: int
    partitions: Mapping[str, Sequence[int]]
    shares: ProcessShares
    clickhouse: ClickHouse
    fences: dict[str, Fences]
    stop: StopRequest
    report: ProgressReport
    retry: UnavailableRetry


class FlowWorker(Protocol[Batch]):
    """What one worker thread of a flow does; the runtime reads, retries, writes and fences around it."""

    @property
    def follower(self) -> WriteFollower[Batch] | None:
        """What follows from the tables, such as read models; None where nothing does."""

    def process(self, batch: RawBatch) -> Batch:
        """What follows from a batch.

        Raises:
            Unavailable: A part does not answer; the same batch comes again.
        """

    def rows_of(self, table: str, batches: Sequence[Batch]) -> pa.Table:
        """The rows of one of the flow's tables, by its name, of batches that have a fence there; at least one batch."""

    def end_epoch(self, *, leaving: bool) -> None:
        """Called once between two epochs; with ``leaving``, the last time, everything is written."""


class Flow(ABC, Generic[Batch]):
    """What a package below ``flows`` has to say; the delivery runtime does the rest.

    Attributes:
        spec: Its declaration.
        identity_table: A table that knows each record of the newest offset it holds; see :meth:`differing`.
    """

    spec: FlowSpec
    identity_table: Table

    def metrics(self, settings: Settings, processes: FlowProcessSet) -> Sequence[Collector]:
        """What its service reports to Prometheus beside what all flows do."""
        return ()

    @abstractmethod
    def open_worker(self, context: WorkerContext) -> FlowWorker[Batch]:
        """A worker, once for each worker thread.

        Raises:
            Refused: It cannot work with what is there.
            Unavailable: A part does not answer and the process is asked to leave.
        """

    @abstractmethod
    def expired_row(self, topic: str, partition: int, first: int, low: int, now: datetime) -> pa.Table:
        """A row of the checkpoint table: records from ``first`` to before ``low`` expired before they were read."""

    @abstractmethod
    def differing(self, clickhouse: ClickHouse, topic: str, records: Mapping[int, tuple[int, bytes]]) -> list[int]:
        """Partitions whose record is another one than the identity table knows at its offset.

        Args:
            clickhouse: Where the table is.
            topic: The topic.
            records: By partition, an offset and the payload that the log has there now.

        Raises:
            Unavailable: ClickHouse does not answer.
        """


class DeliveryWorker(Generic[Batch]):
    """A flow's worker with what all flows have: retries, adaptive batch size, and the writer that keeps the promise.

    Args:
        flow: The flow.
        context: What the flow's own worker gets.
        producer: Where dead letters go; see :func:`producer_of`.
        limit: How many records a batch may hold; follows what batches take.
    """

    def __init__(
        self, flow: Flow[Batch], context: WorkerContext, producer: RecordProducer | None, limit: BatchLimit
    ) -> None:
        self.context, self.limit = context, limit
        self._flow, self._own = flow, flow.open_worker(context)
        self.writer = FencedWriter[Batch](
            flow.spec,
            context.clickhouse,
            producer,
            self._own.rows_of,
            context.generation,
            context.fences,
            context.retry,
            self._own.follower,
        )

    def process(self, batch: RawBatch) -> Batch:
        """What follows from a batch; while a part is unavailable, wait for it."""

        def attempt() -> Batch:
            began = time.monotonic()
            processed = self._own.process(batch)
            self.limit.observe(len(batch.values), time.monotonic() - began)
            return processed

        processed = self.context.retry(attempt)
        self.context.report.decided(len(batch.values))
        return processed

    def end_epoch(self, *, leaving: bool) -> None:
        """See :meth:`FlowWorker.end_epoch`."""
        self._own.end_epoch(leaving=leaving)

    def record_missing_head(self, topic: str, partition: int, low: int) -> None:
        """Note that counting of a partition begins at an offset: what was before is gone from the log."""
        clickhouse, condition = self.context.clickhouse, self.writer.condition
        row = self._flow.expired_row(topic, partition, 0, low, datetime.now(UTC))
        self.context.retry(lambda: record_expired(clickhouse, self._flow.spec, row, 0, condition))
        checkpoint = self._flow.spec.checkpoint.name
        self.context.fences.setdefault(topic, {}).setdefault(partition, {})[checkpoint] = low - 1


def producer_of(flow: FlowSpec, settings: Settings) -> Producer | None:
    """A producer for the flow's dead letters; None where it declares no topic for them."""
    if flow.dead_topic is None:
        return None
    return Producer(settings.kafka, client_id=flow.group, max_record_bytes=flow.dead_topic.max_record_bytes)


def build(
    flow: Flow[Batch],
    settings: Settings,
    generation: int,
    policy: BatchPolicy,
    stop: StopRequest,
    report: ProgressReport | None = None,
    shares: ProcessShares | None = None,
) -> Dataflow:
    """The dataflow of a flow.

    Args:
        flow: The flow.
        settings: Where everything is.
        generation: The number of this start.
        policy: How batches are cut.
        stop: Asked before each batch.
        report: Where it says how far it is.
        shares: What this process has a share of; by default it is alone.

    Raises:
        Unavailable: Kafka or ClickHouse does not answer.
        Refused: A topic does not exist, or is another one than the tables were made from.
    """
    workers: dict[int, DeliveryWorker[Batch]] = {}
    progress, share, spec = report or ProgressReport(), shares or ProcessShares(), flow.spec

    def client() -> ClickHouse:
        # A batch can ask hundreds of questions: each answer is progress.
        return ClickHouse(
            settings.urls.clickhouse, settings.database, timeout_seconds=REQUEST_SECONDS, on_answer=progress.beat
        )

    def open_worker() -> DeliveryWorker[Batch]:
        clickhouse, retry = client(), UnavailableRetry(progress, stop.asked)
        fences = read_fences(clickhouse, spec)
        context = WorkerContext(settings, generation, partitions, share, clickhouse, fences, stop, progress, retry)
        return DeliveryWorker(flow, context, producer_of(spec, settings), BatchLimit(policy.max_records))

    def worker() -> DeliveryWorker[Batch]:
        # The engine's threads are not Python's own: they lose what is thread-local when they let go of the interpreter.
        thread = threading.get_native_id()
        if thread not in workers:
            workers[thread] = open_worker()
        return workers[thread]

    def consumer(topic: str) -> PartitionConsumer:
        own = worker()
        reader, fences = PartitionReader(settings.kafka, topic, spec.group), own.context.fences.setdefault(topic, {})
        record_missing_head = partial(own.record_missing_head, topic)
        return PartitionConsumer(spec, reader, fences, policy, record_missing_head, own.limit)

    def epoch_ends(leaving: bool) -> None:
        progress.epoch()
        # The sink is not called in an epoch without records.
        worker().end_epoch(leaving=leaving)

    def process(batch: RawBatch) -> Batch:
        with noted(progress):
            return worker().process(batch)

    partitions = _partitions(flow, settings, client(), progress)
    keys = partition_keys(partitions)
    dataflow = Dataflow(spec.name)
    batches = op.input("read", dataflow, KafkaSource(keys, consumer, stop, epoch_ends, progress))
    processed = op.map_value("process", batches, process)
    op.output("write", processed, FencedSink(list(keys), lambda: worker().writer, progress))
    return dataflow


def _partitions(
    flow: Flow[Batch], settings: Settings, clickhouse: ClickHouse, report: ProgressReport
) -> dict[str, list[int]]:
    """Each topic's partitions, once they are known to be those that the tables were made from."""
    found = {}
    fences = read_fences(clickhouse, flow.spec)
    try:
        for topic in (topic.name for topic in flow.spec.reads):
            asking = PartitionReader(settings.kafka, topic, flow.spec.group, max_fetch_bytes=64 << 10)
            try:
                found[topic] = asking.partitions()
                report.beat()
                _verify(flow, asking, clickhouse, fences[topic])
            finally:
                asking.close()
    finally:
        clickhouse.close()
    return found


def _verify(flow: Flow[Batch], reader: PartitionReader, clickhouse: ClickHouse, fences: Fences) -> None:
    table = flow.identity_table.name
    newest = {partition: tables[table] for partition, tables in fences.items() if table in tables}

    def differing(records: Mapping[int, bytes]) -> list[int]:
        known = {partition: (newest[partition], records.get(partition, b"")) for partition in records}
        return flow.differing(clickhouse, reader.topic, known)

    verify_log_identity(reader, newest, differing)
