"""Sessions as intervals: a pure function of the set of events, whatever order they came in.

A session is a maximal run of one visitor's events with no gap longer than 30 minutes. New events are merged into the
intervals that are known; a late event may bridge two. What changed comes out as rows to retract and rows to add.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

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
        views, actions: Page views, and other events; re-fires are neither.
        entry: Codes of the first event's encoders, one column each.
        exit: The page encoder's code of the last event.
    """

    visitor: U64
    is_bot: U8
    store: I32
    start_ms: I64
    end_ms: I64
    views: I64
    actions: I64
    entry: I32
    exit: I32

    def __len__(self) -> int:
        return len(self.visitor)

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return sum(getattr(self, name).nbytes for name in _COLUMNS)

    @property
    def bounces(self) -> Bools:
        """Which are bounces: one page was seen and nothing done."""
        return np.asarray((self.views <= 1) & (self.actions == 0), dtype=np.bool_)

    def take(self, at: Bools | I64) -> SessionRows:
        """The rows at which a mask holds, or at given positions."""
        return SessionRows(*(getattr(self, name)[at] for name in _COLUMNS))

    @staticmethod
    def concat(parts: Sequence[SessionRows]) -> SessionRows:
        """Rows of all parts, in order."""
        if len(parts) == 1:
            return parts[0]
        return SessionRows(*(np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS))

    @staticmethod
    def empty(encoders: int) -> SessionRows:
        """No rows."""
        none = np.empty(0, np.int64)
        codes = np.empty(0, np.int32)
        ids, flags = np.empty(0, np.uint64), np.empty(0, np.uint8)
        return SessionRows(ids, flags, codes, none, none, none, none, np.empty((0, encoders), np.int32), codes)


_COLUMNS: Final = tuple(column.name for column in fields(SessionRows))


def owners(visitor: U64, is_bot: U8 | np.uint8) -> U64:
    """One key per (visitor, is_bot): whose sessions merge with each other."""
    turned = (visitor << np.uint64(1)) | (visitor >> np.uint64(63))
    return np.asarray(turned ^ is_bot, dtype=np.uint64)


def merge(rows: SessionRows) -> tuple[SessionRows, I64]:
    """Join intervals that touch.

    Args:
        rows: Intervals in any order; of those that start together the earliest row names the entry, and of those that
            end together the latest row names the exit.

    Returns:
        The joined intervals, and for each given row the position of the one that holds it.
    """
    if not len(rows):
        return rows, np.empty(0, dtype=np.int64)
    owner = owners(rows.visitor, rows.is_bot)
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
    group = np.cumsum(begins) - 1
    end = np.maximum.reduceat(sorted_rows.end_ms, first)
    last = np.maximum.reduceat(np.where(sorted_rows.end_ms == end[group], order, -1), first)
    joined = SessionRows(
        sorted_rows.visitor[first],
        sorted_rows.is_bot[first],
        sorted_rows.store[first],
        sorted_rows.start_ms[first],
        end,
        np.add.reduceat(sorted_rows.views, first),
        np.add.reduceat(sorted_rows.actions, first),
        sorted_rows.entry[first],
        rows.exit[last],
    )
    holder = np.empty(len(rows), dtype=np.int64)
    holder[order] = group
    return joined, holder
