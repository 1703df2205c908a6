"""What is kept of a notification beside its template, so that its text can be written at any time."""

from __future__ import annotations

from typing import Final

import msgspec

from marketplace.notifications.notices import Notice
from marketplace.sagas.order_state import Order, OrderLine

MAX_LINES: Final = 20
"""Of an order, in a notification; further ones are counted."""


class Line(msgspec.Struct, frozen=True):
    """A line of an order."""

    title: str
    options: str
    quantity: int
    total_minor: int


class Facts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a notification is about, as it was then.

    Attributes:
        store: The slug.
        store_title: For people.
        zone: The store's; times are shown in it.
        order: The id; empty for none.
        currency: A code of ISO 4217.
        total_minor: Of the order.
        amount_minor: What went back, or came back to the provider.
        reason: Why the order was cancelled.
        refund: The refund that it is about; empty for none.
        reversals: How often that one had come back by then.
        placed_at_ms: When the order was placed, epoch milliseconds.
        lines: Of the order.
        more_lines: How many further ones it has.
        product: The id of a product; empty for none.
        variant: The id of a variant; empty for none.
        title, options, sku: Of its variant.
        available: How many of it can be ordered.
        carrier: Who brings the goods; empty where that is not said.
        tracking: By which they can be followed; empty for none.
        decline: The provider's code of why it declined the payment; empty for none.
        refunded: What the refund is for; empty where that is not said.
        goes_to: The lines of the address that the goods go to. It is not kept: mails look it up when they are sent.
        contact: The mail address that its buyer can write to; empty for none. It is not kept either.
    """

    store: str
    store_title: str
    zone: str
    order: str = ""
    currency: str = ""
    total_minor: int = 0
    amount_minor: int = 0
    reason: str = ""
    refund: str = ""
    reversals: int = 0
    placed_at_ms: int = 0
    lines: tuple[Line, ...] = ()
    more_lines: int = 0
    product: str = ""
    variant: str = ""
    title: str = ""
    options: str = ""
    sku: str = ""
    available: int = 0
    carrier: str = ""
    tracking: str = ""
    decline: str = ""
    refunded: tuple[Line, ...] = ()
    goes_to: tuple[str, ...] = ()
    contact: str = ""


def facts_of_order(notice: Notice, order: Order, placed_at_ms: int, store_title: str, zone: str) -> Facts:
    """What a notification about an order keeps."""
    shown = order.lines[:MAX_LINES]
    return Facts(
        store=order.store,
        store_title=store_title,
        zone=zone,
        order=order.id,
        currency=order.currency,
        total_minor=order.total_minor,
        amount_minor=notice.amount_minor,
        reason=notice.reason,
        refund=notice.refund,
        reversals=notice.reversals,
        placed_at_ms=placed_at_ms,
        lines=tuple(_line(line, line.quantity) for line in shown),
        more_lines=len(order.lines) - len(shown),
        decline=order.decline,
        refunded=_refunded(order, notice.refund),
    )


def _line(line: OrderLine, quantity: int) -> Line:
    return Line(line.title, line.options, quantity, quantity * line.unit_minor)


def _refunded(order: Order, refund: str) -> tuple[Line, ...]:
    lines = {line.number: line for line in order.lines}
    found = next((each.lines for each in order.refunds if each.id == refund), ())
    return tuple(_line(lines[each.number], each.quantity) for each in found if each.number in lines)[:MAX_LINES]
