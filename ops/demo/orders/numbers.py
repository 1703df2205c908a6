"""What became of the demo's orders, as a part of its summary."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

ENDED: Final = frozenset({"confirmed", "cancelled"})
"""States in which an order waits for nobody."""


@dataclass
class OrderNumbers:
    """What became of the orders.

    Attributes:
        placed: How many were placed.
        states: How many ended how.
        reasons: Why those that were cancelled were.
        refused: Checkouts that placed nothing, by why.
        paid: How many orders the storefront's page said to be paid, by the slug of their store.
        events: Events that the storefront's pages would send, and that were sent instead of them.
        events_accepted: Those of them that the collector has taken.
        replayed: Answers that were given a second time, to a form that was sent twice.
        accepted_to_confirmed_ms: Of orders that were confirmed: percentiles.
        reconciler: Whether all rows add up, and those that do not.
        recount: How many numbers the independent recount compared, and those that differ.
        stuck: Orders that wait for longer than they may.
        mistakes: What should not have happened.
    """

    placed: int = 0
    states: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    paid: dict[str, int] = field(default_factory=dict)
    events: int = 0
    events_accepted: int = 0
    replayed: int = 0
    accepted_to_confirmed_ms: dict[str, int] = field(default_factory=dict)
    reconciler: dict[str, Any] = field(default_factory=dict)
    recount: dict[str, Any] = field(default_factory=dict)
    stuck: int = 0
    mistakes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether all orders ended, everything adds up, and the collector has taken all of the pages' events."""
        ended = set(self.states) <= ENDED and not self.stuck and not self.mistakes
        ended = ended and self.events == self.events_accepted
        return ended and bool(self.reconciler.get("clean")) and not self.recount.get("differences")
