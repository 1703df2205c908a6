"""Record bytes to typed columns. A record that cannot be read becomes a ``Reject`` and hurts no other."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec
import numpy as np

from flows.clicks.batch import U64, Columns, RawBatch, Reject
from marketplace.events import CollectedClick, decode_click

_HEX64: Final = re.compile(r"[0-9a-f]{16}")
_MAX_TIME_MS: Final = 1 << 53
"""Client times beyond this are not times; everything below is clamped or refused by the clock rules, by name."""

_MAX_RECEIVED_MS: Final = 4_102_444_800_000
"""2100-01-01. The collector's clock is what everything else is measured by, and a table's times end in 2106."""

MAX_DETAIL_CHARS: Final = 200


def _problem(event: CollectedClick) -> str | None:
    if not _HEX64.fullmatch(event.key):
        return "key: not 16 hex digits"
    if not _HEX64.fullmatch(event.visitor):
        return "visitor: not 16 hex digits"
    if not 0 <= event.received_at_ms < _MAX_RECEIVED_MS:
        return "received_at_ms: not a time"
    for name, value in (("occurred_at_ms", event.occurred_at_ms), ("sent_at_ms", event.sent_at_ms)):
        if value is not None and not 0 <= value < _MAX_TIME_MS:
            return f"{name}: not a time"
    return None


def _read(value: bytes) -> CollectedClick:
    # The decoder skips fields that it does not know without looking at their bytes; a record is text in all its parts.
    if not value.isascii():
        value.decode()
    return decode_click(value)


def _hashes(texts: list[str]) -> U64:
    # One call for the whole column; every text is exactly 16 hex digits by now.
    return np.frombuffer(bytes.fromhex("".join(texts)), dtype=">u8").astype(np.uint64)


def columns_of(events: list[CollectedClick], rows: list[int], offsets: list[int]) -> Columns:
    """Arrays of valid events."""
    return Columns(
        events=events,
        rows=np.array(rows, dtype=np.int64),
        offsets=np.array(offsets, dtype=np.int64),
        key=_hashes([e.key for e in events]),
        visitor=_hashes([e.visitor for e in events]),
        received_ms=np.array([e.received_at_ms for e in events], dtype=np.int64),
        occurred_ms=np.array([-1 if e.occurred_at_ms is None else e.occurred_at_ms for e in events], dtype=np.int64),
        sent_ms=np.array([-1 if e.sent_at_ms is None else e.sent_at_ms for e in events], dtype=np.int64),
    )


def decode(batch: RawBatch, known_store: Callable[[str], bool]) -> tuple[Columns, list[Reject]]:
    """Split a batch into readable events and rejects.

    Args:
        batch: The records.
        known_store: Whether a store exists; asked once per event, so it should be a set's membership.
    """
    events: list[CollectedClick] = []
    rows: list[int] = []
    rejects: list[Reject] = []

    def reject(row: int, store: str, reason: str, detail: str) -> None:
        offset, value = batch.offsets[row], batch.values[row]
        rejects.append(Reject(batch.partition, offset, value, store, reason, detail[:MAX_DETAIL_CHARS]))

    for row, value in enumerate(batch.values):
        try:
            event = _read(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            reject(row, "", "unreadable", str(error))
            continue
        problem = _problem(event)
        if problem is not None:
            reject(row, "", "malformed", problem)
        elif not known_store(event.store):
            reject(row, event.store, "unknown_store", f"no store {event.store!r}")
        else:
            events.append(event)
            rows.append(row)
    offsets = [batch.offsets[row] for row in rows]
    return columns_of(events, rows, offsets), rejects
