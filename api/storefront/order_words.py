"""Where an order is, in plain words: for each state that it can be in, and each way of its goods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from connectors.mongo.orders import KeptOrder
from marketplace.money import shown_amount
from marketplace.orders.delivery import FulfilmentState
from marketplace.sagas.declines import decline_of
from marketplace.sagas.order_state import Order, OrderLine, OrderState, Reason, Refund


class Tone(StrEnum):
    """How an order is, at one look."""

    WAIT = "wait"
    GOOD = "good"
    OVER = "over"
    FAILED = "failed"
    """It ended, and somebody has to do something to get the goods."""


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
class Heading:
    """What is said of orders that were placed together.

    Attributes:
        title: As a sentence.
        text: What it means, and what comes next.
    """

    title: str
    text: str


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
    Reason.DECLINED: "What you ordered is not reserved for you any more: the button puts it back into your cart.",
}  # fmt: skip
_TOGETHER: Final = "Each store sends its own part, and each order is paid by itself."
_CARD_AGAIN: Final = "The button puts what you ordered back into your cart, to pay for it with another card."
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
        return _confirmed(kept)
    if order.state is OrderState.REFUNDING:
        why = _REFUNDING[order.reason or Reason.SELLER]
        if any(refund.reversals and not refund.done for refund in order.refunds):
            text = f"{why} Your bank or card did not take the money back. It is owed to you still, and we settle it."
            return Words("Money owed to you", "Your money is owed to you still", text, Tone.WAIT)
        text = f"{why} Your money is on its way back; how long that takes is up to your bank."
        return Words("Money on its way back", "Your money is on its way back", text, Tone.WAIT)
    back = "Your money has gone back." if order.refunded_minor else "Nothing was charged."
    why = _CANCELLED[order.reason or Reason.SELLER]
    if order.reason is Reason.DECLINED:
        said = decline_of(order.decline)
        text = f"{said.why} {said.what_next} {why} {back}"
        return Words("Card declined", "Your card was declined", text, Tone.FAILED)
    return Words("Cancelled", "Your order is cancelled", f"{why} {back}", Tone.OVER)


def _confirmed(kept: KeptOrder) -> Words:
    """Also what was refunded of it: the rest goes on."""
    order, found = kept.order, _WAYS[kept.fulfilment.state]
    open_minor = sum(refund.amount_minor for refund in order.refunds if not refund.done)
    back = [f"{shown_amount(order.refunded_minor, order.currency)} of it was refunded."] if order.refunded_minor else []
    if open_minor:
        back.append(f"{shown_amount(open_minor, order.currency)} of it is being refunded.")
    return replace(found, text=" ".join((found.text, *back)))


def together(orders: Sequence[KeptOrder], *, just_placed: bool) -> Heading:
    """What is said of orders that were placed together, by what has become of them.

    Args:
        orders: All of them.
        just_placed: Whether they were placed a moment ago.
    """
    declined = [kept for kept in orders if is_declined(kept.order)]
    ended = [kept for kept in orders if kept.order.state in (OrderState.REFUNDING, OrderState.CANCELLED)]
    others = len(orders) - len(ended)
    go_on = "Your other order goes on." if others == 1 else f"Your {others} other orders go on."
    further = f" {go_on}" if others else ""
    if declined:
        codes = {kept.order.decline for kept in declined}
        why = f"{decline_of(codes.pop()).why} " if len(codes) == 1 else ""
        title = "Your card was declined"
        if len(declined) < len(orders):
            title = f"Your card was declined for {len(declined)} of your {len(orders)} orders"
        return Heading(title, f"{why}{_CARD_AGAIN} Nothing was charged for it.{further}")
    if ended:
        title = f"{len(ended)} of your {len(orders)} orders ended" if others else "Your orders are cancelled"
        return Heading(title, f"What became of each stands below.{further}")
    title = "Thank you! Your orders are placed" if just_placed else "What you ordered together"
    return Heading(title, f"{_TOGETHER} The page of an order shows where it is.")


def is_declined(order: Order) -> bool:
    """Whether it ended because its card was declined, so that another one can pay for the same."""
    return order.state is OrderState.CANCELLED and order.reason is Reason.DECLINED


def refund_title(refund: Refund) -> str:
    """What stands before the amount of a refund."""
    if refund.done:
        return "Refunded"
    return "Came back, owed to you" if refund.reversals else "Being refunded"


def refunded_goods(refund: Refund, order: Order) -> str:
    """What a refund is for; empty where that is not known."""
    titles = {line.number: line.title for line in order.lines}
    known = [each for each in refund.lines if each.number in titles]
    return ", ".join(f"{each.quantity} \N{MULTIPLICATION SIGN} {titles[each.number]}" for each in known)


def returned_words(line: OrderLine, order: Order) -> str:
    """What is said beside a line of those of it that were refunded; empty where none were."""
    if not line.returned:
        return ""
    of_line = (refund for refund in order.refunds if any(each.number == line.number for each in refund.lines))
    moving = any(not refund.done for refund in of_line)
    if line.returned == line.quantity:
        return "Being refunded" if moving else "Refunded"
    return f"{line.returned} of {line.quantity} {'being refunded' if moving else 'refunded'}"


def steps(kept: KeptOrder) -> list[Step]:
    """The steps of an order, as long as it goes on; none for one that ends without goods."""
    order = kept.order
    if order.state in (OrderState.REFUNDING, OrderState.CANCELLED):
        return []
    at = {OrderState.PENDING: 0, OrderState.PAID: 1}.get(order.state, _REACHED[kept.fulfilment.state])
    return [Step(title, number <= at, number == at) for number, title in enumerate(_STEPS)]


def again_title(order: Order) -> str:
    """What the button says that puts the lines of an order into the cart once more."""
    return "Try another card" if is_declined(order) else "Order it again"
