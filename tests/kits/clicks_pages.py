"""The tables of the click path in memory: the page store's twin, and the numbers that they hold.

``tests/contract/test_page_store.py`` holds it and the real one to the same answers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from flows.arrays.types import I64, U64
from flows.clicks.output.arrow_rows import rows_of
from flows.clicks.processed_batch import ProcessedBatch
from flows.clicks.state.click_page import Minutes
from flows.clicks.state.stored_rows import FAMILY_COLUMNS, StoredFacts, StoredSessions
from marketplace.rollups import QUARTER_MS, STORED, hour_start, local_day
from marketplace.stores import Store
from marketplace.tables import CLICK_TABLES, ENTRY_COLUMNS, EXIT_COLUMN
from ops.oracle import Numbers, RollupKey

HOUR_MS: Final = 3_600_000

Row = dict[str, Any]


def plain_rows(table: pa.Table) -> list[Row]:
    """Rows of a table with texts and numbers; times are integers in the unit of their column."""
    columns: dict[str, list[Any]] = {}
    for name in table.column_names:
        column = table[name]
        columns[name] = (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist()
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def among(column: str, only: U64 | None, rows: Iterable[Row]) -> list[Row]:
    """Those of the rows that have one of these values, or all."""
    wanted = None if only is None else set(only.tolist())
    return [row for row in rows if wanted is None or row[column] in wanted]


def open_rows(
    table: str, results: Sequence[ProcessedBatch], fences: Callable[[int], Mapping[str, int]]
) -> pa.Table | None:
    """A table's rows of the results that it does not hold yet."""
    reached = [(result, result.fence(table)) for result in results]
    lacking = [
        result for result, fence in reached if fence is not None and fence > fences(result.partition).get(table, -1)
    ]
    return rows_of(table, lacking) if lacking else None


class MemoryPages:
    """Every table of the click path as a list of rows, with the sink's rule of fences."""

    def __init__(self) -> None:
        self.tables: dict[str, list[Row]] = {table.name: [] for table in CLICK_TABLES}
        self._fences: dict[int, dict[str, int]] = defaultdict(dict)

    def write(self, results: Sequence[ProcessedBatch], tables: int = len(CLICK_TABLES)) -> None:
        """Insert the batches' rows into the first ``tables`` tables, one table after the other."""
        for table in CLICK_TABLES[:tables]:
            rows = plain_rows(made) if (made := open_rows(table.name, results, self.fences)) is not None else []
            self.tables[table.name] += rows
            for row in rows:
                fences = self._fences[row["source_partition"]]
                fences[table.name] = max(row["source_offset"], fences.get(table.name, -1))

    def fences(self, partition: int) -> dict[str, int]:
        """The highest offset in each table that has rows of the partition."""
        return dict(self._fences[partition])

    def dedupe_keys(self, partition: int, hours: list[int], before: int, only: U64 | None = None) -> dict[int, U64]:
        found: dict[int, list[int]] = {hour: [] for hour in hours}
        for row in among("dedupe_key", only, self._before(partition, before)):
            if row["dedupe_hour"] in found:
                found[row["dedupe_hour"]].append(row["dedupe_key"])
        return {hour: np.array(keys, dtype=np.uint64) for hour, keys in found.items()}

    def clicks(self, partition: int, hours: list[int], before: int, only: U64 | None = None) -> tuple[U64, I64]:
        rows = among("pair_key", only, self._in_hours(partition, hours, before))
        rows = [row for row in rows if row["outcome"] != "refire"]
        times = [row["occurred_at"] for row in rows]
        return np.array([row["pair_key"] for row in rows], dtype=np.uint64), np.array(times, dtype=np.int64)

    def minutes(self, partition: int, hours: list[int], before: int, only: U64 | None = None) -> Minutes:
        rows = among("visitor", only, self._in_hours(partition, hours, before))
        events: dict[tuple[int, int, int], list[int]] = defaultdict(lambda: [0, 0, 0])
        for row in rows:
            kind = 2 if row["outcome"] == "refire" else 0 if row["type"] == "view" else 1
            events[row["visitor"], row["is_bot"], row["occurred_at"] // 60_000][kind] += 1
        return Minutes(
            visitor=np.array([visitor for visitor, _, _ in events], dtype=np.uint64),
            is_bot=np.array([is_bot for _, is_bot, _ in events], dtype=np.uint8),
            minute=np.array([minute for _, _, minute in events], dtype=np.int64),
            counts=np.array(list(events.values()), dtype=np.int32).reshape(-1, 3),
        )

    def verdicts(self, partition: int, first: int, last: int) -> StoredFacts:
        rows = sorted(self._before(partition, last + 1), key=lambda row: int(row["source_offset"]))
        rows = [row for row in rows if row["source_offset"] >= first]

        def numbers(name: str, dtype: type[Any]) -> Any:
            return np.array([row[name] for row in rows], dtype=dtype)

        def texts(name: str) -> list[str]:
            return [row[name] for row in rows]

        return StoredFacts(
            offset=numbers("source_offset", np.int64),
            key=numbers("dedupe_key", np.uint64),
            dedupe_hour=numbers("dedupe_hour", np.int64),
            visitor=numbers("visitor", np.uint64),
            pair=numbers("pair_key", np.uint64),
            received_ms=numbers("received_at", np.int64),
            occurred_ms=numbers("occurred_at", np.int64),
            is_bot=numbers("is_bot", np.uint8),
            is_view=np.array([row["type"] == "view" for row in rows], dtype=np.bool_),
            store=texts("store"),
            origin=texts("origin"),
            outcome=texts("outcome"),
            time_note=texts("time_note"),
            columns={name: texts(name) for name in FAMILY_COLUMNS},
        )

    def sessions(self, partition: int, hours: list[int], only: U64 | None = None) -> StoredSessions:
        asked = set(hours)
        rows = [
            row
            for row in among("visitor", only, self.standing(partition))
            if not asked.isdisjoint(range(row["started_at"] // HOUR_MS, row["ended_at"] // HOUR_MS + 1))
        ]
        return StoredSessions(
            visitor=np.array([row["visitor"] for row in rows], dtype=np.uint64),
            is_bot=np.array([row["is_bot"] for row in rows], dtype=np.uint8),
            store=[row["store"] for row in rows],
            start_ms=np.array([row["started_at"] for row in rows], dtype=np.int64),
            end_ms=np.array([row["ended_at"] for row in rows], dtype=np.int64),
            views=np.array([row["views"] for row in rows], dtype=np.int64),
            actions=np.array([row["actions"] for row in rows], dtype=np.int64),
            entry={name: [row[name] for row in rows] for name in ENTRY_COLUMNS},
            exit_page=[row[EXIT_COLUMN] for row in rows],
        )

    def applied(self, partition: int) -> int:
        return self._fences[partition].get(CLICK_TABLES[-1].name, -1)

    def standing(self, partition: int) -> list[Row]:
        """Sessions whose signs do not cancel out."""
        signs: Counter[tuple[tuple[str, Any], ...]] = Counter()
        for row in self.tables["sessions"]:
            if row["source_partition"] == partition:
                what = tuple(sorted((n, v) for n, v in row.items() if n not in ("sign", "source_offset")))
                signs[what] += row["sign"]
        assert set(signs.values()) <= {0, 1}, "a session was added twice, or retracted without being there"
        return [dict(row) for row, sign in signs.items() if sign > 0]

    def _before(self, partition: int, before: int) -> Iterable[Row]:
        for row in self.tables["clicks"]:
            if row["source_partition"] == partition and row["source_offset"] < before:
                yield row

    def _in_hours(self, partition: int, hours: list[int], before: int) -> Iterable[Row]:
        return (row for row in self._before(partition, before) if row["occurred_at"] // HOUR_MS in hours)

    def ledger(self) -> dict[tuple[str, int, str, str], int]:
        """Events by (store, hour since 1970, kind, name)."""
        events: Counter[tuple[str, int, str, str]] = Counter()
        for row in self.tables["click_ledger"]:
            assert row["hour"] % 3600 == 0, "a row of the ledger is one of a whole hour"
            events[row["store"], row["hour"] // 3600, row["kind"], row["name"]] += row["events"]
        return dict(events)

    def rollups(self, stores: Mapping[str, Store]) -> dict[RollupKey, Numbers]:
        """The numbers that reports read."""
        standing = [row for partition in sorted(self._fences) for row in self.standing(partition)]
        return read_rollups(self.tables["rollups"], stores, self.tables["clicks"], standing)


class _Cell:
    def __init__(self) -> None:
        self.sums: Counter[str] = Counter()
        self.visitors: set[int] = set()
        self.moved: set[int] = set()


SUMS: Final = ("views", "actions", "refires", "sessions", "bounces", "duration_ms")


def read_rollups(
    rows: Iterable[Row], stores: Mapping[str, Store], clicks: Iterable[Row], sessions: Iterable[Row]
) -> dict[RollupKey, Numbers]:
    """Merge delta rows to numbers: quarters to the store's hours, days to months, bots in all three ways.

    Args:
        rows: Of ``rollups``.
        stores: All stores by slug.
        clicks: Facts; where visitors moved out of a set, they say who is in it still.
        sessions: Those that stand.
    """
    cells: dict[RollupKey, _Cell] = defaultdict(_Cell)
    for row in rows:
        for grain, bucket in _buckets(row, ZoneInfo(stores[row["store"]].timezone)):
            for bots in ("include", "only" if row["is_bot"] else "exclude"):
                cell = cells[RollupKey(row["store"], grain, bucket, row["dimension"], row["value"], bots)]
                cell.sums.update({name: row[name] for name in SUMS})
                cell.visitors.update(row["visitor_ids"])
                cell.moved.update(row["moved"])
    moved = {visitor for cell in cells.values() for visitor in cell.moved}
    there = _there(moved, clicks, sessions, stores) if moved else {}
    return {
        key: Numbers(
            visitors=len(cell.visitors) - len(cell.moved - there.get(key, set())),
            **{name: cell.sums[name] for name in SUMS},
        )
        for key, cell in cells.items()
        if any(cell.sums.values())
    }


def _there(
    visitors: set[int], clicks: Iterable[Row], sessions: Iterable[Row], stores: Mapping[str, Store]
) -> dict[RollupKey, set[int]]:
    """Under which values of visits some visitors have events."""
    found: dict[RollupKey, set[int]] = defaultdict(set)
    visits = [row for row in sessions if row["visitor"] in visitors]
    for click in clicks:
        if click["visitor"] not in visitors:
            continue
        begun = next(
            visit
            for visit in visits
            if all(visit[name] == click[name] for name in ("source_partition", "visitor", "is_bot"))
            and visit["started_at"] <= click["occurred_at"] <= visit["ended_at"]
        )
        quarter = click["occurred_at"] // QUARTER_MS * QUARTER_MS // 1000
        zone = ZoneInfo(stores[click["store"]].timezone)
        day = int(local_day(click["occurred_at"], zone).timestamp())
        for dimension in STORED:
            for grain, bucket in (("quarter", quarter), ("day", day)):
                for named, at in _buckets({"grain": grain, "bucket": bucket}, zone):
                    for bots in ("include", "only" if click["is_bot"] else "exclude"):
                        if dimension.scope == "visit" and dimension.column is not None:
                            value = begun[dimension.column]
                            found[RollupKey(click["store"], named, at, dimension.name, value, bots)].add(
                                click["visitor"]
                            )
    return found


def _buckets(row: Row, zone: ZoneInfo) -> list[tuple[str, datetime]]:
    bucket = datetime.fromtimestamp(row["bucket"], UTC)
    if row["grain"] == "quarter":
        return [("hour", hour_start(bucket, zone))]
    return [("day", bucket), ("month", bucket.replace(day=1))]
