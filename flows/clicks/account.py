"""What became of every record: ledger counts, and dead letters for what is too late."""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np
import numpy.typing as npt

from flows.clicks.batch import Columns, RawBatch, Reject
from flows.clicks.clock import Times
from flows.clicks.pages import HOUR_MS
from flows.clicks.rows import LedgerKey
from flows.clicks.stored import StoredFacts
from marketplace.outcomes import CLOCK_CORRECTED, FUTURE_CLAMPED, INVALID, LATE

_LAST_MS: Final = 4_102_444_800_000
"""2100-01-01T00:00Z."""


def count(
    batch: RawBatch, columns: Columns, rejects: list[Reject], times: Times, outcome: npt.NDArray[np.object_]
) -> Counter[LedgerKey]:
    """Ledger rows of a batch, by hour of receipt; unreadable records by their own timestamp and under no store.

    What came in is counted from the records, what became of it from the decisions; the ledger compares the two.
    """
    counts: Counter[LedgerKey] = Counter()
    position = {offset: row for row, offset in enumerate(batch.offsets)} if rejects else {}
    lost_hours = [_hour(batch.timestamps_ms[position[reject.offset]]) for reject in rejects]
    hours = (columns.received_ms // HOUR_MS).tolist()
    stores = [event.store for event in columns.events]
    for (store, hour), events in Counter(zip(stores, hours, strict=True)).items():
        counts[store, hour, "received", "received"] += events
    counts.update(("", hour, "received", "received") for hour in lost_hours)
    for (store, hour, name), events in Counter(zip(stores, hours, outcome.tolist(), strict=True)).items():
        counts[store, hour, "outcome", name] += events
    counts.update(("", hour, "outcome", INVALID.name) for hour in lost_hours)
    for name, mask in ((FUTURE_CLAMPED, times.clamped), (CLOCK_CORRECTED, times.corrected)):
        counts.update((stores[at], hours[at], "note", name) for at in np.flatnonzero(mask).tolist())
    return counts


def count_facts(facts: StoredFacts) -> Counter[LedgerKey]:
    """Ledger rows of facts that were read back: what :func:`count` made of them when they were decided."""
    counts: Counter[LedgerKey] = Counter()
    hours = (facts.received_ms // HOUR_MS).tolist()
    for store, hour, outcome, note in zip(facts.store, hours, facts.outcome, facts.time_note, strict=True):
        counts[store, hour, "received", "received"] += 1
        counts[store, hour, "outcome", outcome] += 1
        if note:
            counts[store, hour, "note", note] += 1
    return counts


def too_late(batch: RawBatch, columns: Columns, times: Times, outcome: npt.NDArray[np.object_]) -> list[Reject]:
    """Dead letters for late events: they are not counted, and they are not lost."""
    return [
        Reject(
            batch.partition,
            int(columns.offsets[at]),
            batch.values[int(columns.rows[at])],
            columns.events[at].store,
            LATE.name,
            f"happened at {int(times.occurred_ms[at])} ms, received at {int(columns.received_ms[at])} ms",
        )
        for at in np.flatnonzero(outcome == LATE.name).tolist()
    ]


def _hour(timestamp_ms: int) -> int:
    # A record without a timestamp, or with a nonsensical one, is counted under an hour that the column can hold.
    return min(max(timestamp_ms, 0), _LAST_MS) // HOUR_MS
