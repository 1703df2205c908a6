"""Rows of the product's tables, collected and inserted in blocks by rivals that process one event at a time."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import pyarrow as pa

from connectors.clickhouse.client import ClickHouse
from connectors.clickhouse.insert_shape import structure_of
from marketplace.clicks.events import CollectedClick
from marketplace.enrichments import ENRICHMENTS
from marketplace.tables import CLICKS, ENTRY_COLUMNS, LEDGER, ROLLUPS, SESSIONS
from runtime.sections import Settings

COLUMNS: Final = (*(name for enrichment in ENRICHMENTS for name in enrichment.columns), "page", "product")


class Plain(NamedTuple):
    """The state of a session; ``pieces`` are its views, actions and re-fires by quarter of an hour."""

    store: str
    visitor: str
    is_bot: int
    start_ms: int
    end_ms: int
    views: int
    actions: int
    exit_page: str
    values: tuple[str, ...]
    pieces: tuple[tuple[int, int, int, int], ...]


class Click(NamedTuple):
    """A fact; ``values`` are those of ``COLUMNS``."""

    partition: int
    offset: int
    event: CollectedClick
    when: int
    outcome: str
    is_bot: int
    reasons: str
    kind: str
    note: str
    values: tuple[str, ...]


@dataclass
class Session:
    """A session; ``number`` is unique, ``pieces`` are its views, actions and re-fires by quarter of an hour."""

    number: int
    store: str
    visitor: str
    is_bot: int
    start_ms: int
    end_ms: int
    exit_page: str
    values: tuple[str, ...]
    pieces: dict[int, list[int]]
    gone: bool = False

    def plain(self) -> Plain:
        """Its current state."""
        pieces = tuple((quarter, views, acts, again) for quarter, (views, acts, again) in self.pieces.items())
        return Plain(
            self.store,
            self.visitor,
            self.is_bot,
            self.start_ms,
            self.end_ms,
            sum(piece[1] for piece in pieces),
            sum(piece[2] for piece in pieces),
            self.exit_page,
            self.values,
            pieces,
        )


def _cell() -> list[Any]:
    return [0, 0, 0, 0, 0, 0, set(), set()]


class Inserter:
    """Collects rows and inserts them."""

    def __init__(self, settings: Settings) -> None:
        self._clickhouse = ClickHouse(settings.urls.clickhouse, settings.database)
        self.cells: dict[tuple[Any, ...], list[Any]] = defaultdict(_cell)
        self.ledger: Counter[tuple[str, int, str, str]] = Counter()
        self.clicks: list[Click] = []
        self.sessions: list[tuple[Any, ...]] = []

    def flush(self) -> None:
        """Insert everything."""
        if self.clicks:
            self._insert(CLICKS, self._click_rows())
        if self.cells:
            self._insert(ROLLUPS, self._rollup_rows())
        if self.sessions:
            self._insert(SESSIONS, self._session_rows())
        if self.ledger:
            self._insert(LEDGER, self._ledger_rows())
        self.clicks, self.sessions = [], []
        self.cells.clear()
        self.ledger.clear()

    def _insert(self, table: Any, rows: dict[str, pa.Array]) -> None:
        shape = [(name, kind) for name, kind in structure_of(table) if name in rows]
        self._clickhouse.insert_where(table.name, shape, pa.table(rows), "1", uuid.uuid4().hex)

    def _click_rows(self) -> dict[str, pa.Array]:
        clicks = self.clicks
        events = [click.event for click in clicks]
        moment, category = pa.timestamp("ms", tz="UTC"), pa.string()
        data = {
            "source_partition": pa.array([c.partition for c in clicks], pa.uint16()),
            "source_offset": pa.array([c.offset for c in clicks], pa.uint64()),
            "event_id": pa.array([e.event_id for e in events], pa.string()),
            "dedupe_key": pa.array([int(e.key, 16) for e in events], pa.uint64()),
            "occurred_at": pa.array([c.when for c in clicks], moment),
            "received_at": pa.array([e.received_at_ms for e in events], moment),
            "visitor": pa.array([int(e.visitor, 16) for e in events], pa.uint64()),
            "is_bot": pa.array([c.is_bot for c in clicks], pa.uint8()),
            "target": pa.array([e.target for e in events], pa.string()),
            "sampling": pa.array([e.sampling for e in events], pa.float32()),
            "store": pa.array([e.store for e in events], category).dictionary_encode(),
            "type": pa.array([e.type for e in events], category).dictionary_encode(),
            "origin": pa.array([e.origin for e in events], category).dictionary_encode(),
            "outcome": pa.array([c.outcome for c in clicks], category).dictionary_encode(),
            "visitor_kind": pa.array([e.visitor_kind for e in events], category).dictionary_encode(),
            "bot_reasons": pa.array([c.reasons for c in clicks], category).dictionary_encode(),
            "bot_kind": pa.array([c.kind for c in clicks], category).dictionary_encode(),
            "name": pa.array([e.name for e in events], category).dictionary_encode(),
            "time_note": pa.array([c.note for c in clicks], category).dictionary_encode(),
            "ip": pa.array([e.ip for e in events], category).dictionary_encode(),
        }
        for at, name in enumerate(COLUMNS):
            data[name] = pa.array([c.values[at] for c in clicks], category).dictionary_encode()
        return data

    def _rollup_rows(self) -> dict[str, pa.Array]:
        store, grain, dimension, bucket, value, is_bot = (list(part) for part in zip(*self.cells, strict=True))
        cells = list(self.cells.values())
        data = {
            "store": pa.array(store).dictionary_encode(),
            "grain": pa.array(grain).dictionary_encode(),
            "dimension": pa.array(dimension).dictionary_encode(),
            "bucket": pa.array(bucket, pa.timestamp("s", tz="UTC")),
            "value": pa.array(value, pa.string()),
            "is_bot": pa.array(is_bot, pa.uint8()),
            "visitor_ids": pa.array([list(cell[6]) for cell in cells], pa.list_(pa.uint64())),
            "moved": pa.array([list(cell[7]) for cell in cells], pa.list_(pa.uint64())),
            **self._nowhere(len(cells)),
        }
        for at, name in enumerate(("views", "actions", "refires", "sessions", "bounces", "duration_ms")):
            data[name] = pa.array([cell[at] for cell in cells], pa.int64())
        return data

    def _session_rows(self) -> dict[str, pa.Array]:
        columns = [list(part) for part in zip(*self.sessions, strict=True)]
        store, visitor, is_bot, start, end, views, actions, exit_page, values, _, sign = columns
        data = {
            "store": pa.array(store).dictionary_encode(),
            "visitor": pa.array([int(v, 16) for v in visitor], pa.uint64()),
            "is_bot": pa.array(is_bot, pa.uint8()),
            "started_at": pa.array(start, pa.timestamp("ms", tz="UTC")),
            "ended_at": pa.array(end, pa.timestamp("ms", tz="UTC")),
            "views": pa.array(views, pa.uint32()),
            "actions": pa.array(actions, pa.uint32()),
            "exit_page": pa.array(exit_page, pa.string()),
            "sign": pa.array(sign, pa.int8()),
            **self._nowhere(len(store)),
        }
        for at, name in enumerate(COLUMNS):
            if name in ENTRY_COLUMNS:
                data[name] = pa.array([v[at] for v in values], pa.string()).dictionary_encode()
        return data

    def _ledger_rows(self) -> dict[str, pa.Array]:
        store, hour, kind, name = (list(part) for part in zip(*self.ledger, strict=True))
        return {
            "store": pa.array(store).dictionary_encode(),
            "hour": pa.array([h * 3600 for h in hour], pa.timestamp("s", tz="UTC")),
            "kind": pa.array(kind).dictionary_encode(),
            "name": pa.array(name).dictionary_encode(),
            "events": pa.array(list(self.ledger.values()), pa.uint64()),
            **self._nowhere(len(store)),
        }

    @staticmethod
    def _nowhere(count: int) -> dict[str, pa.Array]:
        """Partition columns of sums over several partitions, which belong to none."""
        return {
            "source_partition": pa.array([0] * count, pa.uint16()),
            "source_offset": pa.array([0] * count, pa.uint64()),
        }
