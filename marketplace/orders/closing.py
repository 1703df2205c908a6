"""What is owed of an order still, so that its store cannot be closed: goods that have not left it, or money."""

from __future__ import annotations

from typing import Final

from marketplace.orders.delivery import GONE, Fulfilment
from marketplace.sagas.order_state import TERMINAL, Order, OrderState

MAX_COUNTED: Final = 1_000
"""More are not counted: whoever has so many sends them first, whatever their number is."""


def is_open(order: Order, fulfilment: Fulfilment) -> bool:
    """Whether somebody owes something of an order.

    Goods of a confirmed order are owed until they are shipped, so a packed one is open; nobody has to say that they
    arrived. Money is owed until a refund is done, also where it waits for an operator, whatever became of the goods.
    """
    if order.state is not OrderState.CONFIRMED:
        return order.state not in TERMINAL
    return fulfilment.state not in GONE or not all(refund.done for refund in order.refunds)


def open_orders_sentence(count: int) -> str:
    """Why a store is not closed, for people.

    Args:
        count: How many orders are open; :data:`MAX_COUNTED` or more are counted no further.
    """
    if count == 1:
        return "1 order is open: send its goods, or cancel or refund it, before the store is closed"
    number = f"{MAX_COUNTED:,} orders or more" if count >= MAX_COUNTED else f"{count:,} orders"
    return f"{number} are open: send their goods, or cancel or refund them, before the store is closed"
