"""Types of the oracle's input and result."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple


class LogRecord(NamedTuple):
    """One record of the topic."""

    partition: int
    offset: int
    timestamp_ms: int
    value: bytes


class RollupKey(NamedTuple):
    """The key of a rollup.

    ``bucket`` is an instant for hours (when the store's wall-clock hour began) and a label for days and months (the
    store's own date, written as if it were UTC).
    """

    store: str
    grain: str
    bucket: datetime
    dimension: str
    value: str
    bots: str


class Numbers(NamedTuple):
    """Exact numbers of one bucket."""

    views: int = 0
    actions: int = 0
    refires: int = 0
    visitors: int = 0
    sessions: int = 0
    bounces: int = 0
    duration_ms: int = 0


@dataclass(frozen=True)
class Fact:
    """An accepted event with its outcome and enrichments.

    Attributes:
        notes: Corrections of its time.
        columns: Its enriched columns, its page, product, target and name, by name.
        type: ``view``, ``click`` or ``event``.
        properties: Of a named event.
    """

    partition: int
    offset: int
    store: str
    event_id: str
    visitor: str
    occurred_ms: int
    received_ms: int
    outcome: str
    is_bot: int
    bot_reasons: str
    notes: tuple[str, ...]
    columns: dict[str, str]
    type: str = "view"
    properties: dict[str, str] = field(default_factory=dict)

    @property
    def is_view(self) -> bool:
        """Whether it is a page view."""
        return self.type == "view"

    @property
    def is_refire(self) -> bool:
        """Whether it is a re-fire, which counts neither as a view nor as an action."""
        return self.outcome == "refire"


@dataclass
class Expected:
    """The expected content of the tables.

    Attributes:
        ledger: Events by (store, hour of receipt since 1970, outcome).
        received: Events by (store, hour of receipt since 1970).
        notes: Events by (store, hour of receipt since 1970, note).
        rollups: Every bucket with an event, for every dimension, grain and treatment of bots.
        facts: Accepted events, by partition and offset.
    """

    ledger: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    received: Counter[tuple[str, int]] = field(default_factory=Counter)
    notes: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    rollups: dict[RollupKey, Numbers] = field(default_factory=dict)
    facts: list[Fact] = field(default_factory=list)

    def add(self, store: str, hour: int, outcome: str) -> None:
        """Count one received record and its outcome."""
        self.received[store, hour] += 1
        self.ledger[store, hour, outcome] += 1

    def by_outcome(self) -> Counter[str]:
        """Events by outcome, over all stores and hours."""
        total: Counter[str] = Counter()
        for (_, _, outcome), events in self.ledger.items():
            total[outcome] += events
        return total
