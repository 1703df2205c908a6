"""Payments: one for each order, and what its service makes of events, of answers of the provider, and of time.

The provider is asked between two transactions: the first one writes down that it will be, the second one what it said.
Whoever finds the first without the second asks the provider under the same key, so that nothing is charged or refunded
twice however often that is repeated.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from marketplace.sagas.events import (
    STOCK_REFUND,
    Event,
    EventType,
    OrderRefundRequested,
    PaymentCompleted,
    PaymentFailed,
)
from marketplace.sagas.payment_state import (
    Payment,
    PaymentDecision,
    PaymentState,
    backoff_ms,
    booked,
    changed,
    check_money,
    said_of,
)
from marketplace.sagas.provider_calls import Call, CallKind, Outcome, Report
from marketplace.sagas.refunds import on_report, request_refund

_CHARGEABLE: Final = frozenset({PaymentState.CHARGING, PaymentState.FAILED, PaymentState.VOIDED})


def on_event(payment: Payment, event: Event, now_ms: int) -> PaymentDecision:
    """What an event of another service changes.

    Raises:
        OverRefund: It asks for more than is left.
    """
    if event.type is EventType.ORDER_CREATED and payment.state is PaymentState.WAITING:
        return PaymentDecision(changed(payment, state=PaymentState.CHARGING, due_ms=now_ms))
    if event.type is EventType.ORDER_CANCELLED and not payment.order_ended:
        unasked = payment.unheard or not payment.attempts
        if payment.state is PaymentState.WAITING or (payment.state is PaymentState.CHARGING and unasked):
            return PaymentDecision(changed(payment, state=PaymentState.VOIDED, order_ended=True, due_ms=None))
        return PaymentDecision(changed(payment, order_ended=True))
    if event.type is EventType.STOCK_INSUFFICIENT:
        return request_refund(payment, STOCK_REFUND, payment.captured_minor, now_ms)
    if isinstance(event.payload, OrderRefundRequested):
        return request_refund(payment, event.payload.refund, event.payload.amount_minor, now_ms)
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
        return changed(payment, attempts=attempts, due_ms=now_ms + backoff_ms(attempts), unheard=False)
    refunds = tuple(
        replace(each, attempts=each.attempts + 1, due_ms=now_ms + backoff_ms(each.attempts + 1))
        if each.id == call.refund
        else each
        for each in payment.refunds
    )
    return changed(payment, refunds=refunds)


def apply_report(payment: Payment, report: Report, now_ms: int) -> PaymentDecision:
    """What the provider's word changes, whichever way it came and however often.

    Raises:
        Mismatch: It speaks of another amount or currency.
    """
    if report.key == payment.charge_key:
        return _charged(payment, report, now_ms)
    refund = next((each for each in payment.refunds if payment.refund_key(each.id) == report.key), None)
    return PaymentDecision(payment) if refund is None else on_report(payment, refund, report, now_ms)


def payment_of_key(key: str) -> str:
    """The id of the payment that a key is of; empty where it is none of ours."""
    payment, found, _ = key.partition(":")
    return payment if found else ""


def _charged(payment: Payment, report: Report, now_ms: int) -> PaymentDecision:
    open_still = payment.state is PaymentState.CHARGING
    # One that was voided may be charged all the same: a question that was on its way still when it was looked up.
    if report.outcome is Outcome.SUCCEEDED and payment.state in _CHARGEABLE:
        check_money(payment, report, payment.amount_minor)
        after = changed(payment, state=PaymentState.COMPLETED, due_ms=None, reference=report.reference)
        said = PaymentCompleted(payment.id, payment.amount_minor, payment.currency)
        return PaymentDecision(
            after,
            (said_of(after, EventType.PAYMENT_COMPLETED, said, now_ms),),
            booked(after, "charge", payment.amount_minor),
        )
    if report.outcome is Outcome.DECLINED and open_still:
        after = changed(payment, state=PaymentState.FAILED, due_ms=None)
        said_failed = PaymentFailed(payment.id, report.reason or "declined")
        return PaymentDecision(after, (said_of(after, EventType.PAYMENT_FAILED, said_failed, now_ms),))
    if report.outcome is Outcome.NOT_FOUND and open_still:
        if payment.order_ended:
            # Nobody was charged, and nobody is to be any more.
            return PaymentDecision(changed(payment, state=PaymentState.VOIDED, due_ms=None))
        # The pause of the last question is over, and that of the next one is longer.
        return PaymentDecision(changed(payment, unheard=True, due_ms=now_ms))
    return PaymentDecision(payment)
