"""What buyers and sellers can ask for of an order that there is: its cancellation, and refunds by the line.

The saga says what is possible by its states; these rules say what is possible by where the goods are. Goods that were
shipped are not cancelled but refunded, and come back into stock only where the seller says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from marketplace.orders.delivery import GONE, Fulfilment, FulfilmentState
from marketplace.orders.refusals import NotPossible, UnknownLine
from marketplace.sagas import orders as saga
from marketplace.sagas.order_state import NotNow, Order, OrderDecision, OrderState, Reason


class Party(StrEnum):
    """Who asks."""

    BUYER = "buyer"
    SELLER = "seller"


_REASONS: Final = {Party.BUYER: Reason.BUYER, Party.SELLER: Reason.SELLER}


def can_cancel(order: Order, fulfilment: Fulfilment, who: Party) -> bool:
    """Whether somebody can cancel an order now."""
    return order.state in (OrderState.PENDING, OrderState.CONFIRMED) and _refusal(fulfilment, who) == ""


def cancelled(order: Order, fulfilment: Fulfilment, who: Party, now_ms: int) -> OrderDecision:
    """The whole order ends.

    Raises:
        NotPossible: It has ended, is being changed at this moment, or its goods are on the way.
    """
    if order.state is OrderState.CONFIRMED and (refusal := _refusal(fulfilment, who)):
        raise NotPossible(refusal)
    try:
        return saga.cancel(order, _REASONS[who], now_ms)
    except NotNow as error:
        raise NotPossible(str(error)) from error


def refunded(
    order: Order,
    fulfilment: Fulfilment,
    who: Party,
    counts: Mapping[int, int],
    now_ms: int,
    *,
    reason: str = "",
    restock: bool | None = None,
) -> OrderDecision:
    """Money of a confirmed order goes back.

    Args:
        order: The order.
        fulfilment: Where its goods are.
        who: Who asks. A buyer can as long as nothing was packed.
        counts: How many of each line, by its number; empty for all that is left.
        now_ms: The time.
        reason: Kept in the history of the order, which its store reads.
        restock: Whether the goods come back into stock; None where that follows from whether they were shipped.

    Raises:
        NotPossible: The order is not confirmed, or its buyer asks and it was packed.
        UnknownLine: It has no such line, or not so many that are left.
    """
    if order.state is not OrderState.CONFIRMED:
        raise NotPossible(f"the order is {order.state.value}: only a confirmed one is refunded")
    if who is Party.BUYER and (refusal := _refusal(fulfilment, who)):
        raise NotPossible(refusal)
    left = {line.number: line.quantity - line.returned for line in order.lines}
    wanted = dict(counts) or {number: count for number, count in left.items() if count}
    for number, count in wanted.items():
        if not 1 <= count <= left.get(number, 0):
            raise UnknownLine(f"of line {number} there are {left.get(number, 0)} left to refund")
    back = fulfilment.state not in GONE if restock is None else restock
    try:
        return saga.refund_lines(order, wanted, now_ms, reason=reason, restock=back, by=_REASONS[who])
    except NotNow as error:
        raise NotPossible(str(error)) from error


def _refusal(fulfilment: Fulfilment, who: Party) -> str:
    if fulfilment.state in GONE:
        return "its goods are on the way: it is not cancelled any more, and its seller can refund it"
    if who is Party.BUYER and fulfilment.state is not FulfilmentState.UNFULFILLED:
        return "its goods are packed: ask its seller"
    return ""
