"""Sessions as intervals: a pure function of the set of events, whatever order they came in.

A session is a maximal run of one visitor's events with no gap longer than 30 minutes. New events are merged into the
intervals that are known; a late event may bridge two. What changed comes out as rows to retract and rows to add.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flows.arrays.types import I32, I64, U8, U64, Bools
from marketplace.clicks.outcomes import SESSION_GAP_MS


@dataclass(frozen=True)
class SessionRows:
    """Sessions as columns.

    Attributes:
        visitor: 64-bit visitor ids.
        is_bot: Whether it is a session of flagged events; a visitor's flagged and unflagged events never mix.
        store: Codes of stores.
        start_ms, end_ms: Times of the first and last event.
        clicks: Events that are not re-fires.
        entry: Codes of the first event's encoders, one column each.
    """

    visitor: U64
    is_bot: U8
    store: I32
    start_ms: I64
    end_ms: I64
    clicks: I64
    entry: I32

    def __len__(self) -> int:
        return len(self.visitor)

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        columns = (self.visitor, self.is_bot, self.store, self.start_ms, self.end_ms, self.clicks, self.entry)
        return sum(column.nbytes for column in columns)

    def take(self, at: Bools | I64) -> SessionRows:
        """The rows at which a mask holds, or at given positions."""
        return SessionRows(
            self.visitor[at],
            self.is_bot[at],
            self.store[at],
            self.start_ms[at],
            self.end_ms[at],
            self.clicks[at],
            self.entry[at],
        )

    @staticmethod
    def concat(parts: list[SessionRows]) -> SessionRows:
        """Rows of all parts, in order."""
        if len(parts) == 1:
            return parts[0]
        return SessionRows(
            np.concatenate([p.visitor for p in parts]),
            np.concatenate([p.is_bot for p in parts]),
            np.concatenate([p.store for p in parts]),
            np.concatenate([p.start_ms for p in parts]),
            np.concatenate([p.end_ms for p in parts]),
            np.concatenate([p.clicks for p in parts]),
            np.concatenate([p.entry for p in parts]),
        )

    @staticmethod
    def empty(encoders: int) -> SessionRows:
        """No rows."""
        return SessionRows(
            np.empty(0, np.uint64),
            np.empty(0, np.uint8),
            np.empty(0, np.int32),
            np.empty(0, np.int64),
            np.empty(0, np.int64),
            np.empty(0, np.int64),
            np.empty((0, encoders), np.int32),
        )


def owners(rows: SessionRows) -> U64:
    """One key per (visitor, is_bot): whose sessions merge with each other."""
    turned = (rows.visitor << np.uint64(1)) | (rows.visitor >> np.uint64(63))
    return np.asarray(turned ^ rows.is_bot, dtype=np.uint64)


def merge(rows: SessionRows) -> tuple[SessionRows, I64]:
    """Join intervals that touch.

    Args:
        rows: Intervals in any order; of two that start together the earlier row names the entry.

    Returns:
        The joined intervals, and for each given row the position of the one that holds it.
    """
    if not len(rows):
        return rows, np.empty(0, dtype=np.int64)
    owner = owners(rows)
    order = np.lexsort((np.arange(len(rows)), rows.start_ms, owner))
    sorted_rows, sorted_owner = rows.take(order), owner[order]
    new_owner = np.ones(len(rows), dtype=np.bool_)
    new_owner[1:] = sorted_owner[1:] != sorted_owner[:-1]
    # Lifting each owner above the one before makes one running maximum serve them all.
    earliest = sorted_rows.start_ms.min()
    lift = np.cumsum(new_owner) * (sorted_rows.end_ms.max() - earliest + 1)
    reach = np.maximum.accumulate(sorted_rows.end_ms - earliest + lift) - lift + earliest
    begins = new_owner.copy()
    begins[1:] |= sorted_rows.start_ms[1:] - reach[:-1] > SESSION_GAP_MS
    first = np.flatnonzero(begins)
    joined = SessionRows(
        sorted_rows.visitor[first],
        sorted_rows.is_bot[first],
        sorted_rows.store[first],
        sorted_rows.start_ms[first],
        np.maximum.reduceat(sorted_rows.end_ms, first),
        np.add.reduceat(sorted_rows.clicks, first),
        sorted_rows.entry[first],
    )
    holder = np.empty(len(rows), dtype=np.int64)
    holder[order] = np.cumsum(begins) - 1
    return joined, holder
