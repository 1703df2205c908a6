"""What rivals that work one event at a time write: rows of the product's tables, collected and inserted in blocks."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from connectors.clickhouse import ClickHouse
from flows.clicks.structure import structure_of
from marketplace.enrichments import ENRICHMENTS
from marketplace.events import CollectedClick
from marketplace.settings import Settings
from marketplace.tables import CLICKS, LEDGER, ROLLUPS, SESSION_DIMENSIONS, SESSIONS

COLUMNS: Final = (*(name for enrichment in ENRICHMENTS for name in enrichment.columns), "page", "product")
_CLICK: Final = (
    "source_partition", "source_offset", "event_id", "store", "dedupe_key", "occurred_at", "received_at", "type",
    "origin", "outcome", "visitor", "visitor_kind", "is_bot", "bot_reasons", "time_note", "ip", "target", "sampling",
)  # fmt: skip


@dataclass
class Session:
    """A visit."""

    store: str
    visitor: str
    is_bot: int
    start_ms: int
    end_ms: int
    clicks: int
    values: tuple[str, ...]
    gone: bool = False

    def plain(self) -> tuple[Any, ...]:
        """As it is now."""
        return self.store, self.visitor, self.is_bot, self.start_ms, self.end_ms, self.clicks, self.values


def _cell() -> list[Any]:
    return [0, 0, 0, 0, 0, set()]


class Inserter:
    """Collects rows and inserts them."""

    def __init__(self, settings: Settings) -> None:
        self._clickhouse = ClickHouse(settings.urls.clickhouse, settings.database)
        self.cells: dict[tuple[Any, ...], list[Any]] = defaultdict(_cell)
        self.ledger: Counter[tuple[str, int, str, str]] = Counter()
        self._clicks: list[tuple[Any, ...]] = []
        self._values: list[tuple[str, ...]] = []
        self._sessions: list[tuple[Any, ...]] = []

    def add_click(
        self, partition: int, offset: int, event: CollectedClick, when: int, outcome: str, is_bot: int, reasons: str,
        note: str, values: tuple[str, ...],
    ) -> None:  # fmt: skip
        """A fact."""
        self._clicks.append(
            (
                partition, offset, event.event_id, event.store, int(event.key, 16), when, event.received_at_ms,
                event.type, event.origin, outcome, int(event.visitor, 16), event.visitor_kind, is_bot, reasons, note,
                event.ip, event.target, event.sampling,
            )
        )  # fmt: skip
        self._values.append(values)

    def add_session(self, session: tuple[Any, ...], sign: int) -> None:
        """A visit as it was (-1) or is now (1)."""
        self._sessions.append((*session, sign))

    def flush(self) -> None:
        """Insert everything."""
        if self._clicks:
            self._insert(CLICKS, self._click_rows())
        if self.cells:
            self._insert(ROLLUPS, self._rollup_rows())
        if self._sessions:
            self._insert(SESSIONS, self._session_rows())
        if self.ledger:
            self._insert(LEDGER, self._ledger_rows())
        self._clicks, self._values, self._sessions = [], [], []
        self.cells.clear()
        self.ledger.clear()

    def _insert(self, table: Any, rows: dict[str, pa.Array]) -> None:
        shape = [(name, kind) for name, kind in structure_of(table) if name in rows]
        self._clickhouse.insert_where(table.name, shape, pa.table(rows), "1", uuid.uuid4().hex)

    def _click_rows(self) -> dict[str, pa.Array]:
        rows = {name: list(column) for name, column in zip(_CLICK, zip(*self._clicks, strict=True), strict=True)}
        wide = {name: pa.uint64() for name in ("dedupe_key", "visitor")}
        data = {name: pa.array(column, wide.get(name)) for name, column in rows.items()}
        for name in ("occurred_at", "received_at"):
            data[name] = pa.array(rows[name], pa.timestamp("ms", tz="UTC"))
        for name in ("store", "type", "origin", "outcome", "visitor_kind", "bot_reasons", "time_note", "ip"):
            data[name] = data[name].dictionary_encode()
        for name, column in zip(COLUMNS, zip(*self._values, strict=True), strict=True):
            data[name] = pa.array(list(column), pa.string()).dictionary_encode()
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
            "visitor_ids": pa.array([[int(v, 16) for v in cell[5]] for cell in cells], pa.list_(pa.uint64())),
            **self._nowhere(len(cells)),
        }
        for at, name in enumerate(("clicks", "refires", "sessions", "bounces", "duration_ms")):
            data[name] = pa.array([cell[at] for cell in cells], pa.int64())
        return data

    def _session_rows(self) -> dict[str, pa.Array]:
        columns = [list(part) for part in zip(*self._sessions, strict=True)]
        store, visitor, is_bot, start, end, clicks, values, sign = columns
        data = {
            "store": pa.array(store).dictionary_encode(),
            "visitor": pa.array([int(v, 16) for v in visitor], pa.uint64()),
            "is_bot": pa.array(is_bot, pa.uint8()),
            "started_at": pa.array(start, pa.timestamp("ms", tz="UTC")),
            "ended_at": pa.array(end, pa.timestamp("ms", tz="UTC")),
            "clicks": pa.array(clicks, pa.uint32()),
            "sign": pa.array(sign, pa.int8()),
            **self._nowhere(len(store)),
        }
        for at, name in enumerate(COLUMNS):
            if name in SESSION_DIMENSIONS:
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
        """Sums of several partitions at once belong to none."""
        return {
            "source_partition": pa.array([0] * count, pa.uint16()),
            "source_offset": pa.array([0] * count, pa.uint64()),
        }
