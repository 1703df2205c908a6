"""Reads pages back from ClickHouse."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from connectors.clickhouse.client import ClickHouse
from flows.arrays.hashing import distinct
from flows.arrays.types import I64, U8, U64
from flows.clicks.state.click_page import Minutes
from flows.clicks.state.stored_rows import FAMILY_COLUMNS, StoredFacts, StoredSessions
from marketplace.clicks.outcomes import REFIRE
from marketplace.tables import CLICKS, ENTRY_COLUMNS, EXIT_COLUMN, LEDGER, SESSIONS

_HOUR_SECONDS: Final = 3_600
_MAX_SPANS: Final = 16
"""Each one is compared with every row that the index cannot skip."""


def _u64(column: pa.ChunkedArray) -> U64:
    return np.asarray(column.to_numpy(), dtype=np.uint64)


def _u8(column: pa.ChunkedArray) -> U8:
    return np.asarray(column.to_numpy(), dtype=np.uint8)


def _i64(column: pa.ChunkedArray) -> I64:
    return np.asarray(column.to_numpy(), dtype=np.int64)


class ClickHousePages:
    """The page store of ``flows.clicks.state.page_cache`` on the tables themselves."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse
        self._clicks = f"{clickhouse.database}.{CLICKS.name}"
        self._sessions = f"{clickhouse.database}.{SESSIONS.name}"

    def dedupe_keys(self, partition: int, hours: list[int], before: int, only: U64 | None = None) -> dict[int, U64]:
        """The dedupe keys of each hour."""
        table = self._clickhouse.arrow(
            f"SELECT dedupe_hour, dedupe_key FROM {self._clicks} WHERE source_partition = {{p:UInt16}} "
            "AND dedupe_hour IN {hours:Array(UInt32)} AND source_offset < {before:UInt64}" + _among("dedupe_key", only),
            {"p": partition, "hours": hours, "before": before},
        )
        hour, key = _i64(table["dedupe_hour"]), _u64(table["dedupe_key"])
        return {wanted: key[hour == wanted] for wanted in hours}

    def clicks(self, partition: int, hours: list[int], before: int, only: U64 | None = None) -> tuple[U64, I64]:
        """Pair keys and times of events in these hours that are not re-fires."""
        table = self._clickhouse.arrow(
            f"SELECT pair_key, toUnixTimestamp64Milli(occurred_at) AS ms FROM {self._clicks} "
            f"WHERE source_partition = {{p:UInt16}} AND {_overlap('occurred_at', 'occurred_at', hours)} "
            f"AND outcome != {{refire:String}} AND source_offset < {{before:UInt64}}{_among('pair_key', only)}",
            {"p": partition, "hours": hours, "before": before, "refire": REFIRE.name},
        )
        return _u64(table["pair_key"]), _i64(table["ms"])

    def minutes(self, partition: int, hours: list[int], before: int, only: U64 | None = None) -> Minutes:
        """Events by visitor and minute, in these hours."""
        table = self._clickhouse.arrow(
            "SELECT visitor, is_bot, intDiv(toUnixTimestamp64Milli(occurred_at), 60000) AS minute, "
            "countIf(outcome != {refire:String} AND type = 'view') AS views, "
            "countIf(outcome != {refire:String} AND type != 'view') AS actions, "
            "countIf(outcome = {refire:String}) AS refires "
            f"FROM {self._clicks} WHERE source_partition = {{p:UInt16}} "
            f"AND {_overlap('occurred_at', 'occurred_at', hours)} AND source_offset < {{before:UInt64}}"
            f"{_among('visitor', only)} GROUP BY visitor, is_bot, minute",
            {"p": partition, "hours": hours, "before": before, "refire": REFIRE.name},
        )
        counts = np.stack([_i64(table[name]) for name in ("views", "actions", "refires")], axis=1)
        return Minutes(_u64(table["visitor"]), _u8(table["is_bot"]), _i64(table["minute"]), counts.astype(np.int32))

    def sessions(self, partition: int, hours: list[int], only: U64 | None = None) -> StoredSessions:
        """Sessions that overlap these hours, as they stand."""
        kept = f"views, actions, {', '.join(ENTRY_COLUMNS)}, {EXIT_COLUMN}"
        table = self._clickhouse.arrow(
            "SELECT visitor, is_bot, store, toUnixTimestamp64Milli(started_at) AS start_ms, "
            f"toUnixTimestamp64Milli(ended_at) AS end_ms, {kept} FROM {self._sessions} "
            f"WHERE source_partition = {{p:UInt16}} AND {_overlap('started_at', 'ended_at', hours)}"
            f"{_among('visitor', only)} "
            f"GROUP BY visitor, is_bot, store, start_ms, end_ms, {kept} HAVING sum(sign) > 0",
            {"p": partition, "hours": hours},
        )
        return StoredSessions(
            visitor=_u64(table["visitor"]),
            is_bot=_u8(table["is_bot"]),
            store=table["store"].to_pylist(),
            start_ms=_i64(table["start_ms"]),
            end_ms=_i64(table["end_ms"]),
            views=_i64(table["views"]),
            actions=_i64(table["actions"]),
            entry={name: table[name].to_pylist() for name in ENTRY_COLUMNS},
            exit_page=table[EXIT_COLUMN].to_pylist(),
        )

    def verdicts(self, partition: int, first: int, last: int) -> StoredFacts:
        """The facts from one offset to another, both included, ascending."""
        table = self._clickhouse.arrow(
            "SELECT source_offset, dedupe_key, dedupe_hour, visitor, pair_key, is_bot, "
            "toUnixTimestamp64Milli(received_at) AS received_ms, toUnixTimestamp64Milli(occurred_at) AS occurred_ms, "
            "type = 'view' AS is_view, store, origin, outcome, time_note, "
            f"{', '.join(FAMILY_COLUMNS)} FROM {self._clicks} "
            "WHERE source_partition = {p:UInt16} AND source_offset BETWEEN {first:UInt64} AND {last:UInt64} "
            "ORDER BY source_offset",
            {"p": partition, "first": first, "last": last},
        )
        return StoredFacts(
            offset=_i64(table["source_offset"]),
            key=_u64(table["dedupe_key"]),
            dedupe_hour=_i64(table["dedupe_hour"]),
            visitor=_u64(table["visitor"]),
            pair=_u64(table["pair_key"]),
            received_ms=_i64(table["received_ms"]),
            occurred_ms=_i64(table["occurred_ms"]),
            is_bot=_u8(table["is_bot"]),
            is_view=_u8(table["is_view"]).astype(np.bool_),
            store=table["store"].to_pylist(),
            origin=table["origin"].to_pylist(),
            outcome=table["outcome"].to_pylist(),
            time_note=table["time_note"].to_pylist(),
            columns={name: table[name].to_pylist() for name in FAMILY_COLUMNS},
        )

    def applied(self, partition: int) -> int:
        """The highest offset up to which every table holds everything; -1 for none."""
        query = (
            f"SELECT max(toInt64(source_offset)) FROM {self._clickhouse.database}.{LEDGER.name} "
            "WHERE source_partition = {p:UInt16} HAVING count() > 0"
        )
        found = self._clickhouse.rows(query, {"p": partition})
        return int(found[0][0]) if found else -1


def _among(column: str, only: U64 | None) -> str:
    """A further condition: the column is one of these keys."""
    return "" if only is None else f" AND {column} IN ({', '.join(map(str, distinct(only).tolist())) or 'NULL'})"


def _spans(hours: list[int]) -> list[tuple[int, int]]:
    """A few spans (from the first hour to before the second) that hold all hours and leave out the widest gaps."""
    ordered = np.unique(np.array(hours, dtype=np.int64))
    gaps = np.diff(ordered)
    widest = np.sort(np.argsort(-gaps, kind="stable")[: _MAX_SPANS - 1])
    cuts = widest[gaps[widest] > 1]
    firsts, lasts = ordered[np.append(0, cuts + 1)], ordered[np.append(cuts, len(ordered) - 1)]
    return list(zip(firsts.tolist(), (lasts + 1).tolist(), strict=True))


def _overlap(starts: str, ends: str, hours: list[int]) -> str:
    """The condition that what lasts from one column to the other overlaps one of ``{hours:Array(Int64)}``.

    The exact test is on hours. The one on spans lets the server skip what lies between hours far apart.
    """
    spans = (f"({ends} >= {_moment(first)} AND {starts} < {_moment(last)})" for first, last in _spans(hours))
    start, end = (f"intDiv(toUnixTimestamp64Milli({column}), {_HOUR_SECONDS * 1000})" for column in (starts, ends))
    exact = f"{start} IN {{hours:Array(Int64)}}"
    if starts != ends:
        within = f"arrayExists(hour -> hour > {start} AND hour < {end}, {{hours:Array(Int64)}})"
        exact = f"({exact} OR {end} IN {{hours:Array(Int64)}} OR ({end} > {start} + 1 AND {within}))"
    return f"({' OR '.join(spans)}) AND {exact}"


def _moment(hour: int) -> str:
    return f"toDateTime64({hour * _HOUR_SECONDS}, 3, 'UTC')"
