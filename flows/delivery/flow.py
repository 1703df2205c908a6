"""A flow as the delivery runtime sees it: what it has to offer, and what its workers get."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol

import pyarrow as pa
from prometheus_client.registry import Collector

from connectors.clickhouse.client import ClickHouse
from flows.delivery.batch import RawBatch
from flows.delivery.fenced_writer import Batch, WriteFollower
from flows.delivery.fencing import Fences
from flows.delivery.process_set import FlowProcessSet
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
        identity_table: Its newest row per partition is compared with the log at start, by
            :meth:`mismatched_partitions`.
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
    def mismatched_partitions(
        self, clickhouse: ClickHouse, topic: str, records: Mapping[int, tuple[int, bytes]]
    ) -> list[int]:
        """Partitions whose record is another one than the identity table knows at its offset.

        Args:
            clickhouse: Where the table is.
            topic: The topic.
            records: By partition, an offset and the payload that the log has there now.

        Raises:
            Unavailable: ClickHouse does not answer.
        """
