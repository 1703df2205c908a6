"""What the saga of an order is in plain words: states, events, and what is waited for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from connectors.mongo.sagas.audit import Step
from connectors.mongo.sagas.sold_orders import CameBack, SoldOrder
from dashboards.ui.rows import Tag
from marketplace.money import shown_amount
from marketplace.orders.delivery import GONE, FulfilmentState
from marketplace.sagas.events import (
    LATE_REFUND,
    EventType,
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderedItem,
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
from marketplace.sagas.inventory import Reservation, ReservationState
from marketplace.sagas.order_state import REQUESTED, Order, OrderLine, OrderState, Reason
from marketplace.sagas.payment_state import Payment, PaymentState, RefundState

REASONS: Final[Mapping[Reason, str]] = {
    Reason.UNPAID: "not paid in time",
    Reason.DECLINED: "payment declined",
    Reason.BUYER: "by the buyer",
    Reason.SELLER: "by the store",
    Reason.NO_STOCK: "goods were gone",
}
_WHO: Final[Mapping[str, str]] = {Reason.BUYER: "The buyer", Reason.SELLER: "The store"}
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
        taken = _count(payload.items)
        return f"The goods were taken from stock ({pieces(taken)})" if taken else "No stock is counted for these goods"
    if isinstance(payload, StockInsufficient):
        return f"The goods are not there any more ({pieces(_count(payload.missing))} missing)"
    if isinstance(payload, OrderRefundRequested):
        return _asked_for(payload, shown_amount(payload.amount_minor, currency))
    if isinstance(payload, OrderConfirmed):
        return "Confirmed: it can be packed and sent"
    if isinstance(payload, OrderCancelled):
        why = next((words for reason, words in REASONS.items() if reason.value == payload.reason), payload.reason)
        return f"Cancelled: {why}"
    return "Paid: its goods are to be taken from stock" if kind is EventType.ORDER_PAYMENT_COMPLETED else kind.value


def _asked_for(asked: OrderRefundRequested, amount: str) -> str:
    if asked.refund == LATE_REFUND:
        return f"The payment came after the order had been cancelled: {amount} is to go back"
    # Earlier versions did not write who asked, except for whole orders.
    who = _WHO.get(asked.by or asked.reason, "")
    if asked.reason in REQUESTED and asked.by in ("", asked.reason):
        return f"{who} cancelled the order: {amount} is to go back"
    why = f": {asked.reason}" if asked.reason else ""
    return f"{who} asked for a refund of {amount}{why}" if who else f"A refund of {amount} was asked for{why}"


def goods_line(sold: SoldOrder, at: str) -> str:
    """Where the goods of an order are.

    Args:
        sold: The order.
        at: When that was said; empty where nothing was.
    """
    state, order = sold.fulfilment.state, sold.order.state
    since = f" {at}" if at else ""
    if state is FulfilmentState.SHIPPED:
        return f"Sent{since}"
    if state is FulfilmentState.DELIVERED:
        return f"Delivered{since}"
    if order in (OrderState.CANCELLED, OrderState.REFUNDING):
        return "Never sent: the order has ended" if state is FulfilmentState.UNFULFILLED else (
            f"Packed{since}, and not to be sent: the order has ended"
        )  # fmt: skip
    if state is FulfilmentState.PACKED:
        return f"Packed{since}, not sent yet"
    return "Not packed yet" if order is OrderState.CONFIRMED else "Not to be packed before it is confirmed"


def stock_lines(
    reservation: Reservation | None, came_back: Sequence[CameBack], now_ms: int, at: Callable[[int], str]
) -> list[str]:
    """What an order has of its store's stock, and what of that is back.

    Args:
        reservation: Of the order; None where it has none.
        came_back: What came back with its refunds.
        now_ms: The time.
        at: Says a moment.
    """
    if reservation is None or not reservation.items:
        return ["None of them is counted"]
    if reservation.state is ReservationState.HELD:
        begin = "Reserved" if reservation.holds(now_ms) else "Was reserved"
        return [f"{begin} until {at(reservation.expires_ms)}"]
    if reservation.state is not ReservationState.TAKEN:
        released = reservation.state is ReservationState.RELEASED
        return ["Reserved no more" if released else "Were not there any more"]
    taken, back = _count(reservation.items), sum(each.quantity for each in came_back)
    lines = [f"{pieces(taken)} taken from stock"]
    if back:
        how_many = pieces(back) if back < taken else "All of it" if taken > 1 else "It"
        lines.append(f"{how_many} came back into stock, {at(came_back[-1].at_ms)}")
    return lines


def returned_words(line: OrderLine) -> str:
    """What of a line was refunded; empty where nothing was."""
    if not line.returned:
        return ""
    return "Refunded" if line.returned >= line.quantity else f"{line.returned:,} of {line.quantity:,} refunded"


def to_send(order: Order) -> list[tuple[int, OrderLine]]:
    """What goes into the parcel: how many of which line, without those that were refunded."""
    return [(left, line) for line in order.lines if (left := line.quantity - line.returned)]


def quantity_of(line: OrderLine, sold: SoldOrder) -> tuple[str, str]:
    """How many of a line were bought and, where some of them are not to be sent, how many are."""
    waits = sold.order.state is OrderState.CONFIRMED and sold.fulfilment.state not in GONE
    left = line.quantity - line.returned
    return f"{line.quantity:,}", f"{f'{left:,}' if left else 'none'} to send" if waits and line.returned else ""


def pieces(count: int) -> str:
    """``1 piece``, ``2 pieces``."""
    return f"{count:,} {'piece' if count == 1 else 'pieces'}"


def _count(items: Sequence[OrderedItem]) -> int:
    return sum(item.quantity for item in items)


def _times(count: int) -> str:
    return {0: "not yet", 1: "once"}.get(count, f"{count} times")
