"""The flow with its sinks, but at least once: what it costs to count exactly once is the flow's distance from this.

Left out: the condition on the newest generation in each insert, deduplication tokens, the check of the generation after
them, and reading and comparing fences. Everything else is the product's: the same batches, rows, dead letters and read
models in the same order, offsets in the consumer group after them. A crash would count some records twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final
from unittest import mock

import pyarrow as pa

import flows.clicks.flow
from bench.contender import Task
from bench.contenders import flow
from connectors.clickhouse import ClickHouse, insert_body
from connectors.kafka.records import RecordProducer
from flows.clicks.output.arrow_rows import rows_of
from flows.clicks.processed_batch import ProcessedBatch
from flows.clicks.read_models.projector import Projector
from flows.clicks.sink import MAX_BUFFERED_EVENTS, dead_letter
from marketplace.tables import FENCED_TABLES, Table, insertable
from runtime.periodic import PeriodicThread
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
    """Stands where the product's writer stands, and is made like it."""

    def __init__(
        self,
        clickhouse: ClickHouse,
        producer: RecordProducer,
        projector: Projector,
        generation: int,
        fences: Any,
        report: ProgressReport,
        give_up: Callable[[], bool],
    ) -> None:
        self._clickhouse = PlainClickHouse(clickhouse.url, clickhouse.database, on_answer=report.beat)
        self._producer, self._projector, self._keeper = producer, projector, PeriodicThread(projector.refresh)
        self._buffer: list[ProcessedBatch] = []
        self._buffered_events = 0

    def catch_up(self) -> None:
        """Begin to keep the read models up to date."""
        self._keeper.start()

    def begin(self, partition: int, low: int) -> None:
        """The bench's topic has its beginning."""
        raise AssertionError("nothing has expired")

    def add(self, results: Iterable[ProcessedBatch]) -> None:
        """Take results; they are written when the product would write them."""
        for result in results:
            self._buffer.append(result)
            self._buffered_events += result.events
            if self._buffered_events >= MAX_BUFFERED_EVENTS:
                self.flush()

    def flush(self) -> None:
        """Dead letters, tables, read models."""
        results, self._buffer, self._buffered_events = self._buffer, [], 0
        if not results:
            return
        dead = [dead_letter(reject) for result in results for reject in result.rejects]
        if dead:
            self._producer.send_all(dead, _DEAD_SECONDS)
        for table in FENCED_TABLES:
            self._insert(table, results)
        self._projector.mark_dirty(results)
        self._projector.check_room()

    def tend(self, *, leaving: bool) -> None:
        """Nothing is ever away here."""
        self._keeper.check()
        if leaving:
            self._projector.drain()

    def _insert(self, table: Table, results: list[ProcessedBatch]) -> None:
        found = [result for result in results if result.fence(table.name) is not None]
        if found:
            self._clickhouse.insert(table.name, rows_of(table.name, found).select(list(insertable(table))))


def run(task: Task) -> None:
    """From the first record to the last one's row in the ledger."""
    with mock.patch.object(flows.clicks.flow, "Writer", PlainWriter):
        flow.run(task)
