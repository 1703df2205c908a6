"""What the payments service makes of an event, before it is written: thin over :mod:`marketplace.sagas.payments`."""

from __future__ import annotations

from typing import Final

from marketplace.errors import Action, Reject, Retry
from marketplace.sagas import payments
from marketplace.sagas.declaration import Service, listeners
from marketplace.sagas.events import Event, EventType
from marketplace.sagas.payments import OverRefund, Payment, PaymentDecision

LISTENS: Final = frozenset(kind for kind in EventType if Service.PAYMENTS in listeners(kind))
"""What it reacts to; everything else is handled by doing nothing."""

MISSING_SECONDS: Final = 60
"""An order is written with its payment and its first event. So long after that a payment that is not there is waited
for, as a database that lags behind would have it by then; later nothing will bring it."""

_AGAIN_SECONDS: Final = 1.0


def decide(payment: Payment, event: Event, now_ms: int) -> PaymentDecision:
    """What an event changes.

    Raises:
        Reject: It is of another store than the payment, or asks for more money back than was taken. Nothing changes, and
            later events of the order wait for an operator.
    """
    if event.store != payment.store:
        raise Reject("foreign_store", f"the event is of the store {event.store!r}, and the payment of another one")
    try:
        return payments.on_event(payment, event, now_ms)
    except OverRefund as error:
        raise Reject("over_refund", str(error)) from error


def on_missing(event: Event, now_ms: int) -> Action:
    """What becomes of an event whose payment is not there."""
    if now_ms - event.at_ms < MISSING_SECONDS * 1_000:
        return Retry(_AGAIN_SECONDS, f"order {event.order} has no payment yet")
    return Reject("unknown_order", f"order {event.order} has no payment")
