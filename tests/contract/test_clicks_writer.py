"""The sink on real tables, when answers to its inserts are lost: everything is there once, for every partition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from connectors.clickhouse.client import ClickHouse
from connectors.errors import Unavailable
from connectors.kafka.memory import MemoryProducer
from connectors.mongo.client import connect
from connectors.mongo.store_stats import StoreStats
from connectors.redis.live_tile import LiveTile
from flows.clicks.output.arrow_rows import rows_of
from flows.clicks.processed_batch import ProcessedBatch
from flows.clicks.read_models.projector import Projector
from flows.clicks.read_models.refresher import ReadModels
from flows.delivery.fenced_writer import FencedWriter
from flows.delivery.fencing import read_fences
from flows.delivery.retry import UnavailableRetry
from marketplace.flows import CLICKS_FLOW
from marketplace.tables import CLICK_TABLES
from marketplace.topics import CLICKS_COLLECTED
from ops.oracle import LogRecord
from ops.stack import Stack
from runtime.breaker import CircuitBreaker
from runtime.progress import ProgressReport
from tests.kits.clicks import (
    as_log,
    by_partition,
    cut,
    differences,
    encoding_of,
    event,
    expected_ledger,
    machine_on,
    oracle,
    visitor_of,
)
from tests.kits.clicks_pages import MemoryPages
from tests.kits.clicks_tables import MINUTE, NOON, InClickHouse, clickhouse_tables, of_days

TABLES = [table.name for table in CLICK_TABLES]
NOWHERE = "mongodb://127.0.0.1:1/?directConnection=true"


class Forgetful(ClickHouse):
    """The real one, whose answer to the first insert into a table does not arrive; the insert itself may have."""

    def __init__(self, url: str, database: str, table: str, *, applied: bool) -> None:
        super().__init__(url, database)
        self._table, self._applied = table, applied
        self.inserts = Counter[str]()

    def insert_where(
        self, table: str, structure: Sequence[tuple[str, str]], data: pa.Table, condition: str, token: str
    ) -> None:
        self.inserts[table] += 1
        lost = table == self._table
        if not lost or self._applied:
            super().insert_where(table, structure, data, condition, token)
        if lost:
            self._table = ""
            raise Unavailable("the answer was lost")


@pytest.fixture
def tables(clickhouse: Stack) -> Iterator[InClickHouse]:
    with clickhouse_tables(clickhouse) as made:
        made.clickhouse.command(f"INSERT INTO {made.clickhouse.database}.flow_generations VALUES ('clicks', 1)")
        yield made


@contextmanager
def writer_on(clickhouse: ClickHouse) -> Iterator[FencedWriter[ProcessedBatch]]:
    """A writer of the first generation, without Mongo and Redis."""
    with connect(NOWHERE) as nobody:
        stats, tile = StoreStats(nobody, "any"), LiveTile("redis://127.0.0.1:1/0")
        projector = Projector(clickhouse, stats, tile, lambda: datetime.now(UTC), CircuitBreaker())
        fences, report = read_fences(clickhouse, CLICKS_FLOW), ProgressReport()
        retry = UnavailableRetry(report, lambda: False)
        read_models = ReadModels(projector, retry, report)
        read_models.catch_up(fences[CLICKS_COLLECTED.name])
        try:
            yield FencedWriter(CLICKS_FLOW, clickhouse, MemoryProducer({}), rows_of, 1, fences, retry, read_models)
        finally:
            read_models.close()
            clickhouse.close()


def three_partitions() -> list[LogRecord]:
    """Two visits in each, and a copy at the end, which leads to no fact."""
    values = [event(NOON + at * MINUTE, event_id=str(at), visitor=visitor_of("alpha", at % 2)) for at in range(5)]
    return [record for partition in range(3) for record in as_log([*values, values[-1]], partition, NOON)]


@pytest.mark.parametrize("applied", [True, False], ids=["applied", "not applied"])
@pytest.mark.parametrize("table", TABLES)
def test_an_insert_of_several_partitions_whose_answer_is_lost_counts_once(
    tables: InClickHouse, table: str, applied: bool
) -> None:
    log, encoding = three_partitions(), encoding_of()
    forgetful = Forgetful(tables.clickhouse.url, tables.clickhouse.database, table, applied=applied)
    machines = {part: machine_on(MemoryPages(), part, encoding=encoding) for part in range(3)}
    rounds = zip(*(cut(records, (3,)) for records in by_partition(log).values()), strict=True)
    with writer_on(forgetful) as writer:
        for batches in rounds:
            writer.add(machines[batch.partition].process(batch) for batch in batches)
            writer.flush()
    # What had arrived is not sent again: the fences say so.
    assert forgetful.inserts == {name: 2 + (name == table and not applied) for name in TABLES}
    expected = oracle(log)
    hours = [NOON // 3_600_000]
    found = [tables.pages.sessions(partition, hours) for partition in range(3)]
    assert [sorted(zip(held.start_ms, held.end_ms, held.views, strict=True)) for held in found] == [
        [(NOON, NOON + 4 * MINUTE, 3), (NOON + MINUTE, NOON + 3 * MINUTE, 2)]
    ] * 3
    assert sorted((row["source_partition"], row["source_offset"]) for row in tables.clicks()) == [
        (partition, offset) for partition in range(3) for offset in range(5)
    ]
    assert differences(expected_ledger(expected), tables.ledger()) == {}
    assert differences(of_days(expected.rollups), of_days(tables.numbers())) == {}
    ends = {part: tables.fences(part) for part in range(3)}
    assert ends == {part: {"clicks": 4, "rollups": 5, "sessions": 5, "click_ledger": 5} for part in range(3)}
