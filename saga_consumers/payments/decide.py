"""What the payments service makes of an event, before it is written: thin over :mod:`marketplace.sagas.payments`."""

from __future__ import annotations

from typing import Final

from marketplace.errors import Reject
from marketplace.sagas import payments
from marketplace.sagas.declaration import Service, heard_by
from marketplace.sagas.events import Event
from marketplace.sagas.payment_state import Payment, PaymentDecision, RefundState
from marketplace.sagas.refunds import OverRefund

LISTENS: Final = heard_by(Service.PAYMENTS)
"""The events that can change a payment; others are not looked at."""


def on_event(payment: Payment, event: Event, now_ms: int) -> PaymentDecision:
    """What an event changes.

    Raises:
        Reject: It asks for more money back than was taken. Nothing changes, the event becomes a dead letter, and later
            events of the order wait for an operator.
    """
    try:
        return payments.on_event(payment, event, now_ms)
    except OverRefund as error:
        raise Reject("over_refund", str(error)) from error


def alarms(before: Payment, after: Payment) -> list[str]:
    """What an operator has to know of a change: refunds that wait for a decision from now on."""
    known = {each.id: each for each in before.refunds}
    return [
        f"refund {each.id} of payment {after.id} "
        + ("came back" if each.reversals > known[each.id].reversals else f"was refused {each.attempts} times")
        for each in after.refunds
        if each.state is RefundState.STUCK and each != known[each.id]
    ]
