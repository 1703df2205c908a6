"""From accepted events and changed sessions to what they add to the rollups."""

from __future__ import annotations

import numpy as np

from flows.clicks.batch import I32, I64
from flows.clicks.deltas import Contributions
from flows.clicks.facts import Facts
from flows.clicks.sessions import SessionRows


def events_as_sessions(facts: Facts, store: I32) -> SessionRows:
    """Each event as a session of no length."""
    clicks = (~facts.refire).astype(np.int64)
    when = facts.occurred_ms
    return SessionRows(facts.visitor, facts.is_bot, store, when, when, clicks, facts.codes)


def contributions(events: SessionRows, retracted: SessionRows, added: SessionRows) -> Contributions:
    """Events add clicks or re-fires; a session that was known before takes back what it had added."""
    changes = SessionRows.concat([retracted, added])
    sign = np.repeat(np.array([-1, 1], np.int64), [len(retracted), len(added)])
    adds: I64 = np.stack((sign, sign * (changes.clicks <= 1), sign * (changes.end_ms - changes.start_ms)), axis=1)
    both = SessionRows.concat([events, changes])
    return Contributions(both.store, both.start_ms, both.is_bot, both.entry, events.visitor, events.clicks == 0, adds)
