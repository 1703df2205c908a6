"""Outcomes of received events. Every event has exactly one; the ledger adds them up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

REFIRE_WINDOW_MS: Final = 2_000
"""A click on the same target by the same visitor less than this from a counted one is a refire (double click)."""

SESSION_GAP_MS: Final = 30 * 60 * 1000
"""A session ends when its visitor is inactive for longer than this (the industry's 30 minutes)."""

MAX_LATENESS: Final = timedelta(days=7)
"""A live event that happened longer ago than this when it was received is late and refused; imports are not."""

OLDEST_MS: Final = 946_684_800_000
"""2000-01-01T00:00Z. Nothing older is counted, whatever its origin: such a time comes from a broken clock."""


@dataclass(frozen=True)
class Outcome:
    """An outcome of an event."""

    name: str
    meaning: str


INVALID: Final = Outcome("invalid", "Unreadable or of an unknown store; the exact bytes are in the dead-letter topic.")
LATE: Final = Outcome(
    "late", "Sent live more than 7 days after it happened, or dated before 2000; in the dead-letter topic."
)
BLOCKED: Final = Outcome("blocked", "From a network the seller blocks, or the visitor opted out of measurement.")
DUPLICATE: Final = Outcome("duplicate", "The same event sent again by the network or a retry.")
REFIRE: Final = Outcome("refire", "The same visitor hit the same target again within 2 seconds.")
BOT: Final = Outcome("bot", "Flagged as automated; kept apart and still reportable.")
COUNTED: Final = Outcome("counted", "A page view, click or named event of a person.")

OUTCOMES: Final[tuple[Outcome, ...]] = (INVALID, LATE, BLOCKED, DUPLICATE, REFIRE, BOT, COUNTED)

FUTURE_CLAMPED: Final = "future_clamped"
CLOCK_CORRECTED: Final = "clock_corrected"
CLOCK_TOLERANCE_MS: Final = 60_000
"""A time that was corrected by more than this came from a wrong clock; a smaller difference is network latency."""

NOTES: Final[tuple[str, ...]] = (FUTURE_CLAMPED, CLOCK_CORRECTED)
"""Notes that are counted but are no outcomes: the event goes on with a corrected time."""
