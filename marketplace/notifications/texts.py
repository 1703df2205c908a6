"""What notifications say: a title and some sentences, the same in the app and in mails.

A title holds nothing that people have written, except that a store's own people read there what of runs low, in ASCII
letters and digits. Elsewhere titles and names are cut to a length, on one line, without what makes a reader's screen
lie, and kept from turning around the text beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from marketplace.notifications.facts import Facts
from marketplace.notifications.notices import Template
from marketplace.notifications.words import (
    amount,
    isolated,
    named,
    one_line,
    order_code,
    placed,
    plain_name,
    store_name,
    total,
)
from marketplace.sagas.declines import decline_of
from marketplace.sagas.order_state import Reason

_MAX_SUBJECT_NAME_CHARS: Final = 40

_WHY_OF_BUYER: Final[Mapping[str, str]] = {
    Reason.UNPAID: "It was not paid in time.",
    Reason.DECLINED: "The payment was declined.",
    Reason.BUYER: "You cancelled it.",
    Reason.SELLER: "The store cancelled it.",
    Reason.NO_STOCK: "Somebody else got the last piece before your payment arrived.",
}
_WHY_OF_STORE: Final[Mapping[str, str]] = {
    **_WHY_OF_BUYER, Reason.BUYER: "The buyer cancelled it.", Reason.SELLER: "Your store cancelled it.",
}  # fmt: skip


@dataclass(frozen=True)
class Text:
    """What a notification says.

    Attributes:
        title: One line of ASCII letters, digits and spaces.
        sentences: What it is about, a paragraph each.
    """

    title: str
    sentences: tuple[str, ...]


def text_of(template: Template, facts: Facts) -> Text:
    """What a notification says."""
    return _TEXTS[template](facts)


def _confirmed(facts: Facts) -> Text:
    return Text(
        f"Your order {order_code(facts.order)} is confirmed",
        (
            f"{store_name(facts)} has your order of {placed(facts)}, and it is paid: {total(facts)}.",
            "The store packs and sends it. You hear from us when it is on the way.",
        ),
    )


def _cancelled(facts: Facts) -> Text:
    if facts.reason == Reason.DECLINED:
        return _declined(facts)
    paid_back = f"{amount(facts)} was refunded to the card that you paid with."
    back = paid_back if facts.amount_minor else "You were charged nothing."
    return Text(
        f"Your order {order_code(facts.order)} was cancelled",
        (f"Your order from {store_name(facts)} of {placed(facts)} ended. {_why(_WHY_OF_BUYER, facts)}".strip(), back),
    )


def _declined(facts: Facts) -> Text:
    found = decline_of(facts.decline)
    return Text(
        f"Your order {order_code(facts.order)} was cancelled",
        (
            f"Your order from {store_name(facts)} of {placed(facts)} ended: your card was declined. {found.why}",
            "You were charged nothing.",
            f"{found.what_next} The page of the order puts what you ordered back into your cart.",
        ),
    )


def _refunded(facts: Facts) -> Text:
    return Text(
        f"A part of your order {order_code(facts.order)} was refunded",
        (
            f"{amount(facts)} of your order from {store_name(facts)} of {placed(facts)} was refunded to the card that"
            " you paid with.",
            *((f"It is for {named(facts.refunded)}.",) if facts.refunded else ()),
            "The rest of the order stays as it is.",
        ),
    )


def _returned(facts: Facts) -> Text:
    return Text(
        f"Your payment for the order {order_code(facts.order)} went back",
        (
            f"Your order from {store_name(facts)} of {placed(facts)} is cancelled.",
            f"{amount(facts)} was refunded to the card that you paid with.",
        ),
    )


def _reversed(facts: Facts) -> Text:
    return Text(
        f"Your refund for the order {order_code(facts.order)} did not arrive",
        (
            f"{amount(facts)} for your order from {store_name(facts)} of {placed(facts)} was sent back to you, and your"
            " bank or card did not take it.",
            "It is owed to you still. We settle it with the payment provider, and you hear of it when it has gone.",
        ),
    )


def _shipped(facts: Facts) -> Text:
    carrier = f" {isolated(one_line(facts.carrier))} brings it." if facts.carrier else ""
    tracking = (f"It can be followed by {isolated(one_line(facts.tracking))}.",) if facts.tracking else ()
    return Text(
        f"Your order {order_code(facts.order)} is on the way",
        (f"{store_name(facts)} has sent your order of {placed(facts)}.{carrier}", *tracking),
    )


def _new(facts: Facts) -> Text:
    return Text(
        f"New order {order_code(facts.order)}",
        (f"{store_name(facts)} has a new order, placed on {placed(facts)}. It is paid: {total(facts)}.",),
    )


def _store_cancelled(facts: Facts) -> Text:
    return Text(
        f"The order {order_code(facts.order)} was cancelled",
        (
            f"The order that {store_name(facts)} got on {placed(facts)} ended: do not send it."
            f" {_why(_WHY_OF_STORE, facts)}".rstrip(),
            f"{amount(facts)} went back to the buyer.",
        ),
    )


def _store_reversed(facts: Facts) -> Text:
    return Text(
        f"A refund for the order {order_code(facts.order)} did not arrive",
        (
            f"{amount(facts)} of the order that {store_name(facts)} got on {placed(facts)} was sent back, and the"
            " buyer's bank or card did not take it.",
            "It is owed to the buyer still. Whoever runs the marketplace settles it: you have nothing to do.",
        ),
    )


def _low(facts: Facts) -> Text:
    left = "nothing is left" if facts.available <= 0 else f"{facts.available} can still be ordered"
    name = ", ".join(isolated(one_line(part)) for part in (facts.title, facts.options) if part)
    sku = f" ({isolated(one_line(facts.sku, 64))})" if facts.sku else ""
    # Its subject is for those who wrote the name, and they find the mail of one product among those of many by it.
    called = plain_name(f"{facts.title} {facts.options}")[:_MAX_SUBJECT_NAME_CHARS].strip()
    stock = "No stock left" if facts.available <= 0 else "Low stock"
    what = f"{stock} of {called or 'a product'}"
    return Text(what, (f"{name}{sku} in {store_name(facts)}: {left}.",))


_TEXTS: Final[Mapping[Template, Callable[[Facts], Text]]] = {
    Template.ORDER_CONFIRMED: _confirmed,
    Template.ORDER_CANCELLED: _cancelled,
    Template.ORDER_REFUNDED: _refunded,
    Template.PAYMENT_RETURNED: _returned,
    Template.REFUND_REVERSED: _reversed,
    Template.ORDER_SHIPPED: _shipped,
    Template.NEW_ORDER: _new,
    Template.STORE_ORDER_CANCELLED: _store_cancelled,
    Template.STORE_REFUND_REVERSED: _store_reversed,
    Template.LOW_STOCK: _low,
}


def _why(sentences: Mapping[str, str], facts: Facts) -> str:
    return sentences.get(facts.reason, "")
