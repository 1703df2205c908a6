"""Reads pages back from ClickHouse."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from connectors.clickhouse import ClickHouse
from connectors.errors import Unavailable
from flows.clicks.batch import I64, U64
from flows.clicks.stored import StoredSessions
from marketplace.outcomes import REFIRE
from marketplace.tables import CLICKS, FENCED_TABLES, LEDGER, SESSION_DIMENSIONS, SESSIONS

_HOUR: Final = "intDiv(toUnixTimestamp64Milli(occurred_at), 3600000)"
_HOUR_SECONDS: Final = 3_600


def _u64(column: pa.ChunkedArray) -> U64:
    return np.asarray(column.to_numpy(), dtype=np.uint64)


def _i64(column: pa.ChunkedArray) -> I64:
    return np.asarray(column.to_numpy(), dtype=np.int64)


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


def let_inserts_end(clickhouse: ClickHouse) -> None:
    """Tell whether the server still works on an insert into the fenced tables; fences are read only after it.

    Raises:
        Unavailable: It does; ask again.
    """
    prefixes = " OR ".join(f"query LIKE 'INSERT INTO {clickhouse.database}.{t.name} %'" for t in FENCED_TABLES)
    running = int(clickhouse.rows(f"SELECT count() FROM system.processes WHERE {prefixes}")[0][0])
    if running:
        raise Unavailable(f"ClickHouse is still working on {running} inserts")


class ClickHousePages:
    """The page store of ``flows.clicks.pages`` on the tables themselves."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse
        self._clicks = f"{clickhouse.database}.{CLICKS.name}"
        self._sessions = f"{clickhouse.database}.{SESSIONS.name}"

    def hours(self, partition: int) -> tuple[set[int], set[int]]:
        """Hours that have rows, by dedupe hour and by time of occurrence."""
        query = (
            f"SELECT DISTINCT dedupe_hour AS d, {_HOUR} AS v FROM {self._clicks} WHERE source_partition = {{p:UInt16}}"
        )
        pairs = self._clickhouse.rows(query, {"p": partition})
        return {int(d) for d, _ in pairs}, {int(v) for _, v in pairs}

    def dedupe_keys(self, partition: int, hours: list[int], before: int) -> dict[int, U64]:
        """The dedupe keys of each hour."""
        table = self._clickhouse.arrow(
            f"SELECT dedupe_hour, dedupe_key FROM {self._clicks} WHERE source_partition = {{p:UInt16}} "
            "AND dedupe_hour IN {hours:Array(UInt32)} AND source_offset < {before:UInt64}",
            {"p": partition, "hours": hours, "before": before},
        )
        hour, key = _i64(table["dedupe_hour"]), _u64(table["dedupe_key"])
        return {wanted: key[hour == wanted] for wanted in hours}

    def clicks(self, partition: int, hours: list[int], before: int) -> tuple[U64, I64]:
        """Pair keys and times of events in these hours that are not re-fires."""
        table = self._clickhouse.arrow(
            f"SELECT pair_key, toUnixTimestamp64Milli(occurred_at) AS ms FROM {self._clicks} "
            f"WHERE source_partition = {{p:UInt16}} AND {_within(hours)} AND {_HOUR} IN {{hours:Array(Int64)}} "
            "AND outcome != {refire:String} AND source_offset < {before:UInt64}",
            {"p": partition, "hours": hours, "before": before, "refire": REFIRE.name},
        )
        return _u64(table["pair_key"]), _i64(table["ms"])

    def minutes(self, partition: int, hours: list[int], before: int) -> tuple[U64, I64, I64]:
        """Visitor, minute and number of events, in these hours."""
        table = self._clickhouse.arrow(
            f"SELECT visitor, intDiv(toUnixTimestamp64Milli(occurred_at), 60000) AS minute, count() AS events "
            f"FROM {self._clicks} WHERE source_partition = {{p:UInt16}} AND {_within(hours)} "
            f"AND {_HOUR} IN {{hours:Array(Int64)}} AND source_offset < {{before:UInt64}} GROUP BY visitor, minute",
            {"p": partition, "hours": hours, "before": before},
        )
        return _u64(table["visitor"]), _i64(table["minute"]), _i64(table["events"])

    def sessions(self, partition: int, hours: list[int]) -> StoredSessions:
        """Sessions that overlap these hours, as they stand."""
        first, last = min(hours) * _HOUR_SECONDS, (max(hours) + 1) * _HOUR_SECONDS
        dimensions = ", ".join(SESSION_DIMENSIONS)
        table = self._clickhouse.arrow(
            "SELECT visitor, is_bot, store, toUnixTimestamp64Milli(started_at) AS start_ms, "
            f"toUnixTimestamp64Milli(ended_at) AS end_ms, clicks, {dimensions} FROM {self._sessions} "
            f"WHERE source_partition = {{p:UInt16}} AND ended_at >= toDateTime64({first}, 3, 'UTC') "
            f"AND started_at < toDateTime64({last}, 3, 'UTC') "
            f"GROUP BY visitor, is_bot, store, start_ms, end_ms, clicks, {dimensions} HAVING sum(sign) > 0",
            {"p": partition},
        )
        return StoredSessions(
            visitor=_u64(table["visitor"]),
            is_bot=np.asarray(table["is_bot"].to_numpy(), dtype=np.uint8),
            store=table["store"].to_pylist(),
            start_ms=_i64(table["start_ms"]),
            end_ms=_i64(table["end_ms"]),
            clicks=_i64(table["clicks"]),
            entry={name: table[name].to_pylist() for name in SESSION_DIMENSIONS},
        )

    def applied(self, partition: int) -> int:
        """The highest offset up to which every table holds everything; -1 for none."""
        query = (
            f"SELECT max(toInt64(source_offset)) FROM {self._clickhouse.database}.{LEDGER.name} "
            "WHERE source_partition = {p:UInt16} HAVING count() > 0"
        )
        found = self._clickhouse.rows(query, {"p": partition})
        return int(found[0][0]) if found else -1


def _within(hours: list[int]) -> str:
    # The exact test is on the hour; this one lets the index on the time skip the rest of the table.
    first, last = min(hours) * _HOUR_SECONDS, (max(hours) + 1) * _HOUR_SECONDS
    return f"occurred_at >= toDateTime64({first}, 3, 'UTC') AND occurred_at < toDateTime64({last}, 3, 'UTC')"
