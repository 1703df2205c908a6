"""Payments: one for each order, and what its service makes of events, of answers of the provider, and of time.

The provider is asked between two transactions: the first one writes down that it will be, the second one what it said.
Whoever finds the first without the second asks the provider under the same key, so that nothing is charged or refunded
twice however often that is repeated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from marketplace.sagas.events import (
    STOCK_REFUND,
    Event,
    EventType,
    OrderRefundRequested,
    Payload,
    PaymentCompleted,
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundReversed,
    event_id,
)

SERVICE: Final = "payments"
_BACKOFF_SECONDS: Final = (5, 15, 60, 300, 900, 3_600)
"""When the provider is asked again after the first, second, ... question without an answer; the last one repeats."""

MAX_REFUND_ATTEMPTS: Final = 12
"""Some seven hours; after that a refund waits for an operator."""


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


_CHARGEABLE: Final = frozenset({PaymentState.CHARGING, PaymentState.FAILED, PaymentState.VOIDED})


class Mismatch(Exception):
    """The provider speaks of another amount or currency than the payment: an operator decides. Nothing was changed."""


class OverRefund(Exception):
    """More is to go back than was taken: an invariant is broken. Nothing was changed."""


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
    """

    id: str
    amount_minor: int
    state: RefundState = RefundState.REQUESTED
    attempts: int = 0
    due_ms: int | None = None
    reversals: int = 0
    requested_ms: int = 0


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
        return f"{self.id}:refund:{_numbered(refund, reversals)}"

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


def on_event(payment: Payment, event: Event, now_ms: int) -> PaymentDecision:
    """What an event of another service changes.

    Raises:
        OverRefund: It asks for more than is left.
    """
    if event.type is EventType.ORDER_CREATED and payment.state is PaymentState.WAITING:
        return PaymentDecision(_changed(payment, state=PaymentState.CHARGING, due_ms=now_ms))
    if event.type is EventType.ORDER_CANCELLED and not payment.order_ended:
        unasked = payment.unheard or not payment.attempts
        if payment.state is PaymentState.WAITING or (payment.state is PaymentState.CHARGING and unasked):
            return PaymentDecision(_changed(payment, state=PaymentState.VOIDED, order_ended=True, due_ms=None))
        return PaymentDecision(_changed(payment, order_ended=True))
    if event.type is EventType.STOCK_INSUFFICIENT:
        return _refund(payment, STOCK_REFUND, payment.captured_minor, now_ms)
    if isinstance(event.payload, OrderRefundRequested):
        return _refund(payment, event.payload.refund, event.payload.amount_minor, now_ms)
    return PaymentDecision(payment)


def due_calls(payment: Payment, now_ms: int) -> list[Call]:
    """What the provider is to be asked now.

    A charge that was asked for before is looked up first: only where the provider never heard of it, it is asked again.
    """
    calls = []
    if payment.state is PaymentState.CHARGING and payment.due_ms is not None and payment.due_ms <= now_ms:
        kind = CallKind.LOOK_UP if payment.attempts and not payment.unheard else CallKind.CHARGE
        calls.append(Call(kind, payment.charge_key, payment.amount_minor, payment.currency))
    for refund in payment.refunds:
        if refund.due_ms is not None and refund.due_ms <= now_ms:
            key = payment.refund_key(refund.id)
            calls.append(Call(CallKind.REFUND, key, refund.amount_minor, payment.currency, refund.id))
    return calls


def asking(payment: Payment, call: Call, now_ms: int) -> Payment:
    """The payment as it is kept before the provider is asked: whoever finds it so asks again when that is due."""
    if call.kind is not CallKind.REFUND:
        attempts = payment.attempts + 1
        return _changed(payment, attempts=attempts, due_ms=now_ms + backoff_ms(attempts), unheard=False)
    refunds = tuple(
        replace(each, attempts=each.attempts + 1, due_ms=now_ms + backoff_ms(each.attempts + 1))
        if each.id == call.refund
        else each
        for each in payment.refunds
    )
    return _changed(payment, refunds=refunds)


def apply_report(payment: Payment, report: Report, now_ms: int) -> PaymentDecision:
    """What the provider's word changes, whichever way it came and however often.

    Raises:
        Mismatch: It speaks of another amount or currency.
    """
    if report.key == payment.charge_key:
        return _charged(payment, report, now_ms)
    refund = next((each for each in payment.refunds if payment.refund_key(each.id) == report.key), None)
    return PaymentDecision(payment) if refund is None else _refunded(payment, refund, report, now_ms)


def retry_refund(payment: Payment, refund: str, now_ms: int) -> PaymentDecision:
    """An operator lets a refund be asked for now: one that is stuck, or one whose next question is due later."""
    found = next((each for each in payment.refunds if each.id == refund), None)
    if found is None or found.state is RefundState.DONE:
        return PaymentDecision(payment)
    attempts = 0 if found.state is RefundState.STUCK else found.attempts
    again = replace(found, state=RefundState.REQUESTED, attempts=attempts, due_ms=now_ms)
    return PaymentDecision(payment if again == found else _changed(payment, refunds=_with(payment, again)))


def payment_of_key(key: str) -> str:
    """The id of the payment that a key is of; empty where it is none of ours."""
    payment, found, _ = key.partition(":")
    return payment if found else ""


def backoff_ms(attempts: int) -> int:
    """How long after so many questions without an answer the next one is asked."""
    return _BACKOFF_SECONDS[min(attempts, len(_BACKOFF_SECONDS)) - 1] * 1_000


def _charged(payment: Payment, report: Report, now_ms: int) -> PaymentDecision:
    open_still = payment.state is PaymentState.CHARGING
    # One that was voided may be charged all the same: a question that was on its way still when it was looked up.
    if report.outcome is Outcome.SUCCEEDED and payment.state in _CHARGEABLE:
        _check(payment, report, payment.amount_minor)
        after = _changed(payment, state=PaymentState.COMPLETED, due_ms=None, reference=report.reference)
        said = PaymentCompleted(payment.id, payment.amount_minor, payment.currency)
        return PaymentDecision(
            after,
            (_event(after, EventType.PAYMENT_COMPLETED, said, now_ms),),
            _entries(after, "charge", payment.amount_minor),
        )
    if report.outcome is Outcome.DECLINED and open_still:
        after = _changed(payment, state=PaymentState.FAILED, due_ms=None)
        said_failed = PaymentFailed(payment.id, report.reason or "declined")
        return PaymentDecision(after, (_event(after, EventType.PAYMENT_FAILED, said_failed, now_ms),))
    if report.outcome is Outcome.NOT_FOUND and open_still:
        if payment.order_ended:
            # Nobody was charged, and nobody is to be any more.
            return PaymentDecision(_changed(payment, state=PaymentState.VOIDED, due_ms=None))
        # The pause of the last question is over, and that of the next one is longer.
        return PaymentDecision(_changed(payment, unheard=True, due_ms=now_ms))
    return PaymentDecision(payment)


def _refunded(payment: Payment, refund: RefundIntent, report: Report, now_ms: int) -> PaymentDecision:
    if report.outcome is Outcome.REVERSED:
        return _reversed(payment, refund, now_ms)
    if refund.state is RefundState.DONE:
        return PaymentDecision(payment)
    if report.outcome is Outcome.SUCCEEDED:
        _check(payment, report, refund.amount_minor)
        done = replace(refund, state=RefundState.DONE, due_ms=None)
        after = _changed(payment, refunds=_with(payment, done))
        said = PaymentRefunded(payment.id, refund.id, refund.amount_minor, refund.reversals)
        return PaymentDecision(
            after,
            (_event(after, EventType.PAYMENT_REFUNDED, said, now_ms),),
            _entries(after, f"refund:{_numbered(refund.id, refund.reversals)}", -refund.amount_minor),
        )
    if report.outcome is Outcome.DECLINED and refund.attempts >= MAX_REFUND_ATTEMPTS:
        stuck = replace(refund, state=RefundState.STUCK, due_ms=None)
        return PaymentDecision(_changed(payment, refunds=_with(payment, stuck)))
    return PaymentDecision(payment)


def _reversed(payment: Payment, refund: RefundIntent, now_ms: int) -> PaymentDecision:
    reversals = refund.reversals + 1
    # The card takes no money, and the next try would end like this one: an operator finds out how the buyer gets it.
    stuck = replace(refund, state=RefundState.STUCK, due_ms=None, reversals=reversals)
    after = _changed(payment, refunds=_with(payment, stuck))
    if refund.state is not RefundState.DONE:
        return PaymentDecision(after)
    said = PaymentRefundReversed(payment.id, refund.id, refund.amount_minor, reversals)
    return PaymentDecision(
        after,
        (_event(after, EventType.PAYMENT_REFUND_REVERSED, said, now_ms),),
        _entries(after, f"reversal:{_numbered(refund.id, refund.reversals)}", refund.amount_minor),
    )


def _refund(payment: Payment, refund: str, amount_minor: int, now_ms: int) -> PaymentDecision:
    if payment.state is not PaymentState.COMPLETED or any(each.id == refund for each in payment.refunds):
        return PaymentDecision(payment)
    asked = sum(each.amount_minor for each in payment.refunds)
    if asked + amount_minor > payment.captured_minor:
        raise OverRefund(
            f"payment {payment.id}: {amount_minor} more than the {payment.captured_minor - asked} that are left"
        )
    if not amount_minor:
        # Goods that cost nothing come back as well, and no provider gives nothing back.
        done = RefundIntent(refund, 0, RefundState.DONE, requested_ms=now_ms)
        after = _changed(payment, refunds=(*payment.refunds, done))
        said = PaymentRefunded(payment.id, refund, 0)
        return PaymentDecision(after, (_event(after, EventType.PAYMENT_REFUNDED, said, now_ms),))
    intent = RefundIntent(refund, amount_minor, due_ms=now_ms, requested_ms=now_ms)
    return PaymentDecision(_changed(payment, refunds=(*payment.refunds, intent)))


def _check(payment: Payment, report: Report, amount_minor: int) -> None:
    amounts = report.amount_minor in (None, amount_minor)
    currencies = report.currency in (None, payment.currency)
    if not amounts or not currencies:
        raise Mismatch(
            f"payment {payment.id}: the provider speaks of {report.amount_minor} {report.currency}, "
            f"and it is {amount_minor} {payment.currency}"
        )


def _changed(payment: Payment, **fields: object) -> Payment:
    changed: Payment = replace(payment, version=payment.version + 1, **fields)  # type: ignore[arg-type]  # by name
    return changed


def _numbered(refund: str, reversals: int) -> str:
    return f"{refund}:{reversals}" if reversals else refund


def _with(payment: Payment, changed: RefundIntent) -> tuple[RefundIntent, ...]:
    return tuple(changed if each.id == changed.id else each for each in payment.refunds)


def _entries(payment: Payment, movement: str, amount_minor: int) -> tuple[Entry, Entry]:
    name = f"{payment.id}:{movement}"
    return (
        Entry(f"{name}:provider", "provider", amount_minor, payment.currency),
        Entry(f"{name}:store", f"store:{payment.store}", -amount_minor, payment.currency),
    )


def _event(payment: Payment, kind: EventType, payload: Payload, now_ms: int) -> Event:
    made = event_id(payment.order, SERVICE, payment.version)
    return Event(made, kind, payment.order, payment.store, now_ms, payload)
