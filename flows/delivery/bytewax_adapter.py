"""A flow on Bytewax: source -> processing -> sink, without any exchange. Nothing else in the flows imports the engine.

The engine places partitions on workers and ends epochs; reading, resuming, fencing and writing are not its part. Its
recovery store is not used: see docs/adr/0002. To run flows on another engine, replace this module.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import AbortExecution, FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from bytewax.testing import cluster_main

from connectors.clickhouse.client import ClickHouse
from connectors.kafka.reader import PartitionReader
from flows.delivery.batch import RawBatch
from flows.delivery.batch_limit import BatchLimit
from flows.delivery.exit_codes import report_ending
from flows.delivery.fenced_writer import Batch, FencedWriter
from flows.delivery.fencing import REQUEST_SECONDS, Fences, read_fences
from flows.delivery.flow import Flow, ProcessShares, WorkerContext
from flows.delivery.resume import verify_log_identity
from flows.delivery.retry import UnavailableRetry
from flows.delivery.topic_consumer import BatchPolicy, TopicConsumer
from flows.delivery.worker import DeliveryWorker, producer_of
from runtime.progress import ProgressReport
from runtime.sections import Settings
from runtime.signals import StopRequest

EPOCH_SECONDS: Final = 0.1
"""How often the engine ends an epoch, and the sink writes if there is something: soon after each round."""
_IDLE: Final = timedelta(milliseconds=20)


class SourcePartition(StatefulSourcePartition[tuple[str, RawBatch], int]):
    """One partition's batches. Its snapshot is the next offset, for the mirror in the consumer group alone.

    Args:
        key: Its key in the stream.
        partition: Its number.
        consumer: The worker's consumer of its topic.
        stop: Asked before each batch.
        epoch_ends: Called at the end of each epoch, with whether everything is written and the process about to leave,
            which is said once and last. None for all but one partition of a worker: the engine asks each of them.
        report: What stops the source is noted here.
    """

    def __init__(
        self,
        key: str,
        partition: int,
        consumer: TopicConsumer,
        stop: StopRequest,
        epoch_ends: Callable[[bool], None] | None,
        report: ProgressReport,
    ) -> None:
        self._key, self._partition, self._consumer = key, partition, consumer
        self._stop, self._epoch_ends, self._report = stop, epoch_ends, report
        report.beat()
        self._next = consumer.open(partition)
        self._epoch_offset = self._next
        self._stopping_epochs = 0
        self._round = 0
        self._asked = False

    def next_batch(self) -> Iterable[tuple[str, RawBatch]]:
        """At most one batch; the engine calls only when everything of earlier epochs is written."""
        self._asked = True
        if self._stop.asked():
            # Ending the source would be taken for the end of all data; leaving after a whole epoch is a clean cut.
            # The one that ends epochs ends the engine too: no other may do so before the last epoch has ended.
            if self._epoch_ends is not None and self._stopping_epochs >= 2:
                raise AbortExecution
            return []
        with report_ending(self._report):
            present = self._consumer.round(time.monotonic())
            if present == self._round:
                return []
            self._round = present
            batch = self._consumer.take(self._partition)
        if batch is None:
            return []
        self._next = batch.last_offset + 1
        return [(self._key, batch)]

    def next_awake(self) -> datetime | None:
        """Soon, while there is nothing to do; at first at once.

        The engine adds to a time the time that opening the partitions took.
        """
        return datetime.now(UTC) + _IDLE if self._asked else None

    def snapshot(self) -> int:
        """End an epoch: the one before it is in all tables by now, so its offset may be shown."""
        with report_ending(self._report):
            self._consumer.publish(self._partition, self._epoch_offset)
            if self._epoch_ends is not None and self._stopping_epochs < 2:
                self._epoch_ends(self._stopping_epochs == 1)
        self._epoch_offset = self._next
        if self._stop.asked():
            self._stopping_epochs += 1
        return self._next


def partition_keys(partitions: Mapping[str, Sequence[int]]) -> dict[str, tuple[str, int]]:
    """A key of the stream for each partition of each topic, and what it stands for."""
    return {
        f"{topic}/{partition:03d}": (topic, partition) for topic, numbers in partitions.items() for partition in numbers
    }


class KafkaSource(FixedPartitionedSource[tuple[str, RawBatch], int]):
    """A flow's topics, partition by partition; each worker opens a consumer of its own for each on first use.

    Args:
        partitions: What each key of the stream stands for; see :func:`partition_keys`.
        make_consumer: From a topic to the calling worker's consumer.
        stop: Asked before each batch.
        epoch_ends: Called by each worker once for each epoch that ends, with whether everything is written and the
            process about to leave.
        report: What stops the source is noted here.
    """

    def __init__(
        self,
        partitions: Mapping[str, tuple[str, int]],
        make_consumer: Callable[[str], TopicConsumer],
        stop: StopRequest,
        epoch_ends: Callable[[bool], None],
        report: ProgressReport,
    ) -> None:
        self._partitions, self._make_consumer, self._stop = partitions, make_consumer, stop
        self._epoch_ends, self._report = epoch_ends, report
        self._consumers: dict[tuple[int, str], TopicConsumer] = {}
        self._workers: set[int] = set()

    def list_parts(self) -> list[str]:
        """Every worker can read every partition."""
        return list(self._partitions)

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> SourcePartition:
        """Open a partition where the tables end, whatever the engine remembers."""
        topic, partition = self._partitions[for_part]
        worker = threading.get_native_id()
        own = (worker, topic)
        with report_ending(self._report):
            if own not in self._consumers:
                self._consumers[own] = self._make_consumer(topic)
            epoch_ends = None if worker in self._workers else self._epoch_ends
            self._workers.add(worker)
            consumer = self._consumers[own]
            return SourcePartition(for_part, partition, consumer, self._stop, epoch_ends, self._report)


class SinkPartition(StatefulSinkPartition[Any, None]):
    """A partition's way to the worker's writer."""

    def __init__(self, writer: FencedWriter[Any], report: ProgressReport) -> None:
        self._writer, self._report = writer, report

    def write_batch(self, items: list[Any]) -> None:
        """Take processed batches."""
        with report_ending(self._report):
            self._writer.add(items)

    def snapshot(self) -> None:
        """The epoch ends: the first partition to be asked writes for all of the worker's."""
        with report_ending(self._report):
            self._writer.flush()


class FencedSink(FixedPartitionedSink[Any, None]):
    """A sink with the source's partitions, so that the engine puts both on the same worker and exchanges nothing.

    Args:
        partitions: The keys of the source's partitions, in any order.
        writer: The calling worker's writer.
        report: What stops the sink is noted here.
    """

    def __init__(self, partitions: list[str], writer: Callable[[], FencedWriter[Any]], report: ProgressReport) -> None:
        # The engine reads the answer of `part_fn` as a place in the ordered names of all workers' partitions.
        self._partitions, self._writer, self._report = sorted(partitions), writer, report

    def list_parts(self) -> list[str]:
        """The source's partitions, by the same names."""
        return self._partitions

    def part_fn(self, item_key: str) -> int:
        """The place of a key among all keys in order."""
        return self._partitions.index(item_key)

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> SinkPartition:
        """A way to this worker's writer."""
        with report_ending(self._report):
            return SinkPartition(self._writer(), self._report)


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

    def consumer(topic: str) -> TopicConsumer:
        own = worker()
        reader, fences = PartitionReader(settings.kafka, topic, spec.group), own.context.fences.setdefault(topic, {})
        record_missing_head = partial(own.record_missing_head, topic)
        return TopicConsumer(spec, reader, fences, policy, record_missing_head, own.limit)

    def epoch_ends(leaving: bool) -> None:
        progress.epoch()
        # The sink is not called in an epoch without records.
        worker().end_epoch(leaving=leaving)

    def process(batch: RawBatch) -> Batch:
        with report_ending(progress):
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

    def mismatched_partitions(records: Mapping[int, bytes]) -> list[int]:
        known = {partition: (newest[partition], records.get(partition, b"")) for partition in records}
        return flow.mismatched_partitions(clickhouse, reader.topic, known)

    verify_log_identity(reader, newest, mismatched_partitions)


def run_dataflow(dataflow: Dataflow, addresses: Sequence[str] = (), index: int = 0) -> None:
    """Run a dataflow, one worker thread, until its source is asked to stop.

    Args:
        dataflow: What :func:`build` made.
        addresses: Of all processes of the set; empty where this one is alone.
        index: The number of this process among them.
    """
    cluster_main(  # type: ignore[no-untyped-call]  # the engine ships no types
        dataflow, list(addresses), index, epoch_interval=timedelta(seconds=EPOCH_SECONDS)
    )
