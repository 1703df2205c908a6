"""What the saga of an order is in plain words: states, events, and what is waited for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from connectors.mongo.sagas.audit import Step
from connectors.mongo.sagas.store_orders import SoldOrder
from dashboards.ui.rows import Tag
from marketplace.money import shown_amount
from marketplace.orders.delivery import FulfilmentState
from marketplace.sagas.events import (
    EventType,
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderRefundRequested,
    Payload,
    PaymentCompleted,
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundReversed,
    StockCountUpdated,
    StockInsufficient,
    UnknownEvent,
    decode_payload,
)
from marketplace.sagas.orders import OrderState, Reason
from marketplace.sagas.payments import Payment, PaymentState, RefundState

REASONS: Final[Mapping[Reason, str]] = {
    Reason.UNPAID: "not paid in time",
    Reason.DECLINED: "payment declined",
    Reason.BUYER: "by the buyer",
    Reason.SELLER: "by the store",
    Reason.NO_STOCK: "goods were gone",
}
GOODS: Final[Mapping[FulfilmentState, str]] = {
    FulfilmentState.UNFULFILLED: "To pack",
    FulfilmentState.PACKED: "Packed",
    FulfilmentState.SHIPPED: "Sent",
    FulfilmentState.DELIVERED: "Delivered",
}
_WAITING: Final[Mapping[OrderState, str]] = {
    OrderState.PENDING: "its payment; then it is cancelled and its stock is released",
    OrderState.PAID: "its goods to be taken from stock",
    OrderState.REFUNDING: "the provider to give the money back",
}
_PAYMENTS: Final[Mapping[PaymentState, str]] = {
    PaymentState.WAITING: "Not asked for yet",
    PaymentState.CHARGING: "The provider is being asked",
    PaymentState.COMPLETED: "Taken",
    PaymentState.FAILED: "Declined",
    PaymentState.VOIDED: "Never asked for: the order had ended",
}


def state_tag(sold: SoldOrder) -> Tag:
    """Where an order is, in a word."""
    order = sold.order
    if order.state is OrderState.PENDING:
        return Tag("Waits for payment", "wait")
    if order.state is OrderState.PAID:
        return Tag("Paid, in progress", "wait")
    if order.state is OrderState.REFUNDING:
        return Tag("Money on its way back", "wait")
    if order.state is OrderState.CANCELLED:
        why = REASONS.get(order.reason, "") if order.reason else ""
        return Tag(f"Cancelled: {why}" if why else "Cancelled")
    to_do = sold.fulfilment.state in (FulfilmentState.UNFULFILLED, FulfilmentState.PACKED)
    return Tag(GOODS[sold.fulfilment.state], "act" if to_do else "good")


def tags_of(sold: SoldOrder, now_ms: int) -> tuple[Tag, ...]:
    """All that is to be said of an order in a word each."""
    tags = [state_tag(sold)]
    order = sold.order
    if sold.is_stuck(now_ms):
        tags.append(Tag("Stuck", "bad"))
    if order.state is OrderState.CONFIRMED and order.refunds:
        asked = sum(refund.amount_minor for refund in order.refunds)
        tags.append(Tag("Partly refunded" if asked == order.refunded_minor else "Refund on its way", "quiet"))
    return tuple(tags)


def waits_for(state: OrderState) -> str:
    """What an order waits for, after "Waits for"; empty where it waits for nobody."""
    return _WAITING.get(state, "")


def payment_lines(payment: Payment | None) -> list[str]:
    """Where the payment of an order is."""
    if payment is None:
        return ["There is none"]
    amount = shown_amount(payment.amount_minor, payment.currency)
    lines = [f"{_PAYMENTS[payment.state]}: {amount}"]
    if payment.reference:
        lines.append(f"Provider's number {payment.reference}")
    back = shown_amount(payment.refunded_minor, payment.currency)
    if payment.refunded_minor:
        lines.append(f"{back} went back")
    for refund in payment.refunds:
        asked = shown_amount(refund.amount_minor, payment.currency)
        if refund.state is RefundState.REQUESTED:
            lines.append(f"{asked} is to go back: asked {_times(refund.attempts)}")
        if refund.state is RefundState.STUCK:
            lines.append(f"{asked} could not go back: the operator has to decide")
    return lines


def said_in_words(step: Step, currency: str) -> str:
    """What an event says, as a sentence."""
    try:
        return _words(decode_payload(step.type, step.payload.encode()), EventType(step.type), currency)
    except UnknownEvent:
        return "Something that this version does not know"


def _words(payload: Payload, kind: EventType, currency: str) -> str:
    if isinstance(payload, OrderCreated):
        return f"Placed, for {shown_amount(payload.total_minor, payload.currency)}"
    if isinstance(payload, PaymentCompleted):
        return f"The payment provider took {shown_amount(payload.amount_minor, payload.currency)}"
    if isinstance(payload, PaymentFailed):
        return f"The payment was declined: {payload.reason.replace('_', ' ')}"
    if isinstance(payload, PaymentRefunded):
        return f"{shown_amount(payload.amount_minor, currency)} went back to the buyer"
    if isinstance(payload, PaymentRefundReversed):
        return f"{shown_amount(payload.amount_minor, currency)} did not reach the buyer, and is owed again"
    if isinstance(payload, StockCountUpdated):
        return f"The goods were taken from stock ({_pieces(payload.items)})"
    if isinstance(payload, StockInsufficient):
        return f"The goods are not there any more ({_pieces(payload.missing)} missing)"
    if isinstance(payload, OrderRefundRequested):
        why = f": {payload.reason}" if payload.reason and payload.reason not in set(Reason) else ""
        return f"A refund of {shown_amount(payload.amount_minor, currency)} was asked for{why}"
    if isinstance(payload, OrderConfirmed):
        return "Confirmed: it can be packed and sent"
    if isinstance(payload, OrderCancelled):
        why = next((words for reason, words in REASONS.items() if reason.value == payload.reason), payload.reason)
        return f"Cancelled: {why}"
    return "Paid: its goods are to be taken from stock" if kind is EventType.ORDER_PAYMENT_COMPLETED else kind.value


def _pieces(items: tuple[object, ...]) -> str:
    count = sum(getattr(item, "quantity", 0) for item in items)
    return f"{count:,} {'piece' if count == 1 else 'pieces'}"


def _times(count: int) -> str:
    return {0: "not yet", 1: "once"}.get(count, f"{count} times")
