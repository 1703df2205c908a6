"""From accepted events and changed sessions to what they add to the rollups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flows.arrays.types import I32, I64, U8, U64, Bools
from flows.clicks.model.facts import Facts
from flows.clicks.model.sessions import SessionRows
from flows.clicks.processed_batch import Changes, Moves


@dataclass(frozen=True)
class Contributions:
    """What batches contribute, a row each: events, moves out of visits and into others, sessions as they were or are.

    Attributes:
        source: The batch that each row comes from, by its position.
        store: Store codes.
        when_ms: The time that names the bucket: of the event, of what moves, or of the session's start.
        is_bot: 0 or 1.
        codes: Codes of the event itself, or of the one that began the session; one column per enrichment.
        visit_codes: Codes of the event that began the session.
        visitor: Visitor ids of the rows of events and moves.
        is_view, refire: Which events are page views, and which repeat an event.
        moves: What each move adds to page views, actions and re-fires, a row each; first those out of visits.
        changes: What each change adds to sessions, bounces and duration (ms), a row each.
    """

    source: I64
    store: I32
    when_ms: I64
    is_bot: U8
    codes: I32
    visit_codes: I32
    visitor: U64
    is_view: Bools
    refire: Bools
    moves: I64
    changes: I64

    @property
    def events(self) -> int:
        """How many rows are of events; they come first."""
        return len(self.refire)


def events_as_sessions(facts: Facts, store: I32, page: int) -> SessionRows:
    """Each event as a session of no length.

    Args:
        facts: The events.
        store: Their store codes.
        page: Which encoder is that of pages.
    """
    views, actions, _ = facts.counts.astype(np.int64).T
    when = facts.occurred_ms
    return SessionRows(
        facts.visitor, facts.is_bot, store, when, when, views, actions, facts.codes, facts.codes[:, page]
    )


def contributions(parts: Sequence[Changes]) -> Contributions:
    """Events add to views, actions or re-fires; a session that was known before takes back what it had added.

    Args:
        parts: What batches change; each is a source by its position.
    """
    events, retracted, added = (
        SessionRows.concat([getattr(part, name) for part in parts]) for name in ("events", "retracted", "added")
    )
    moves = Moves.concat([part.moves for part in parts])
    changes = SessionRows.concat([retracted, added])
    sign = np.repeat(np.array([-1, 1], np.int64), [len(retracted), len(added)])
    adds: I64 = np.stack((sign, sign * changes.bounces, sign * (changes.end_ms - changes.start_ms)), axis=1)
    of_batch = [
        np.repeat(np.arange(len(parts)), [len(rows) for rows in each])
        for each in (
            [part.events for part in parts],
            [part.moves for part in parts],
            [part.moves for part in parts],
            [part.retracted for part in parts],
            [part.added for part in parts],
        )
    ]

    together = (events, moves, moves, changes)
    return Contributions(
        source=np.concatenate(of_batch),
        store=np.concatenate([rows.store for rows in together]),
        when_ms=np.concatenate([rows.start_ms for rows in together]),
        is_bot=np.concatenate([rows.is_bot for rows in together]),
        codes=np.concatenate([events.entry, moves.before, moves.after, changes.entry]),
        visit_codes=np.concatenate([*(part.entry for part in parts), moves.before, moves.after, changes.entry]),
        visitor=np.concatenate([events.visitor, moves.visitor, moves.visitor]),
        is_view=events.views > 0,
        refire=(events.views == 0) & (events.actions == 0),
        moves=np.concatenate([-moves.counts, moves.counts]),
        changes=adds,
    )
