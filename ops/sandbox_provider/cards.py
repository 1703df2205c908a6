"""The cards of the sandbox provider, and what each makes happen: `docs/reference/payments-sandbox.md` has the table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

HANG_SECONDS: Final = 60.0
"""How long a question hangs before its connection is cut."""

LATE_SECONDS: Final = 360
"""How old the signature of a late webhook is."""


class Trouble(StrEnum):
    """How a question ends without an answer."""

    ERROR = "error"
    """With status 500."""
    HANG = "hang"
    """Not for a minute."""
    CUT = "cut"
    """The connection is cut in the middle of the answer."""


class Webhooks(StrEnum):
    """How webhooks of a card come."""

    USUAL = "usual"
    LATE = "late"
    """With a signature that is six minutes old at first, and with a good one the next time."""
    FIRST = "first"
    """Before the answer."""
    REORDERED = "reordered"
    """What happened last comes first, with the same time stamp."""


@dataclass(frozen=True)
class Card:
    """A card.

    Attributes:
        number: As it is typed in.
        name: What is kept of it.
        text: What it does, for people.
        declined: Why it is declined; empty where it is not.
        trouble: How the first questions for a charge end.
        troubles: How many of them.
        done: Whether such a question has its effect all the same.
        pending_seconds: How long a charge is pending.
        slow_seconds: How long an answer takes.
        webhooks: How its webhooks come.
        copies: How often each of them comes.
        refused_refunds: How many questions for a refund are refused before one is not.
        refund_trouble: How the first question for a refund ends; it has its effect.
        reversed_seconds: How long after it a refund comes back; 0 for never.
    """

    number: str
    name: str
    text: str
    declined: str = ""
    trouble: Trouble | None = None
    troubles: int = 0
    done: bool = False
    pending_seconds: float = 0.0
    slow_seconds: float = 0.0
    webhooks: Webhooks = Webhooks.USUAL
    copies: int = 1
    refused_refunds: int = 0
    refund_trouble: Trouble | None = None
    reversed_seconds: float = 0.0


_ALWAYS: Final = 1 << 31

CARDS: Final = (
    Card("4242424242424242", "success", "It is charged."),
    Card("4000000000000028", "no_funds", "It is declined: `insufficient_funds`.", declined="insufficient_funds"),
    Card("4000000000000697", "expired", "It is declined: `expired_card`.", declined="expired_card"),
    Card("4000000000001273", "lost", "It is declined: `lost_card`.", declined="lost_card"),
    Card("4000000000005001", "error_once", "The first question is answered with 500, and nothing happens; the next "
         "one is good.", trouble=Trouble.ERROR, troubles=1),
    Card("4000000000006009", "hang_once", "The first question hangs, and nothing happens; the next one is good.",
         trouble=Trouble.HANG, troubles=1),
    Card("4000000000007007", "cut_once", "The first connection is cut in the middle of the answer, and nothing "
         "happens; the next one is good.", trouble=Trouble.CUT, troubles=1),
    Card("4000000000008005", "answer_lost", "It is charged, and the first question hangs: the answer is lost.",
         trouble=Trouble.HANG, troubles=1, done=True),
    Card("4000000000009003", "answer_cut", "It is charged, and the connection is cut in the middle of the answer.",
         trouble=Trouble.CUT, troubles=1, done=True),
    Card("4000000000001190", "down", "Every question is answered with 500, and nothing ever happens.",
         trouble=Trouble.ERROR, troubles=_ALWAYS),
    Card("4000000000003410", "hanging", "Every question hangs, and nothing ever happens.",
         trouble=Trouble.HANG, troubles=_ALWAYS),
    Card("4000000000010001", "slow", "It is charged, and the answer takes 3 s.", slow_seconds=3.0),
    Card("4000000000011009", "pending_success", "It is pending for 3 s, and then charged.", pending_seconds=3.0),
    Card("4000000000012007", "pending_decline", "It is pending for 3 s, and then declined: `bank_declined`.",
         declined="bank_declined", pending_seconds=3.0),
    Card("4000000000013005", "copies", "It is charged, and each webhook comes five times at once.", copies=5),
    Card("4000000000014003", "late", "It is charged; each webhook has a signature that is six minutes old at first, "
         "and comes again with a good one.", webhooks=Webhooks.LATE),
    Card("4000000000015000", "webhook_first", "It is charged, and the webhook comes before the answer.",
         webhooks=Webhooks.FIRST),
    Card("4000000000016008", "reordered", "It is charged; `charge.succeeded` comes before `charge.pending`, and both "
         "have the same time stamp.", webhooks=Webhooks.REORDERED),
    Card("4000000000017006", "refund_refused", "It is charged; the first two questions for each refund are refused, "
         "and the third one is good.", refused_refunds=2),
    Card("4000000000018004", "refund_reversed", "It is charged; a refund succeeds, and comes back after 3 s.",
         reversed_seconds=3.0),
    Card("4000000000000069", "refund_answer_lost", "It is charged; a refund is made, and its first answer is lost.",
         refund_trouble=Trouble.HANG),
)  # fmt: skip

BY_NUMBER: Final = {card.number: card for card in CARDS}
BY_NAME: Final = {card.name: card for card in CARDS}


def reference() -> str:
    """The table of all cards as Markdown."""
    rows = "".join(f"| `{card.number}` | `{card.name}` | {card.text} |\n" for card in CARDS)
    return f"| number | name | what happens |\n|---|---|---|\n{rows}"
