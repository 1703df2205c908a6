"""The sessions of one partition that are in memory.

They lie in sorted runs, like the keys of pages: a batch looks up its own visitors and moves their sessions alone,
however many others are open.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from flows.arrays.hashing import distinct
from flows.arrays.sorted_runs import settle
from flows.arrays.types import I32, I64, U64, Bools
from flows.clicks.model.sessions import SessionRows, merge, owners


class _Run:
    """Sessions ordered by owner. One that is no more is struck out, and leaves when the run is written again."""

    def __init__(self, rows: SessionRows) -> None:
        owner = owners(rows.visitor, rows.is_bot)
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


@dataclass(frozen=True)
class Merge:
    """What events make of the sessions; nothing has changed yet.

    Attributes:
        retracted: Sessions as they were and are no more.
        added: Sessions as they are now.
        entry: For each event, the codes of the first event of its session.
        moved: Which of the retracted sessions begin with another event now.
        moved_entry: For each of those, the codes of that event.
    """

    retracted: SessionRows
    added: SessionRows
    entry: I32
    moved: Bools
    moved_entry: I32
    _taken: list[tuple[_Run, I64]]
    _joined: SessionRows


class Sessions:
    """Sessions, found by owner.

    Args:
        encoders: How many codes an entry has.
        page: Which of the encoders is that of pages, and of exits.
        of_visits: Those whose values an event takes from its session; with other ones a session does not move.
    """

    def __init__(self, encoders: int, page: int, of_visits: Sequence[int]) -> None:
        self._none, self._page, self._of_visits = SessionRows.empty(encoders), page, list(of_visits)
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

    def merge(self, events: SessionRows) -> Merge:
        """What events (intervals of no length, in arrival order) make of the sessions."""
        taken = list(self._find(events))
        before = SessionRows.concat([self._none, *(run.rows.take(at) for run, at in taken)])
        joined, holder = merge(SessionRows.concat([before, events]))
        of_before, of_events = holder[: len(before)], holder[len(before) :]
        wanted = np.zeros(len(joined), dtype=np.bool_)
        wanted[of_events] = True
        changed = wanted[of_before]
        retracted, entry = before.take(changed), joined.entry[of_before[changed]]
        moved = (retracted.entry[:, self._of_visits] != entry[:, self._of_visits]).any(axis=1)
        return Merge(retracted, joined.take(wanted), joined.entry[of_events], moved, entry[moved], taken, joined)

    def apply(self, merged: Merge) -> None:
        """Make the sessions what events made of them; nothing may have changed since."""
        for run, at in merged._taken:
            run.strike(at)
        self._put(merged._joined)

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

    def codes(self, encoder: int) -> I32:
        """All codes of one encoder that sessions keep."""
        rows = self.rows
        entry = rows.entry[:, encoder]
        return np.concatenate((entry, rows.exit)) if encoder == self._page else entry

    def recode(self, encoder: int, codes: I32) -> None:
        """Take new ones for them, after the encoder's answers were compacted."""
        rows = self.rows
        entry = rows.entry.copy()
        entry[:, encoder] = codes[: len(rows)]
        ends = codes[len(rows) :] if encoder == self._page else rows.exit
        self._runs = [_Run(replace(rows, entry=entry, exit=ends))]

    def _find(self, rows: SessionRows) -> Iterator[tuple[_Run, I64]]:
        wanted = distinct(owners(rows.visitor, rows.is_bot))
        return ((run, run.find(wanted)) for run in self._runs)

    def _put(self, rows: SessionRows) -> None:
        self._runs = [_Run(run.left()) if run.sparse else run for run in self._runs]
        self._runs.append(_Run(rows))
        settle(self._runs, _join)
