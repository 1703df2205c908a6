"""Why payment providers decline cards, for people: one reason for each of their codes, and what to do next.

Pages, mails and notifications say what stands here. What follows begins with the card: the sentence before names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MAX_CODE_CHARS: Final = 64
"""Of a provider's code, in an order."""


@dataclass(frozen=True)
class Decline:
    """Why a card was declined.

    Attributes:
        why: A sentence about the card.
        what_next: What its owner can do.
    """

    why: str
    what_next: str


_NOT_SAID: Final = Decline("Its bank gave no reason.", "Use another card, or ask the bank.")

DECLINES: Final[Mapping[str, Decline]] = {
    "insufficient_funds": Decline("There was not enough money on it.", "Use another card, or top this one up first."),
    "expired_card": Decline("It has expired.", "Use another card."),
    "bank_declined": _NOT_SAID,
    # Whoever holds a card that somebody else has lost does not learn it from us.
    "lost_card": _NOT_SAID,
    "unknown_method": Decline(
        "The payment provider does not know it any more.", "Type its number once more, or use another card."
    ),
    "declined": _NOT_SAID,
}
"""By the codes of providers; ``declined`` stands for none."""


def decline_of(code: str) -> Decline:
    """What is said of a code; of one that nobody knows, what is said of none."""
    return DECLINES.get(code, _NOT_SAID)
