"""An order as its saga keeps it: what was bought, where it is, what was paid and what goes back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from marketplace.sagas.events import Event, EventType, OrderedItem, Payload, event_id

SERVICE: Final = "orders"
PAY_SECONDS: Final = 15 * 60
"""How long an order waits for its payment."""


class OrderState(StrEnum):
    """Where an order is."""

    PENDING = "pending"
    """Its stock is reserved, and its payment waits."""
    PAID = "paid"
    """It is paid, and its stock is being deducted."""
    REFUNDING = "refunding"
    """It ends without goods, and its money is on the way back."""
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"


TERMINAL: Final = frozenset({OrderState.CONFIRMED, OrderState.CANCELLED})


class Reason(StrEnum):
    """Why an order was cancelled."""

    UNPAID = "unpaid"
    DECLINED = "declined"
    BUYER = "buyer"
    SELLER = "seller"
    NO_STOCK = "no_stock"


REQUESTED: Final = frozenset({Reason.BUYER, Reason.SELLER})
"""Somebody wants the order to end: a payment that comes later goes back, and does not revive it."""


class NotNow(Exception):
    """A request cannot be met in this state; the message says why. Nothing was changed."""


@dataclass(frozen=True)
class OrderLine:
    """A line of an order.

    Attributes:
        number: From 1, in the order.
        product, variant: Ids.
        title: As it was bought.
        quantity: How many.
        unit_minor: The price of one.
        returned: How many of them were refunded.
        sku: The seller's own name of the variant then.
        options: What was chosen, for people: ``Size: L``.
    """

    number: int
    product: str
    variant: str
    title: str
    quantity: int
    unit_minor: int
    returned: int = 0
    sku: str = ""
    options: str = ""

    @property
    def total_minor(self) -> int:
        """Of all of them."""
        return self.quantity * self.unit_minor


@dataclass(frozen=True)
class RefundedLine:
    """What of a line is refunded.

    Attributes:
        number: The line's.
        quantity: How many.
    """

    number: int
    quantity: int


@dataclass(frozen=True)
class Refund:
    """A refund that was asked for.

    Attributes:
        id: Unique in the order.
        amount_minor: How much.
        done: Whether the money has gone back.
        ends: Whether it is the whole of what was left, so that the order ends with it.
        reversals: How often the money had gone back and came back.
        lines: What it is for; empty where that is not said, as in orders of earlier versions.
        asked_ms: When it was asked for, epoch milliseconds; 0 where that is not known.
    """

    id: str
    amount_minor: int
    done: bool = False
    ends: bool = False
    reversals: int = 0
    lines: tuple[RefundedLine, ...] = ()
    asked_ms: int = 0


@dataclass(frozen=True)
class Order:
    """An order of one store.

    Attributes:
        id: Its id, the key of all its events.
        store: The slug.
        buyer: The id of an account.
        checkout: What it was placed with, together with orders of other stores.
        currency: A code of ISO 4217.
        lines: What is bought.
        state: Where it is.
        pay_by_ms: Until when it waits for its payment.
        paid_minor: What the provider took.
        refunded_minor: What went back.
        reason: Why it is or will be cancelled; None for one that is not.
        refunds: Those that were asked for.
        version: Goes up by one with each decision that changes it.
        decline: The provider's code of why it declined the payment; empty where it did not, or did not say.
    """

    id: str
    store: str
    buyer: str
    checkout: str
    currency: str
    lines: tuple[OrderLine, ...]
    state: OrderState
    pay_by_ms: int
    paid_minor: int = 0
    refunded_minor: int = 0
    reason: Reason | None = None
    refunds: tuple[Refund, ...] = ()
    version: int = 1
    decline: str = ""

    @property
    def total_minor(self) -> int:
        """What is to be paid."""
        return sum(line.total_minor for line in self.lines)

    @property
    def items(self) -> tuple[OrderedItem, ...]:
        """What is taken from stock."""
        return tuple(OrderedItem(line.variant, line.quantity) for line in self.lines)

    @property
    def deadline_ms(self) -> int | None:
        """When its service has to act by itself; None where it waits for nobody, or for another service."""
        return self.pay_by_ms if self.state is OrderState.PENDING else None


@dataclass(frozen=True)
class OrderDecision:
    """The order after a decision, and what its service says; the same order and nothing where nothing changes."""

    order: Order
    events: tuple[Event, ...] = ()


def said_of(order: Order, kind: EventType, payload: Payload, now_ms: int) -> Event:
    """What the service says of an order that it has changed."""
    return Event(event_id(order.id, SERVICE, order.version), kind, order.id, order.store, now_ms, payload)
