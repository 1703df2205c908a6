"""Outcomes of all records: ledger counts, and dead letters for late events."""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np

from flows.arrays.types import I64, U8
from flows.clicks.model.columns import Columns
from flows.clicks.model.facts import OUTCOME_NAMES, outcome_code
from flows.clicks.processed_batch import LedgerKey
from flows.clicks.rejected_record import RejectedRecord
from flows.clicks.state.click_page import HOUR_MS
from flows.clicks.state.stored_rows import StoredFacts
from flows.clicks.steps.clock import Times
from flows.delivery.batch import RawBatch
from marketplace.clicks.outcomes import CLOCK_CORRECTED, FUTURE_CLAMPED, INVALID, LATE

_LAST_MS: Final = 4_102_444_800_000
"""2100-01-01T00:00Z."""


def count(
    batch: RawBatch, columns: Columns, rejects: list[RejectedRecord], times: Times, outcome: U8
) -> Counter[LedgerKey]:
    """Ledger rows of a batch, by hour of receipt; unreadable records by their own timestamp and under no store.

    Events received are counted from the records, outcomes from the decisions; the ledger compares the two.

    Args:
        batch: The records.
        columns: Those that are events.
        rejects: Those that are not.
        times: The events' times.
        outcome: The code of each event's outcome.
    """
    counts: Counter[LedgerKey] = Counter()
    stores, owner = columns.texts["store"].used()
    hours, hour = np.unique(columns.received_ms // HOUR_MS, return_inverse=True)
    place = owner * len(hours) + hour

    def add(kind: str, names: list[str], code: I64 | U8, at: I64) -> None:
        groups, events = np.unique(at * len(names) + code, return_counts=True)
        for group, many in zip(groups.tolist(), events.tolist(), strict=True):
            rest, name = divmod(group, len(names))
            counts[stores[rest // len(hours)], int(hours[rest % len(hours)]), kind, names[name]] += many

    add("received", ["received"], np.zeros(1, dtype=np.int64), place)
    add("outcome", OUTCOME_NAMES, outcome, place)
    for name, mask in ((FUTURE_CLAMPED, times.clamped), (CLOCK_CORRECTED, times.corrected)):
        add("note", [name], np.zeros(1, dtype=np.int64), place[mask])
    for reject_hour in _hours(batch, rejects):
        counts["", reject_hour, "received", "received"] += 1
        counts["", reject_hour, "outcome", INVALID.name] += 1
    return counts


def _hours(batch: RawBatch, rejects: list[RejectedRecord]) -> list[int]:
    position = {offset: row for row, offset in enumerate(batch.offsets)} if rejects else {}
    return [_hour(batch.timestamps_ms[position[reject.offset]]) for reject in rejects]


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


def too_late(batch: RawBatch, columns: Columns, times: Times, outcome: U8) -> list[RejectedRecord]:
    """Dead letters for late events: they are not counted, and they are not lost."""
    store = columns.texts["store"]
    return [
        RejectedRecord(
            batch.partition,
            int(columns.offsets[at]),
            batch.values[int(columns.rows[at])],
            store.texts[store.codes[at]],
            LATE.name,
            f"happened at {int(times.occurred_ms[at])} ms, received at {int(columns.received_ms[at])} ms",
        )
        for at in np.flatnonzero(outcome == outcome_code(LATE)).tolist()
    ]


def _hour(timestamp_ms: int) -> int:
    # A record without a timestamp, or with a nonsensical one, is counted under an hour that the column can hold.
    return min(max(timestamp_ms, 0), _LAST_MS) // HOUR_MS
