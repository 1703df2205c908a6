"""Transport duplicates: the same event sent again."""

from __future__ import annotations

from typing import Final

import numpy as np

from flows.arrays.hashing import mix
from flows.arrays.types import I64, U64, Bools
from flows.clicks.model.columns import Columns
from flows.clicks.state.click_page import HOUR_MS
from flows.clicks.state.stored_rows import StoredFacts
from flows.clicks.steps.refires import rank_within

_FAR_MS: Final = 8 * 24 * HOUR_MS
_FAR_HOURS: Final = 64
"""Hours of 1970, in which no event can be: nothing before the year 2000 is counted."""


def filed_under(columns: Columns) -> I64:
    """The hour (since 1970) whose page an event's copies are looked for in.

    It is the hour of the client's own clock, which a copy repeats; without one, the hour of receipt. A live event
    whose clock is more than eight days off is filed by its key instead, in one of a few hours that hold nothing else:
    clocks come from anybody, and must not make the flow keep a page for every hour of ten thousand years.
    """
    timed = columns.occurred_ms >= 0
    far = timed & ~columns.imported & (np.abs(columns.occurred_ms - columns.received_ms) > _FAR_MS)
    hours = np.where(timed, columns.occurred_ms, columns.received_ms) // HOUR_MS
    return np.where(far, (columns.key % np.uint64(_FAR_HOURS)).astype(np.int64), hours)


def find_duplicates(keys: U64, hours: I64, untimed: Bools, seen: Bools) -> Bools:
    """Which events of a batch repeat an accepted one.

    An event with a time of its own is filed under that hour, and all its copies with it. One that does not is filed
    under the hour of its receipt, so its copy may lie one hour further; a copy that comes later than that counts again.

    Args:
        keys: Dedupe keys, in order of arrival.
        hours: The hour under which each is filed.
        untimed: Events without a time of their own.
        seen: Where an event of an earlier batch already decides.
    """
    duplicate = seen | (rank_within(mix(keys, hours)) > 0)
    if not untimed.any():
        return duplicate
    accepted: set[tuple[int, int]] = set()
    repeated = untimed & (rank_within(keys) + rank_within(keys[::-1])[::-1] > 0)
    for at in repeated.nonzero()[0].tolist():
        key, hour = int(keys[at]), int(hours[at])
        duplicate[at] = seen[at] or not accepted.isdisjoint({(key, hour), (key, hour - 1)})
        if not duplicate[at]:
            accepted.add((key, hour))
    return duplicate


def find_copies(columns: Columns, hours: I64, facts: StoredFacts) -> Bools:
    """Which events repeat, by the same rule, one of the facts that arrived before them.

    Args:
        columns: The events.
        hours: The hour under which each is filed.
        facts: Accepted events of the same batch.
    """
    accepted: dict[tuple[int, int], int] = {}
    known = zip(facts.key.tolist(), facts.dedupe_hour.tolist(), facts.offset.tolist(), strict=True)
    for key, hour, offset in known:
        accepted.setdefault((key, hour), offset)
    copies = []
    for own, filed, place, timed in zip(
        columns.key.tolist(), hours.tolist(), columns.offsets.tolist(), columns.occurred_ms.tolist(), strict=True
    ):
        near = (filed,) if timed >= 0 else (filed, filed - 1)
        copies.append(any(accepted.get((own, at), place) < place for at in near))
    return np.array(copies, dtype=np.bool_)
