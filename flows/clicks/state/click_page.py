"""One hour of event time, as re-fires and rates need it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from flows.arrays.hashing import distinct, mix
from flows.arrays.sorted_runs import KeyCounts, KeyNumbers
from flows.arrays.types import I64, U64
from marketplace.clicks.outcomes import REFIRE_WINDOW_MS

HOUR_MS: Final = 3_600_000
MINUTE_MS: Final = 60_000

_FEW_HOURS: Final = 32


class ClickPage:
    """One hour of event time: counted clicks by (pair, two-second bucket), and events by (visitor, minute)."""

    def __init__(self) -> None:
        self.clicks = KeyNumbers()
        self.minutes = KeyCounts()

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self.clicks.nbytes + self.minutes.nbytes


def bucket_keys(pair: U64, when_ms: I64, step: int = 0) -> U64:
    """Keys of a pair and the two-second bucket of a time, or of the bucket ``step`` beside it."""
    return mix(pair, when_ms // REFIRE_WINDOW_MS + step)


def by_hour(hours: I64) -> dict[int, I64]:
    """Positions of the elements of each hour."""
    if len(hours) and hours.max() - hours.min() <= _FEW_HOURS:
        # The usual batch spans few hours, and need not be sorted for them.
        return {hour: np.flatnonzero(hours == hour) for hour in distinct(hours).tolist()}
    order = np.argsort(hours, kind="stable")
    ordered = hours[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
    return dict(zip(ordered[starts].tolist(), np.split(order, starts[1:]), strict=False))


def fill(pages: Mapping[int, ClickPage], clicks: tuple[U64, I64], minutes: tuple[U64, I64, I64]) -> None:
    """Add to the page of each hour what was read back of it.

    Args:
        pages: By hour.
        clicks: Pairs and times, epoch milliseconds.
        minutes: Visitors, minutes since 1970 and numbers of events.
    """
    pairs, moments = clicks
    for hour, at in by_hour(moments // HOUR_MS).items():
        pages[hour].clicks.add(bucket_keys(pairs[at], moments[at]), moments[at])
    visitors, minute, events = minutes
    for hour, at in by_hour(minute * MINUTE_MS // HOUR_MS).items():
        pages[hour].minutes.add(mix(visitors[at], minute[at]), events[at])
