"""Fences: the highest offset of each partition that a table holds; what lies at or below it is skipped."""

from __future__ import annotations

from connectors.clickhouse import ClickHouse
from connectors.errors import Unavailable
from marketplace.tables import FENCED_TABLES

Fences = dict[int, dict[str, int]]
"""For each partition: the highest applied offset by table name."""


def read_fences(clickhouse: ClickHouse) -> Fences:
    """For each partition that has rows: the highest offset in each of the fenced tables.

    Raises:
        Unavailable: ClickHouse is away.
    """
    fences: Fences = {}
    for table in FENCED_TABLES:
        query = f"SELECT source_partition, max(source_offset) FROM {clickhouse.database}.{table.name} GROUP BY 1"
        for partition, offset in clickhouse.rows(query):
            fences.setdefault(int(partition), {})[table.name] = int(offset)
    return fences


def wait_for_running_inserts(clickhouse: ClickHouse) -> None:
    """Tell whether the server still works on an insert into the fenced tables; fences are read only after it.

    Raises:
        Unavailable: It does; ask again.
    """
    prefixes = " OR ".join(f"query LIKE 'INSERT INTO {clickhouse.database}.{t.name} %'" for t in FENCED_TABLES)
    running = int(clickhouse.rows(f"SELECT count() FROM system.processes WHERE {prefixes}")[0][0])
    if running:
        raise Unavailable(f"ClickHouse is still working on {running} inserts")
