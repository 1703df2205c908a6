"""From accepted events and changed sessions to what they add to the rollups."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from flows.arrays.types import I32, I64
from flows.clicks.model.facts import Facts
from flows.clicks.model.sessions import SessionRows
from flows.clicks.output.rollup_deltas import Contributions
from flows.clicks.processed_batch import Changes


def events_as_sessions(facts: Facts, store: I32) -> SessionRows:
    """Each event as a session of no length."""
    clicks = (~facts.refire).astype(np.int64)
    when = facts.occurred_ms
    return SessionRows(facts.visitor, facts.is_bot, store, when, when, clicks, facts.codes)


def contributions(parts: Sequence[Changes]) -> Contributions:
    """Events add clicks or re-fires; a session that was known before takes back what it had added.

    Args:
        parts: What batches change; each is a source by its position.
    """
    events, retracted, added = (
        SessionRows.concat(list(rows)) for rows in zip(*((p.events, p.retracted, p.added) for p in parts), strict=True)
    )
    changes = SessionRows.concat([retracted, added])
    sign = np.repeat(np.array([-1, 1], np.int64), [len(retracted), len(added)])
    adds: I64 = np.stack((sign, sign * (changes.clicks <= 1), sign * (changes.end_ms - changes.start_ms)), axis=1)
    both = SessionRows.concat([events, changes])
    sizes = [len(rows) for rows in chain(*zip(*((p.events, p.retracted, p.added) for p in parts), strict=True))]
    return Contributions(
        source=np.repeat(np.tile(np.arange(len(parts)), 3), sizes),
        store=both.store,
        when_ms=both.start_ms,
        is_bot=both.is_bot,
        codes=both.entry,
        visitor=events.visitor,
        refire=events.clicks == 0,
        changes=adds,
    )
