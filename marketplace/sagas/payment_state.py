"""A payment as it is kept, with its refunds and its lines in the ledger, and how a changed one is written down."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from marketplace.sagas.events import Event, EventType, Payload, event_id
from marketplace.sagas.provider_calls import Mismatch, Report

SERVICE: Final = "payments"
_BACKOFF_SECONDS: Final = (5, 15, 60, 300, 900, 3_600)
"""When the provider is asked again after the first, second, ... question without an answer; the last one repeats."""


class PaymentState(StrEnum):
    """Where a payment is."""

    WAITING = "waiting"
    """Nobody was asked."""
    CHARGING = "charging"
    """The provider is to be asked, or was; what it answered is not known."""
    COMPLETED = "completed"
    FAILED = "failed"
    VOIDED = "voided"
    """The order ended before the provider was asked."""


class RefundState(StrEnum):
    """Where a refund is."""

    REQUESTED = "requested"
    DONE = "done"
    STUCK = "stuck"
    """The provider refused it too often, or the money did not arrive: an operator decides."""


@dataclass(frozen=True)
class RefundIntent:
    """Money that is to go back.

    Attributes:
        id: Unique in the payment.
        amount_minor: How much.
        state: Where it is.
        attempts: How often the provider was asked.
        due_ms: When it is asked next; None where it is not.
        reversals: How often the provider has taken it on and the money did not arrive; each further try is an effect of
            its own, with a key of its own.
        requested_ms: When it was asked for; 0 where that is not known.
        settled: Why an operator said that the money went back by hand; empty where nobody said so.
        reference: The provider's own id of what went back by hand; empty where that was not said.
    """

    id: str
    amount_minor: int
    state: RefundState = RefundState.REQUESTED
    attempts: int = 0
    due_ms: int | None = None
    reversals: int = 0
    requested_ms: int = 0
    settled: str = ""
    reference: str = ""


@dataclass(frozen=True)
class Payment:
    """A payment.

    Attributes:
        id: Its id.
        order: The id of its order.
        store: The slug.
        amount_minor: What is to be taken.
        currency: A code of ISO 4217.
        method: What the provider knows the buyer's card as.
        state: Where it is.
        order_ended: Whether its order was cancelled: what was not charged then never is.
        attempts: How often the provider was asked to charge.
        due_ms: When it is asked next; None where it is not.
        reference: The provider's own id of the charge.
        refunds: What goes back.
        version: Goes up by one with each decision that changes it.
        unheard: Whether the provider has said that it never heard of the last question: it is not looked up again.
    """

    id: str
    order: str
    store: str
    amount_minor: int
    currency: str
    method: str
    state: PaymentState = PaymentState.WAITING
    order_ended: bool = False
    attempts: int = 0
    due_ms: int | None = None
    reference: str = ""
    refunds: tuple[RefundIntent, ...] = ()
    version: int = 1
    unheard: bool = False

    @property
    def charge_key(self) -> str:
        """Under which the provider charges at most once."""
        return f"{self.id}:charge"

    def refund_key(self, refund: str) -> str:
        """Under which the provider refunds at most once: another one only after it said that the money came back."""
        reversals = next((each.reversals for each in self.refunds if each.id == refund), 0)
        return f"{self.id}:refund:{numbered(refund, reversals)}"

    @property
    def captured_minor(self) -> int:
        """What the provider has taken."""
        return self.amount_minor if self.state is PaymentState.COMPLETED else 0

    @property
    def refunded_minor(self) -> int:
        """What has gone back."""
        return sum(refund.amount_minor for refund in self.refunds if refund.state is RefundState.DONE)

    @property
    def next_due_ms(self) -> int | None:
        """When its service has to act by itself."""
        due = [refund.due_ms for refund in self.refunds] + [self.due_ms]
        return min((each for each in due if each is not None), default=None)


@dataclass(frozen=True)
class Entry:
    """A line of the ledger: all entries of one movement of money add up to zero.

    Attributes:
        id: Unique: the same movement is booked once.
        account: ``provider`` for what lies there, ``store:<slug>`` for what the store is owed.
        amount_minor: With its sign.
        currency: A code of ISO 4217.
    """

    id: str
    account: str
    amount_minor: int
    currency: str


@dataclass(frozen=True)
class PaymentDecision:
    """The payment after a decision, what its service says, and what is booked."""

    payment: Payment
    events: tuple[Event, ...] = ()
    entries: tuple[Entry, ...] = ()


def backoff_ms(attempts: int) -> int:
    """How long after so many questions without an answer the next one is asked."""
    return _BACKOFF_SECONDS[min(attempts, len(_BACKOFF_SECONDS)) - 1] * 1_000


def check_money(payment: Payment, report: Report, amount_minor: int) -> None:
    """Look whether the provider speaks of the money that was meant.

    Raises:
        Mismatch: It speaks of another amount or currency.
    """
    amounts = report.amount_minor in (None, amount_minor)
    currencies = report.currency in (None, payment.currency)
    if not amounts or not currencies:
        raise Mismatch(
            f"payment {payment.id}: the provider speaks of {report.amount_minor} {report.currency}, "
            f"and it is {amount_minor} {payment.currency}"
        )


def changed(payment: Payment, **fields: object) -> Payment:
    """The payment with other values, one version on."""
    after: Payment = replace(payment, version=payment.version + 1, **fields)  # type: ignore[arg-type]  # by name
    return after


def numbered(refund: str, reversals: int) -> str:
    """A refund's name that is another one after each time that its money came back."""
    return f"{refund}:{reversals}" if reversals else refund


def booked(payment: Payment, movement: str, amount_minor: int) -> tuple[Entry, Entry]:
    """What is booked of a movement of money, which has a name of its own in the payment."""
    name = f"{payment.id}:{movement}"
    return (
        Entry(f"{name}:provider", "provider", amount_minor, payment.currency),
        Entry(f"{name}:store", f"store:{payment.store}", -amount_minor, payment.currency),
    )


def said_of(payment: Payment, kind: EventType, payload: Payload, now_ms: int) -> Event:
    """What the service says of a payment that it has changed."""
    made = event_id(payment.order, SERVICE, payment.version)
    return Event(made, kind, payment.order, payment.store, now_ms, payload)
