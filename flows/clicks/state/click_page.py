"""One hour of event time, as re-fires and rates need it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from flows.arrays.hashing import distinct, mix
from flows.arrays.sorted_runs import KeyCounts, KeyNumbers
from flows.arrays.types import I32, I64, U8, U64
from flows.clicks.model.sessions import owners
from marketplace.clicks.outcomes import REFIRE_WINDOW_MS

HOUR_MS: Final = 3_600_000
MINUTE_MS: Final = 60_000

_FEW_HOURS: Final = 32


class ClickPage:
    """One hour of event time: counted events by (pair, two-second bucket), and all by (visitor, bot or not, minute).

    Attributes:
        minutes: Page views, actions and re-fires of each owner of sessions in each minute.
    """

    def __init__(self) -> None:
        self.clicks = KeyNumbers()
        self.minutes = KeyCounts(width=3)

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


@dataclass(frozen=True)
class Minutes:
    """Events by visitor and minute, as columns.

    Attributes:
        visitor: 64-bit visitor ids.
        is_bot: 0 or 1.
        minute: Since 1970.
        counts: Page views, actions and re-fires, a row each.
    """

    visitor: U64
    is_bot: U8
    minute: I64
    counts: I32

    def __len__(self) -> int:
        return len(self.visitor)

    def of(self, visitors: U64) -> Minutes:
        """Those of some visitors."""
        at = np.isin(self.visitor, visitors)
        return Minutes(self.visitor[at], self.is_bot[at], self.minute[at], self.counts[at])


def minute_keys(owner: U64, minute: I64) -> U64:
    """Keys of an owner of sessions and a minute."""
    return mix(owner, minute)


def fill_minutes(pages: Mapping[int, ClickPage], minutes: Minutes) -> None:
    """Add to the page of each hour its minutes."""
    keys = minute_keys(owners(minutes.visitor, minutes.is_bot), minutes.minute)
    for hour, at in by_hour(minutes.minute * MINUTE_MS // HOUR_MS).items():
        pages[hour].minutes.add(keys[at], minutes.counts[at])


def fill(pages: Mapping[int, ClickPage], clicks: tuple[U64, I64], minutes: Minutes) -> None:
    """Add to the page of each hour what was read back of it.

    Args:
        pages: By hour.
        clicks: Pairs and times, epoch milliseconds.
        minutes: Events by visitor and minute.
    """
    pairs, moments = clicks
    for hour, at in by_hour(moments // HOUR_MS).items():
        pages[hour].clicks.add(bucket_keys(pairs[at], moments[at]), moments[at])
    fill_minutes(pages, minutes)
