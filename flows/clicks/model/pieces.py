"""What sessions did, by quarter of an hour: what moves with them when they come to begin with another event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from flows.arrays.types import I64
from marketplace.rollups import QUARTER_MS

_QUARTER_MINUTES: Final = QUARTER_MS // 60_000


@dataclass(frozen=True)
class Pieces:
    """Pieces of sessions that have events, as columns.

    Attributes:
        session: The position of each one's session.
        start_ms: The beginning of its quarter of an hour, epoch milliseconds.
        counts: Its page views, actions and re-fires, a row each.
    """

    session: I64
    start_ms: I64
    counts: I64

    def __len__(self) -> int:
        return len(self.session)

    @staticmethod
    def of_minutes(session: I64, minute: I64, counts: I64) -> Pieces:
        """The pieces that minutes make.

        Args:
            session: The position of each minute's session, ascending.
            minute: Since 1970, ascending within a session and without a gap.
            counts: Page views, actions and re-fires of each minute, a row each.
        """
        quarter = minute // _QUARTER_MINUTES
        begins = np.ones(len(minute), dtype=np.bool_)
        begins[1:] = (session[1:] != session[:-1]) | (quarter[1:] != quarter[:-1])
        first = np.flatnonzero(begins)
        sums = np.add.reduceat(counts, first, axis=0) if len(first) else counts
        busy = sums.any(axis=1)
        return Pieces(session[first][busy], quarter[first][busy] * QUARTER_MS, sums[busy])

    @staticmethod
    def none() -> Pieces:
        """No pieces."""
        nothing = np.empty(0, dtype=np.int64)
        return Pieces(nothing, nothing, np.empty((0, 3), dtype=np.int64))
