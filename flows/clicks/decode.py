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
_ALL_HEX: Final = re.compile(r"[0-9a-f]*")
_HEX_CHARS: Final = 16
_TOGETHER: Final = 128
"""Records that are read at once: half the cost of one by one, and so few that one broken record slows few others."""
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
        known_store: Whether a store exists; asked for each distinct one of a few records.
    """
    events: list[CollectedClick] = []
    rows: list[int] = []
    rejects: list[Reject] = []
    for start in range(0, len(batch.values), _TOGETHER):
        chunk = batch.values[start : start + _TOGETHER]
        together = _read_together(chunk, known_store)
        if together is not None:
            events += together
            rows += range(start, start + len(chunk))
            continue
        for row, value in enumerate(chunk, start):
            event = _read_alone(batch, row, value, known_store, rejects)
            if event is not None:
                events.append(event)
                rows.append(row)
    offsets = batch.offsets if len(rows) == len(batch.offsets) else [batch.offsets[row] for row in rows]
    return columns_of(events, rows, offsets), rejects


def _read_together(values: list[bytes], known_store: Callable[[str], bool]) -> list[CollectedClick] | None:
    """The events of a few records if nothing is wrong with any of them; else each has to be looked at."""
    try:
        if not all(map(bytes.isascii, values)):
            for value in values:
                value.decode()
        events = list(map(decode_click, values))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    ids = [event.key for event in events] + [event.visitor for event in events]
    times = [event.occurred_at_ms for event in events] + [event.sent_at_ms for event in events]
    told = [time for time in times if time is not None]
    received = [event.received_at_ms for event in events]
    sound = (
        _ALL_HEX.fullmatch("".join(ids)) is not None
        and set(map(len, ids)) == {_HEX_CHARS}
        and min(received) >= 0
        and max(received) < _MAX_RECEIVED_MS
        and (not told or (min(told) >= 0 and max(told) < _MAX_TIME_MS))
        and all(map(known_store, {event.store for event in events}))
    )
    return events if sound else None


def _read_alone(
    batch: RawBatch, row: int, value: bytes, known_store: Callable[[str], bool], rejects: list[Reject]
) -> CollectedClick | None:
    """The event of a record; where there is none, ``rejects`` is told why."""

    def reject(store: str, reason: str, detail: str) -> None:
        offset = batch.offsets[row]
        rejects.append(Reject(batch.partition, offset, value, store, reason, detail[:MAX_DETAIL_CHARS]))

    try:
        event = _read(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reject("", "unreadable", str(error))
        return None
    problem = _problem(event)
    if problem is not None:
        reject("", "malformed", problem)
        return None
    if not known_store(event.store):
        reject(event.store, "unknown_store", f"no store {event.store!r}")
        return None
    return event
