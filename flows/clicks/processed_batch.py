"""All that follows from one batch, in codes; rows are made of it for all batches that are written together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from connectors.kafka.records import Record
from flows.arrays.types import I32, I64, U8, U64
from flows.clicks.encoding.codebook import Codebook
from flows.clicks.model.facts import Details, Facts
from flows.clicks.model.pieces import Pieces
from flows.clicks.model.sessions import SessionRows
from flows.clicks.rejected_record import RejectedRecord
from marketplace.dead_letters import DeadLetter, headers
from marketplace.flows import CLICKS_FLOW
from marketplace.tables import CLICKS, ROLLUPS, SESSIONS
from marketplace.topics import CLICKS_COLLECTED, CLICKS_DEAD

LedgerKey = tuple[str, int, str, str]
"""Store, hour since 1970, kind, name."""


@dataclass(frozen=True)
class Changes:
    """What a batch changes of numbers and sessions.

    Attributes:
        events: Each accepted event as a session of no length.
        entry: For each of them, the codes of the event that began its session.
        retracted, added: Sessions as they were and are no more, and sessions as they are now.
        moves: What moves with sessions that begin with another event now.
    """

    events: SessionRows
    entry: I32
    retracted: SessionRows
    added: SessionRows
    moves: Moves


@dataclass(frozen=True)
class Moves:
    """What sessions did that begin with another event now, as columns; a quarter of an hour each.

    Attributes:
        visitor, is_bot, store: As of the session.
        start_ms: The beginning of the quarter of an hour, epoch milliseconds.
        counts: Page views, actions and re-fires in it, a row each.
        before, after: Codes of the event that began the session, and of the one that does now.
    """

    visitor: U64
    is_bot: U8
    store: I32
    start_ms: I64
    counts: I64
    before: I32
    after: I32

    def __len__(self) -> int:
        return len(self.visitor)

    @staticmethod
    def of(sessions: SessionRows, pieces: Pieces, after: I32) -> Moves:
        """What moves with sessions.

        Args:
            sessions: The sessions as they were.
            pieces: What they did.
            after: For each session, the codes of the event that begins it now.
        """
        at = pieces.session
        return Moves(
            sessions.visitor[at],
            sessions.is_bot[at],
            sessions.store[at],
            pieces.start_ms,
            pieces.counts,
            sessions.entry[at],
            after[at],
        )

    @staticmethod
    def concat(parts: Sequence[Moves]) -> Moves:
        """Moves of all parts, in order."""
        return Moves(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Moves)))


@dataclass
class ProcessedBatch:
    """What the sink writes of a batch.

    Attributes:
        partition, first_offset, last_offset: Where it comes from.
        events: Its records.
        book: What the codes stand for.
        counts: Outcomes of the records, for the ledger.
        facts: Accepted events that were decided just now; None where there are none, or where ``clicks`` has them.
        changes: For ``rollups`` and ``sessions``; None where nothing was accepted, or where both have it.
        rejects: Records for the dead-letter topic.
        store_days: Which (store, days since 1970) changed; their read models are refreshed.
        live: Newest time of each visitor by store, for the live tile.
    """

    partition: int
    first_offset: int
    last_offset: int
    events: int
    book: Codebook
    counts: Counter[LedgerKey] = field(default_factory=Counter)
    facts: tuple[Facts, Details] | None = None
    changes: Changes | None = None
    rejects: list[RejectedRecord] = field(default_factory=list)
    store_days: set[tuple[str, int]] = field(default_factory=set)
    live: dict[str, dict[int, int]] = field(default_factory=dict)

    @property
    def topic(self) -> str:
        """Where its records come from."""
        return CLICKS_COLLECTED.name

    def dead_letters(self) -> list[Record]:
        """What goes to the dead-letter topic."""
        return [dead_letter(reject) for reject in self.rejects]

    def fence(self, table: str) -> int | None:
        """The highest offset in the batch's rows of a table; None where it has none.

        A batch may end in records that lead to no facts, so the fence of ``clicks`` can lie below its last offset.
        """
        if table == CLICKS.name:
            return None if self.facts is None else int(self.facts[1].columns.offsets[-1])
        if table in (ROLLUPS.name, SESSIONS.name):
            return None if self.changes is None else self.last_offset
        return self.last_offset if self.counts else None


def dead_letter(reject: RejectedRecord) -> Record:
    """The record of the dead-letter topic: the exact bytes, with where they came from and why they are here.

    It may be written twice after a crash; copies have the same place in the topic.
    """
    letter = DeadLetter(
        group=CLICKS_FLOW.group,
        reason=reject.reason,
        detail=reject.detail,
        store=reject.store,
        topic=CLICKS_COLLECTED.name,
        partition=reject.partition,
        offset=reject.offset,
    )
    return Record(
        topic=CLICKS_DEAD.name,
        value=reject.value,
        key=f"{reject.partition}:{reject.offset}".encode(),
        headers=headers(letter),
    )
