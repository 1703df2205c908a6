"""The sessions of one partition that are in memory.

They lie in sorted runs, like the keys of pages: a batch looks up its own visitors and moves their sessions alone,
however many others are open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from flows.arrays.hashing import distinct
from flows.arrays.sorted_runs import settle
from flows.arrays.types import I32, I64, U64
from flows.clicks.model.sessions import SessionRows, merge, owners


class _Run:
    """Sessions ordered by owner. One that is no more is struck out, and leaves when the run is written again."""

    def __init__(self, rows: SessionRows) -> None:
        owner = owners(rows)
        order = np.argsort(owner, kind="stable")
        self.rows, self.owner = rows.take(order), owner[order]
        self._holds = np.ones(len(rows), dtype=np.bool_)
        self._held = len(rows)

    def __len__(self) -> int:
        return self._held

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self.owner.nbytes + self._holds.nbytes + self.rows.nbytes

    @property
    def sparse(self) -> bool:
        """Whether most of it is struck out."""
        return 2 * self._held < len(self.owner)

    @property
    def full(self) -> bool:
        """Whether nothing is struck out."""
        return self._held == len(self.owner)

    def find(self, wanted: U64) -> I64:
        """Positions of the sessions of some owners, who ascend."""
        first = np.searchsorted(self.owner, wanted, "left")
        count = np.searchsorted(self.owner, wanted, "right") - first
        at = np.repeat(first - np.cumsum(count) + count, count) + np.arange(count.sum())
        return np.asarray(at[self._holds[at]], dtype=np.int64)

    def strike(self, at: I64) -> None:
        """Leave sessions out from now on."""
        self._holds[at] = False
        self._held -= len(at)

    def left(self) -> SessionRows:
        """The sessions that are not struck out."""
        return self.rows if self.full else self.rows.take(self._holds)


def _join(left: _Run, right: _Run) -> _Run:
    return _Run(SessionRows.concat([left.left(), right.left()]))


class Sessions:
    """Sessions, found by owner."""

    def __init__(self, encoders: int) -> None:
        self._none = SessionRows.empty(encoders)
        self._runs: list[_Run] = []

    def __len__(self) -> int:
        return sum(map(len, self._runs))

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return sum(run.nbytes for run in self._runs)

    @property
    def rows(self) -> SessionRows:
        """All of them, ordered by owner; they are moved for it."""
        if len(self._runs) != 1 or not self._runs[0].full:
            self._runs = [_Run(SessionRows.concat([self._none, *(run.left() for run in self._runs)]))]
        return self._runs[0].rows

    def add(self, events: SessionRows) -> tuple[SessionRows, SessionRows]:
        """Merge events (intervals of no length, in arrival order) into the sessions.

        Returns:
            Sessions as they were and are no more, and sessions as they are now.
        """
        before = self._take_out(events)
        joined, holder = merge(SessionRows.concat([before, events]))
        wanted = np.zeros(len(joined), dtype=np.bool_)
        wanted[holder[len(before) :]] = True
        self._put(joined)
        return before.take(wanted[holder[: len(before)]]), joined.take(wanted)

    def adopt(self, stored: SessionRows) -> None:
        """Take in sessions that were read back. One that memory knows in a newer shape is left out."""
        if not len(stored):
            return
        # A session only ever grows, so what was read back is stale exactly where an interval in memory encloses it.
        known_rows = SessionRows.concat([self._none, *(run.rows.take(at) for run, at in self._find(stored))])
        together = SessionRows.concat([known_rows, stored])
        _, holder = merge(together)
        known = np.zeros(len(together), dtype=np.bool_)
        known[holder[: len(known_rows)]] = True
        self._put(stored.take(~known[holder[len(known_rows) :]]))

    def keep(self, hours: set[int], hour_ms: int) -> None:
        """Drop sessions that overlap none of the given hours."""
        rows = self.rows
        if not len(rows):
            return
        resident = np.array(sorted(hours), dtype=np.int64)
        at = np.searchsorted(resident, rows.start_ms // hour_ms)
        first = np.append(resident, np.iinfo(np.int64).max)[at]
        self._runs = [_Run(rows.take(first <= rows.end_ms // hour_ms))]

    @property
    def entry_codes(self) -> I32:
        """Codes of the sessions' first events, one column per enrichment."""
        return self.rows.entry

    def recode(self, encoder: int, codes: I32) -> None:
        """Give one encoder's entry new codes, after its answers were compacted."""
        rows = self.rows
        entry = rows.entry.copy()
        entry[:, encoder] = codes
        self._runs = [_Run(replace(rows, entry=entry))]

    def _find(self, rows: SessionRows) -> Iterator[tuple[_Run, I64]]:
        wanted = distinct(owners(rows))
        return ((run, run.find(wanted)) for run in self._runs)

    def _take_out(self, rows: SessionRows) -> SessionRows:
        """The sessions of the owners of some rows; they are no longer in memory."""
        found = [self._none]
        for run, at in self._find(rows):
            found.append(run.rows.take(at))
            run.strike(at)
        return SessionRows.concat(found)

    def _put(self, rows: SessionRows) -> None:
        self._runs = [_Run(run.left()) if run.sparse else run for run in self._runs]
        self._runs.append(_Run(rows))
        settle(self._runs, _join)
