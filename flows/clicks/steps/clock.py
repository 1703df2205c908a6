"""When an event really happened, from three clocks of which only the collector's is trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flows.arrays.types import I64, Bools
from flows.clicks.model.columns import Columns
from marketplace.clicks.outcomes import CLOCK_TOLERANCE_MS, MAX_LATENESS, OLDEST_MS

_MAX_LATENESS_MS = int(MAX_LATENESS.total_seconds() * 1000)


@dataclass(frozen=True)
class Times:
    """The corrected time of each event and what was done to it."""

    occurred_ms: I64
    corrected: Bools
    clamped: Bools
    late: Bools

    def take(self, mask: Bools) -> Times:
        """The times of the events at which ``mask`` holds."""
        return Times(self.occurred_ms[mask], self.corrected[mask], self.clamped[mask], self.late[mask])


def correct(columns: Columns) -> Times:
    """Remove the client clock's skew, clamp the future, find what is too late.

    With ``sent_at`` the event's age when it was sent is known, by the client's own clock; that age is counted
    back from the collector's clock, so a clock that is a day or forty years off does no harm; being off by more than
    a minute is worth a note. Without it the client's
    time is believed, but never beyond the time of receipt. An imported log's times are a server's and are believed.
    """
    received, occurred, sent = columns.received_ms, columns.occurred_ms, columns.sent_ms
    timed = occurred >= 0
    can_correct = timed & (sent >= 0) & ~columns.imported
    age = np.maximum(sent - occurred, 0)
    when = np.where(can_correct, received - age, np.where(timed, occurred, received))
    clamped = when > received
    when = np.minimum(when, received)
    late = (when < OLDEST_MS) | (~columns.imported & (when < received - _MAX_LATENESS_MS))
    corrected = can_correct & (np.abs(when - occurred) > CLOCK_TOLERANCE_MS)
    return Times(when, corrected, clamped, late)
