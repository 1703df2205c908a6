"""Where an order is, in plain words: for each state that it can be in, and each way of its goods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from connectors.mongo.orders import KeptOrder
from marketplace.orders.delivery import FulfilmentState
from marketplace.sagas.orders import Order, OrderState, Reason, Refund


class Tone(StrEnum):
    """How an order is, at one look."""

    WAIT = "wait"
    GOOD = "good"
    OVER = "over"


@dataclass(frozen=True)
class Words:
    """What is said of an order.

    Attributes:
        short: In two or three words, for lists.
        title: As a sentence.
        text: What it means, and what comes next.
        tone: How it is.
    """

    short: str
    title: str
    text: str
    tone: Tone


@dataclass(frozen=True)
class Step:
    """A step of an order.

    Attributes:
        title: For people.
        done: Whether it is behind.
        current: Whether the order is at it.
    """

    title: str
    done: bool
    current: bool


_WAYS: Final[Mapping[FulfilmentState, Words]] = {
    FulfilmentState.UNFULFILLED: Words(
        "Confirmed", "Your order is confirmed",
        "It is paid, and its goods are set aside for you. The store packs them next.", Tone.GOOD,
    ),
    FulfilmentState.PACKED: Words(
        "Packed", "Your order is packed", "The store hands it over for delivery next.", Tone.GOOD
    ),
    FulfilmentState.SHIPPED: Words("On its way", "Your order is on its way", "The store has sent it.", Tone.GOOD),
    FulfilmentState.DELIVERED: Words(
        "Delivered", "Your order has arrived", "The store says that it was delivered.", Tone.GOOD
    ),
}  # fmt: skip
_WAITING: Final = Words(
    "Being paid", "Your order is placed, and its payment is on the way",
    "Its goods are reserved for you. The payment provider is asked for the money now, which takes a moment.", Tone.WAIT,
)  # fmt: skip
_PAID: Final = Words("Paid", "Your order is paid", "The store's stock is counted now, which takes a moment.", Tone.WAIT)
_REFUNDING: Final[Mapping[Reason, str]] = {
    Reason.BUYER: "You have cancelled it.",
    Reason.SELLER: "The store has cancelled it.",
    Reason.NO_STOCK: "The store has none of it left. We are sorry.",
    Reason.UNPAID: "Your payment came when the order was cancelled already.",
    Reason.DECLINED: "Your payment came when the order was cancelled already.",
}
_CANCELLED: Final[Mapping[Reason, str]] = {
    Reason.BUYER: "You have cancelled it.",
    Reason.SELLER: "The store has cancelled it.",
    Reason.NO_STOCK: "The store had none of it left. We are sorry.",
    Reason.UNPAID: "It was not paid in time, so its goods are not reserved for you any more.",
    Reason.DECLINED: "Its goods are not reserved for you any more. Try another card: what you "
                     "ordered goes back into your cart, and you order it once more.",
}  # fmt: skip
_STEPS: Final = ("Placed", "Paid", "Confirmed", "Packed", "On its way", "Delivered")
_REACHED: Final[Mapping[FulfilmentState, int]] = {
    FulfilmentState.UNFULFILLED: 2,
    FulfilmentState.PACKED: 3,
    FulfilmentState.SHIPPED: 4,
    FulfilmentState.DELIVERED: 5,
}


def words(kept: KeptOrder) -> Words:
    """What is said of an order."""
    order = kept.order
    if order.state is OrderState.PENDING:
        return _WAITING
    if order.state is OrderState.PAID:
        return _PAID
    if order.state is OrderState.CONFIRMED:
        return _WAYS[kept.fulfilment.state]
    if order.state is OrderState.REFUNDING:
        why = _REFUNDING[order.reason or Reason.SELLER]
        if any(refund.reversals and not refund.done for refund in order.refunds):
            text = f"{why} Your bank or card did not take the money back. It is owed to you still, and we settle it."
            return Words("Money owed to you", "Your money is owed to you still", text, Tone.WAIT)
        text = f"{why} Your money is on its way back; how long that takes is up to your bank."
        return Words("Money on its way back", "Your money is on its way back", text, Tone.WAIT)
    back = "Your money has gone back." if order.refunded_minor else "Nothing was charged."
    title = "Your card was declined" if order.reason is Reason.DECLINED else "Your order is cancelled"
    short = "Card declined" if order.reason is Reason.DECLINED else "Cancelled"
    return Words(short, title, f"{_CANCELLED[order.reason or Reason.SELLER]} {back}", Tone.OVER)


def refund_title(refund: Refund) -> str:
    """What stands before the amount of a refund."""
    if refund.done:
        return "Gone back"
    return "Came back, owed to you" if refund.reversals else "Going back"


def steps(kept: KeptOrder) -> list[Step]:
    """The steps of an order, as long as it goes on; none for one that ends without goods."""
    order = kept.order
    if order.state in (OrderState.REFUNDING, OrderState.CANCELLED):
        return []
    at = {OrderState.PENDING: 0, OrderState.PAID: 1}.get(order.state, _REACHED[kept.fulfilment.state])
    return [Step(title, number <= at, number == at) for number, title in enumerate(_STEPS)]


def again_title(order: Order) -> str:
    """What the button says that puts the lines of an order into the cart once more."""
    declined = order.state is OrderState.CANCELLED and order.reason is Reason.DECLINED
    return "Try another card" if declined else "Order it again"
