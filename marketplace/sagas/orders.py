"""What the orders service makes of events, requests and deadlines.

Pure: a decision gives the order as it is then and what the service says of it. The same event twice, or one that comes
too late, changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from marketplace.sagas.declines import MAX_CODE_CHARS
from marketplace.sagas.events import (
    LATE_REFUND,
    STOCK_REFUND,
    Event,
    EventType,
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderedItem,
    OrderPaymentCompleted,
    OrderRefundRequested,
    Payload,
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundReversed,
)
from marketplace.sagas.order_state import (
    REQUESTED,
    NotNow,
    Order,
    OrderDecision,
    OrderState,
    Reason,
    Refund,
    RefundedLine,
    said_of,
)


def placed(order: Order, now_ms: int) -> OrderDecision:
    """A new order, as it is kept in the transaction that places it."""
    created = OrderCreated(order.checkout, order.buyer, order.currency, order.total_minor, order.items, order.pay_by_ms)
    return OrderDecision(order, (said_of(order, EventType.ORDER_CREATED, created, now_ms),))


def on_event(order: Order, event: Event, now_ms: int) -> OrderDecision:
    """What an event of another service changes."""
    react = _REACTIONS.get(event.type)
    return OrderDecision(order) if react is None else react(order, event.payload, now_ms)


def on_deadline(order: Order, now_ms: int) -> OrderDecision:
    """What the passing of time changes: an order that was not paid in time is cancelled."""
    if order.deadline_ms is None or now_ms < order.deadline_ms:
        return OrderDecision(order)
    return _cancelled(order, Reason.UNPAID, now_ms)


def cancel(order: Order, who: Reason, now_ms: int) -> OrderDecision:
    """Somebody wants the whole order to end.

    Raises:
        NotNow: It has ended, or its stock is being deducted at this moment: a second later it can be cancelled.
    """
    if order.state is OrderState.PENDING:
        return _cancelled(order, who, now_ms)
    if order.state is OrderState.CONFIRMED:
        left = {line.number: line.quantity - line.returned for line in order.lines}
        ending = replace(order, reason=who)
        return _refunding(ending, {number: count for number, count in left.items() if count}, who.value, now_ms, who)
    if order.state is OrderState.PAID:
        raise NotNow("its stock is being deducted: try again in a moment")
    raise NotNow("it has ended" if order.state is OrderState.CANCELLED else "its money is on the way back")


def refund_lines(
    order: Order,
    counts: Mapping[int, int],
    now_ms: int,
    *,
    reason: str = "",
    restock: bool = True,
    by: Reason = Reason.SELLER,
) -> OrderDecision:
    """Money for some of an order goes back, and the goods to stock.

    Args:
        order: A confirmed one.
        counts: How many of each line, by its number.
        now_ms: The time.
        reason: Kept in the history of the order.
        restock: Whether the goods come back; those that were shipped need not.
        by: Who asks for it, one of :data:`REQUESTED`; where nothing is left, the order was cancelled by them.

    Raises:
        NotNow: It is not confirmed, or has no such line or not so many that are left.
    """
    if order.state is not OrderState.CONFIRMED:
        raise NotNow("only a confirmed order is refunded by the line")
    lines = {line.number: line for line in order.lines}
    if not counts:
        raise NotNow("name a line")
    for number, count in counts.items():
        if number not in lines:
            raise NotNow(f"it has no line {number}")
        left = lines[number].quantity - lines[number].returned
        if not 1 <= count <= left:
            raise NotNow(f"of line {number} there {'is' if left == 1 else 'are'} {left} left to refund")
    return _refunding(order, counts, reason, now_ms, by, restock=restock)


def _refunding(
    order: Order, counts: Mapping[int, int], reason: str, now_ms: int, by: Reason, *, restock: bool = True
) -> OrderDecision:
    amount = sum(line.unit_minor * counts.get(line.number, 0) for line in order.lines)
    lines = tuple(replace(line, returned=line.returned + counts.get(line.number, 0)) for line in order.lines)
    ends = all(line.returned == line.quantity for line in lines)
    refunded = tuple(RefundedLine(number, count) for number, count in sorted(counts.items()) if count)
    refund = Refund(f"r{len(order.refunds) + 1}", amount, ends=ends, lines=refunded, asked_ms=now_ms)
    after = replace(
        order,
        lines=lines,
        refunds=(*order.refunds, refund),
        state=OrderState.REFUNDING if ends else order.state,
        reason=(order.reason or by) if ends else order.reason,
        version=order.version + 1,
    )
    restocked = tuple(
        OrderedItem(line.variant, counts[line.number]) for line in order.lines if counts.get(line.number, 0)
    )
    asked = OrderRefundRequested(refund.id, amount, restocked if restock else (), reason, by.value)
    return OrderDecision(after, (said_of(after, EventType.ORDER_REFUND_REQUESTED, asked, now_ms),))


def _on_paid(order: Order, payload: Payload, now_ms: int) -> OrderDecision:
    if order.paid_minor:
        return OrderDecision(order)
    paid = replace(order, paid_minor=order.total_minor, version=order.version + 1)
    late = order.state is OrderState.CANCELLED
    if late and order.reason in REQUESTED:
        # Nobody wants it any more: what came too late goes back, and there is nothing to restock.
        refund = Refund(LATE_REFUND, order.total_minor, ends=True, asked_ms=now_ms)
        after = replace(paid, state=OrderState.REFUNDING, refunds=(*order.refunds, refund))
        asked = OrderRefundRequested(refund.id, refund.amount_minor, (), str(order.reason), str(order.reason))
        return OrderDecision(after, (said_of(after, EventType.ORDER_REFUND_REQUESTED, asked, now_ms),))
    if late or order.state is OrderState.PENDING:
        # One that was cancelled because nobody paid gets its goods after all, if there are any still.
        after = replace(paid, state=OrderState.PAID, reason=None, decline="")
        said = OrderPaymentCompleted(order.items)
        return OrderDecision(after, (said_of(after, EventType.ORDER_PAYMENT_COMPLETED, said, now_ms),))
    return OrderDecision(order)


def _on_payment_failed(order: Order, payload: Payload, now_ms: int) -> OrderDecision:
    if order.state is not OrderState.PENDING or not isinstance(payload, PaymentFailed):
        return OrderDecision(order)
    return _cancelled(replace(order, decline=payload.reason[:MAX_CODE_CHARS]), Reason.DECLINED, now_ms)


def _on_stock_taken(order: Order, payload: Payload, now_ms: int) -> OrderDecision:
    if order.state is not OrderState.PAID:
        return OrderDecision(order)
    after = replace(order, state=OrderState.CONFIRMED, version=order.version + 1)
    said = OrderConfirmed(order.buyer, order.total_minor, order.currency)
    return OrderDecision(after, (said_of(after, EventType.ORDER_CONFIRMED, said, now_ms),))


def _on_no_stock(order: Order, payload: Payload, now_ms: int) -> OrderDecision:
    if order.state is not OrderState.PAID:
        return OrderDecision(order)
    return OrderDecision(replace(_without_stock(order), version=order.version + 1))


def _without_stock(order: Order) -> Order:
    # The payments service has heard of it as well, and sends the money back.
    refund = Refund(STOCK_REFUND, order.paid_minor, ends=True)
    return replace(
        order, state=OrderState.REFUNDING, reason=Reason.NO_STOCK, refunds=(*order.refunds, refund)
    )  # fmt: skip


def _asked_for(order: Order, refund: str) -> tuple[Order, Refund | None]:
    """The refund of an id, and the order with it: that goods are missing may be heard of by their money first."""
    if refund == STOCK_REFUND and order.state is OrderState.PAID:
        order = _without_stock(order)
    return order, next((each for each in order.refunds if each.id == refund), None)


def _on_refunded(order: Order, payload: Payload, now_ms: int) -> OrderDecision:
    if not isinstance(payload, PaymentRefunded):
        return OrderDecision(order)
    before = order
    order, known = _asked_for(order, payload.refund)
    # One that has come back since says nothing any more.
    if known is None or payload.reversals < known.reversals:
        return OrderDecision(before)
    if known.done:
        if payload.reversals == known.reversals:
            return OrderDecision(before)
        # It came back and has gone again: the event between the two comes later, and then changes nothing.
        newer = replace(known, reversals=payload.reversals)
        return OrderDecision(replace(order, refunds=_with(order, newer), version=order.version + 1))
    refunds = _with(order, replace(known, done=True, reversals=payload.reversals))
    after = replace(
        order,
        refunds=refunds,
        refunded_minor=order.refunded_minor + known.amount_minor,
        version=order.version + 1,
    )
    if order.state is not OrderState.REFUNDING or not all(refund.done for refund in refunds):
        return OrderDecision(after)
    after = replace(after, state=OrderState.CANCELLED)
    said = OrderCancelled(order.buyer, str(order.reason), after.refunded_minor)
    return OrderDecision(after, (said_of(after, EventType.ORDER_CANCELLED, said, now_ms),))


def _on_refund_reversed(order: Order, payload: Payload, now_ms: int) -> OrderDecision:
    if not isinstance(payload, PaymentRefundReversed):
        return OrderDecision(order)
    before = order
    order, known = _asked_for(order, payload.refund)
    if known is None or payload.reversals <= known.reversals:
        return OrderDecision(before)
    after = replace(
        order,
        refunds=_with(order, replace(known, done=False, reversals=payload.reversals)),
        refunded_minor=order.refunded_minor - (known.amount_minor if known.done else 0),
        state=OrderState.REFUNDING if order.state is OrderState.CANCELLED else order.state,
        version=order.version + 1,
    )
    return OrderDecision(after)


def _with(order: Order, changed: Refund) -> tuple[Refund, ...]:
    return tuple(changed if each.id == changed.id else each for each in order.refunds)


def _cancelled(order: Order, reason: Reason, now_ms: int) -> OrderDecision:
    after = replace(order, state=OrderState.CANCELLED, reason=reason, version=order.version + 1)
    said = OrderCancelled(order.buyer, reason.value)
    return OrderDecision(after, (said_of(after, EventType.ORDER_CANCELLED, said, now_ms),))


_REACTIONS: Final = {
    EventType.PAYMENT_COMPLETED: _on_paid,
    EventType.PAYMENT_FAILED: _on_payment_failed,
    EventType.STOCK_COUNT_UPDATED: _on_stock_taken,
    EventType.STOCK_INSUFFICIENT: _on_no_stock,
    EventType.PAYMENT_REFUNDED: _on_refunded,
    EventType.PAYMENT_REFUND_REVERSED: _on_refund_reversed,
}
