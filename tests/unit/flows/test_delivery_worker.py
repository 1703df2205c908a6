"""What a flow's worker gets without asking for it: a writer that waits, gives up, is fenced and writes dead letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, cast

import pyarrow as pa
import pytest

from connectors.clickhouse.client import ClickHouse
from connectors.errors import Fenced, Unavailable
from connectors.kafka.memory import MemoryBroker, MemoryProducer
from connectors.kafka.records import Record, TopicPartition
from flows.delivery.batch import RawBatch
from flows.delivery.batch_limit import BatchLimit
from flows.delivery.flow import Flow, ProcessShares, WorkerContext
from flows.delivery.retry import UnavailableRetry
from flows.delivery.worker import DeliveryWorker, producer_of
from marketplace.flows import DEAD_LETTERS_FLOW
from marketplace.settings import Urls
from marketplace.tables import DEAD_LETTERS
from marketplace.topics import CLICKS_DEAD
from runtime.progress import ProgressReport
from runtime.sections import Settings
from runtime.signals import StopRequest

SPEC = replace(DEAD_LETTERS_FLOW, dead_topic=CLICKS_DEAD)
SETTINGS = Settings(Urls("", "", "", ""), PurePosixPath("unused"))
ROWS = pa.table({"reason": ["why"]})
GENERATION = 3


@dataclass(frozen=True)
class Processed:
    """Of one record, which has a row and is a dead letter."""

    topic: str
    partition: int
    first_offset: int
    last_offset: int
    events: int = 1

    def fence(self, table: str) -> int:
        return self.last_offset

    def dead_letters(self) -> Sequence[Record]:
        return [Record(CLICKS_DEAD.name, b"value", partition=0)]


class Worker:
    """All that a flow's own worker has to offer; it is its own follower."""

    def __init__(self) -> None:
        self.follower = self
        self.followed: list[Processed] = []

    def process(self, batch: RawBatch) -> Processed:
        return Processed(batch.topic, batch.partition, batch.first_offset, batch.last_offset)

    def rows_of(self, table: str, batches: Sequence[Processed]) -> pa.Table:
        return ROWS

    def written(self, batches: Sequence[Processed]) -> None:
        self.followed += batches

    def check_room(self) -> None:
        """There is always room."""

    def end_epoch(self, *, leaving: bool) -> None:
        """Nothing is left to do."""


class SmallFlow(Flow[Processed]):
    """A flow that opens nothing but its worker."""

    spec = SPEC
    identity_table = DEAD_LETTERS

    def __init__(self) -> None:
        self.worker = Worker()

    def open_worker(self, context: WorkerContext) -> Worker:
        return self.worker

    def expired_row(self, topic: str, partition: int, first: int, low: int, now: datetime) -> pa.Table:
        return ROWS

    def mismatched_partitions(
        self, clickhouse: ClickHouse, topic: str, records: Mapping[int, tuple[int, bytes]]
    ) -> list[int]:
        return []


class Tables:
    """A ClickHouse that takes rows, or does not answer, and knows the newest generation."""

    database = "any"

    def __init__(self) -> None:
        self.unavailable = False
        self.newest = GENERATION
        self.inserted: list[tuple[str, pa.Table]] = []

    def insert_where(
        self, table: str, structure: Sequence[tuple[str, str]], data: pa.Table, condition: str, token: str
    ) -> None:
        if self.unavailable:
            raise Unavailable("ClickHouse does not answer")
        self.inserted.append((table, data))

    def rows(self, query: str) -> list[list[Any]]:
        if self.unavailable:
            raise Unavailable("ClickHouse does not answer")
        return [[self.newest]]


class Running:
    """A worker as the runtime opens it, on parts in memory."""

    def __init__(self) -> None:
        self.flow, self.tables, self.stop = SmallFlow(), Tables(), StopRequest()
        self.broker = MemoryBroker({CLICKS_DEAD.name: 1})
        report, clickhouse = ProgressReport(), cast("ClickHouse", self.tables)
        retry = UnavailableRetry(report, self.stop.asked)
        context = WorkerContext(SETTINGS, GENERATION, {}, ProcessShares(), clickhouse, {}, self.stop, report, retry)
        self.worker = DeliveryWorker(self.flow, context, MemoryProducer(self.broker), BatchLimit(100))

    def write(self) -> None:
        """Process a record and end the epoch."""
        batch = RawBatch(0, [0], [1_000], [b"value"], topic=SPEC.reads[0].name)
        self.worker.writer.add([self.worker.process(batch)])
        self.worker.writer.flush()


def test_the_rows_and_dead_letters_of_a_worker_are_written_and_its_follower_hears_of_them() -> None:
    running = Running()
    running.write()
    assert running.tables.inserted == [(DEAD_LETTERS.name, ROWS)]
    assert [record.value for record in running.broker.log(TopicPartition(CLICKS_DEAD.name, 0))] == [b"value"]
    assert [batch.last_offset for batch in running.flow.worker.followed] == [0]


def test_a_worker_that_is_asked_to_leave_does_not_wait_for_an_unavailable_part_to_write_to() -> None:
    running = Running()
    running.tables.unavailable = True
    running.stop.ask()
    with pytest.raises(Unavailable, match="ClickHouse does not answer"):
        running.write()


def test_a_worker_whose_generation_is_not_the_newest_is_fenced_and_its_follower_hears_of_nothing() -> None:
    running = Running()
    running.tables.newest = GENERATION + 1
    with pytest.raises(Fenced):
        running.write()
    assert running.flow.worker.followed == []


def test_a_flow_without_a_topic_for_dead_letters_gets_no_producer() -> None:
    assert producer_of(DEAD_LETTERS_FLOW, SETTINGS) is None
