"""What a payment provider is asked, and what it says: whichever provider it is, and whichever way its word comes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CallKind(StrEnum):
    """What the provider is asked."""

    CHARGE = "charge"
    REFUND = "refund"
    LOOK_UP = "look_up"
    """What became of the charge."""


class Outcome(StrEnum):
    """What the provider says of a key."""

    SUCCEEDED = "succeeded"
    DECLINED = "declined"
    PENDING = "pending"
    """It knows the key and has not decided yet."""
    NOT_FOUND = "not_found"
    """It was never asked: only a look-up can say so."""
    UNKNOWN = "unknown"
    """It gave no answer: it may have happened."""
    REVERSED = "reversed"
    """A refund that it had taken on did not reach the buyer: under this key it never will."""


class Mismatch(Exception):
    """The provider speaks of another amount or currency than the payment: an operator decides. Nothing was changed."""


@dataclass(frozen=True)
class Call:
    """A question to the provider.

    Attributes:
        kind: What is asked.
        key: The same for the same effect, for ever.
        amount_minor, currency: What is to be taken or to go back.
        refund: The id of the refund; empty for a charge.
    """

    kind: CallKind
    key: str
    amount_minor: int
    currency: str
    refund: str = ""


@dataclass(frozen=True)
class Report:
    """What the provider says, in an answer, a webhook or a look-up: all mean the same.

    Attributes:
        key: Of the effect.
        outcome: What became of it.
        amount_minor, currency: What it took or gave back; None where it says nothing of it.
        reference: Its own id of the charge or refund.
        reason: Why it declined.
    """

    key: str
    outcome: Outcome
    amount_minor: int | None = None
    currency: str | None = None
    reference: str = ""
    reason: str = ""
