"""Notifications: which event gives which one to whom, and until when one is worth sending.

One of a recipient, a template and a business event is written once for ever. Whether it still holds is decided by the
order as it is now: when the event is handled, when another event of the order is handled, and when its mail is sent.
See docs/adr/0034.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Final

from marketplace.sagas.events import Event, EventType, OrderCancelled, PaymentRefunded, PaymentRefundReversed
from marketplace.sagas.order_state import Order, OrderState

SERVICE: Final = "notifications"
ID_CHARS: Final = 32


class Template(StrEnum):
    """What a notification is about."""

    ORDER_CONFIRMED = "order_confirmed"
    ORDER_CANCELLED = "order_cancelled"
    ORDER_REFUNDED = "order_refunded"
    """Some of an order's money has gone back."""
    PAYMENT_RETURNED = "payment_returned"
    """Money of an order that its buyer knows to be cancelled has gone back."""
    REFUND_REVERSED = "refund_reversed"
    """Money that had gone back did not arrive, and is owed again."""
    ORDER_SHIPPED = "order_shipped"
    NEW_ORDER = "new_order"
    STORE_ORDER_CANCELLED = "store_order_cancelled"
    STORE_REFUND_REVERSED = "store_refund_reversed"
    LOW_STOCK = "low_stock"


VERSIONS: Final[Mapping[Template, int]] = {
    **dict.fromkeys(Template, 1),
    Template.ORDER_CONFIRMED: 2,
    Template.ORDER_CANCELLED: 2,
    Template.ORDER_REFUNDED: 2,
    Template.ORDER_SHIPPED: 2,
    Template.PAYMENT_RETURNED: 3,
    Template.LOW_STOCK: 2,
}
"""Of each template's text: a change that says something else raises it. It is kept with every notification."""

OF_STORES: Final = frozenset(
    {Template.NEW_ORDER, Template.STORE_ORDER_CANCELLED, Template.STORE_REFUND_REVERSED, Template.LOW_STOCK}
)
"""Those for who works in a store; all others are for buyers."""

NAME_THE_ADDRESS: Final = frozenset({Template.ORDER_CONFIRMED, Template.ORDER_SHIPPED})
"""Those whose mails say where the goods go."""

Heard = Collection[tuple[str, str, str]]
"""What recipients were notified of about one order: who, of what, and because of which event. A later version may have
templates that this one does not know."""


@dataclass(frozen=True)
class Notice:
    """Something that a recipient is to hear of.

    Attributes:
        recipient: ``user:<id>`` or ``store:<slug>``.
        template: What it is about.
        event: The business event: the same one never leads to another notification of this template.
        amount_minor: What went back, or came back to the provider; 0 where nothing did.
        reason: Why the order was cancelled; empty for none.
        refund: The refund that it is about; empty for none.
        reversals: How often that one had come back by then.
    """

    recipient: str
    template: Template
    event: str
    amount_minor: int = 0
    reason: str = ""
    refund: str = ""
    reversals: int = 0

    @property
    def id(self) -> str:
        """Of recipient, template and business event."""
        whole = "\0".join((self.recipient, self.template.value, self.event))
        return sha256(whole.encode()).hexdigest()[:ID_CHARS]


def buyer_of(user: str) -> str:
    """An account as a recipient."""
    return f"user:{user}"


def team_of(store: str) -> str:
    """Those who work in a store as a recipient."""
    return f"store:{store}"


def mail_id(notice: str, user: str) -> str:
    """The id of a notification's mail to an account, which is in the header ``Message-ID`` at every attempt.

    Args:
        notice: The id of the notification.
        user: The id of the account.
    """
    return sha256(f"{notice}\0{user}".encode()).hexdigest()[:ID_CHARS]


def holds(template: Template, amount_minor: int, order: Order, refund: str = "", reversals: int = 0) -> bool:
    """Whether what a notification says of an order is so still.

    Args:
        template: What it says.
        amount_minor: What it says that went back.
        order: As it is now. It may be older than an event of a payment.
        refund: The refund that it is about; empty for none.
        reversals: How often it says that this one has come back.
    """
    if template is Template.LOW_STOCK:
        return True
    known = next((each for each in order.refunds if each.id == refund), None)
    if known is not None and known.reversals > reversals:
        return False
    if template in (Template.REFUND_REVERSED, Template.STORE_REFUND_REVERSED):
        # It is owed until the order says that it has gone once more.
        return known is not None and not (known.done and known.reversals == reversals)
    if template in (Template.ORDER_CONFIRMED, Template.NEW_ORDER, Template.ORDER_REFUNDED, Template.ORDER_SHIPPED):
        # Where all of it goes back, the notification of its end says what came back in all.
        return order.state is OrderState.CONFIRMED
    # A payment that comes late revives an order that nobody had paid: what ended then is not what ends later.
    return order.state is OrderState.CANCELLED and (amount_minor > 0 or order.paid_minor == 0)


def of_event(event: Event, order: Order, heard: Heard) -> tuple[Notice, ...]:
    """What recipients are to hear of an event.

    Args:
        event: Of the order.
        order: As it is now, which may be later than the event.
        heard: What they were notified of about this order before.
    """
    wanted: tuple[Notice, ...] = ()
    if event.type is EventType.ORDER_CONFIRMED:
        wanted = (
            Notice(buyer_of(order.buyer), Template.ORDER_CONFIRMED, event.id),
            Notice(team_of(order.store), Template.NEW_ORDER, event.id),
        )
    elif isinstance(event.payload, OrderCancelled):
        wanted = _of_end(event, event.payload, order, heard)
    elif isinstance(event.payload, PaymentRefunded):
        wanted = _of_refund(event.payload, order)
    elif isinstance(event.payload, PaymentRefundReversed):
        wanted = _of_reversal(event.payload, order)
    # Nobody hears of one event twice, also where it would be another template by now.
    known = {(recipient, of) for recipient, _, of in heard}
    new = (notice for notice in wanted if (notice.recipient, notice.event) not in known)
    return tuple(
        notice for notice in new if holds(notice.template, notice.amount_minor, order, notice.refund, notice.reversals)
    )


def of_shipped(order: str, buyer: str) -> Notice:
    """That the goods of an order are on the way; it is said once, whatever is corrected of it later.

    Args:
        order: The id of the order.
        buyer: The id of an account.
    """
    return Notice(buyer_of(buyer), Template.ORDER_SHIPPED, f"{order}:shipped")


def of_low_stock(store: str, variant: str, fall_ms: int) -> Notice:
    """That there is too little of a variant.

    Args:
        store: The slug.
        variant: The id.
        fall_ms: When that was found; the next one is another event.
    """
    return Notice(team_of(store), Template.LOW_STOCK, f"{variant}:{fall_ms}")


def _of_end(event: Event, payload: OrderCancelled, order: Order, heard: Heard) -> tuple[Notice, ...]:
    buyer, team = buyer_of(order.buyer), team_of(order.store)
    back, reason = payload.refunded_minor, payload.reason
    known = {(recipient, template) for recipient, template, _ in heard}
    if (buyer, Template.ORDER_CANCELLED) in known:
        # It has ended before: what is new is the money that came in between, or that had not arrived.
        return (Notice(buyer, Template.PAYMENT_RETURNED, event.id, back, reason),) if back else ()
    ended = Notice(buyer, Template.ORDER_CANCELLED, event.id, back, reason)
    if (team, Template.NEW_ORDER) not in known:
        return (ended,)
    return ended, Notice(team, Template.STORE_ORDER_CANCELLED, event.id, back, reason)


def _of_refund(payload: PaymentRefunded, order: Order) -> tuple[Notice, ...]:
    asked = next((refund for refund in order.refunds if refund.id == payload.refund), None)
    if asked is None or asked.ends or not payload.amount_minor:
        # The order ends with it, and its end is an event of its own; and of no money nobody hears.
        return ()
    # Who heard that it came back hears that it has gone once more.
    again = f":{payload.reversals}" if payload.reversals else ""
    event = f"{order.id}:refunded:{payload.refund}{again}"
    recipient, back = buyer_of(order.buyer), payload.amount_minor
    return (
        Notice(recipient, Template.ORDER_REFUNDED, event, back, refund=payload.refund, reversals=payload.reversals),
    )  # fmt: skip


def _of_reversal(payload: PaymentRefundReversed, order: Order) -> tuple[Notice, ...]:
    event = f"{order.id}:reversed:{payload.refund}:{payload.reversals}"
    whom = (
        (buyer_of(order.buyer), Template.REFUND_REVERSED),
        (team_of(order.store), Template.STORE_REFUND_REVERSED),
    )
    return tuple(
        Notice(recipient, template, event, payload.amount_minor, refund=payload.refund, reversals=payload.reversals)
        for recipient, template in whom
    )
