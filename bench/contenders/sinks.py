"""The flow with its sinks, but at least once: the difference from the flow is the cost of exactly-once.

Left out: the condition on the newest generation in each insert, deduplication tokens, the check of the generation after
them, and reading and comparing fences. Everything else is the product's: the same batches, rows, dead letters and read
models in the same order, offsets in the consumer group after them. A crash would count some records twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final
from unittest import mock

import pyarrow as pa

import flows.clicks.flow
from bench.contender import Task
from bench.contenders import flow
from connectors.clickhouse.client import ClickHouse, insert_body
from connectors.kafka.records import RecordProducer
from flows.clicks.processed_batch import ProcessedBatch
from flows.delivery.fenced_writer import MAX_BUFFERED_EVENTS, WriteFollower
from marketplace.flows import FlowSpec
from marketplace.tables import Table, insertable
from runtime.progress import ProgressReport

_DEAD_SECONDS: Final = 15.0
_SETTINGS: Final = {"insert_deduplicate": 0, "max_insert_threads": 1, "max_threads": 1, "async_insert": 0}


class PlainClickHouse(ClickHouse):
    """Inserts without a condition."""

    def insert(self, table: str, data: pa.Table) -> None:
        """Insert rows in one block."""
        names = data.column_names
        statement = f"INSERT INTO {self.database}.{table} ({', '.join(names)}) FORMAT ArrowStream"
        self._call("command", statement, data=insert_body(data, names), settings=_SETTINGS)


class PlainWriter:
    """Takes the place of the product's writer, with the same constructor."""

    def __init__(
        self,
        spec: FlowSpec,
        clickhouse: ClickHouse,
        producer: RecordProducer,
        rows_of: Callable[[str, Sequence[ProcessedBatch]], pa.Table],
        generation: int,
        fences: Any,
        report: ProgressReport,
        give_up: Callable[[], bool],
        follower: WriteFollower[ProcessedBatch],
    ) -> None:
        self._clickhouse = PlainClickHouse(clickhouse.url, clickhouse.database, on_answer=report.beat)
        self._flow, self._producer, self._rows_of, self._follower = spec, producer, rows_of, follower
        self._buffer: list[ProcessedBatch] = []
        self._buffered_events = 0

    @property
    def condition(self) -> str:
        """Never called: the bench's topic is complete."""
        raise AssertionError("nothing has expired")

    def add(self, results: Iterable[ProcessedBatch]) -> None:
        """Add results; they are written when the product would write them."""
        for result in results:
            self._buffer.append(result)
            self._buffered_events += result.events
            if self._buffered_events >= MAX_BUFFERED_EVENTS:
                self.flush()

    def flush(self) -> None:
        """Write dead letters, tables and read models."""
        results, self._buffer, self._buffered_events = self._buffer, [], 0
        if not results:
            return
        dead = [letter for result in results for letter in result.dead_letters()]
        if dead:
            self._producer.send_all(dead, _DEAD_SECONDS)
        for table in self._flow.tables:
            self._insert(table, results)
        self._follower.written(results)
        self._follower.check_room()

    def _insert(self, table: Table, results: list[ProcessedBatch]) -> None:
        found = [result for result in results if result.fence(table.name) is not None]
        if found:
            self._clickhouse.insert(table.name, self._rows_of(table.name, found).select(list(insertable(table))))


def run(task: Task) -> None:
    """Run from the first record until the last one is in the ledger."""
    with mock.patch.object(flows.clicks.flow, "FencedWriter", PlainWriter):
        flow.run(task)
