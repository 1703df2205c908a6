"""What a seller sees of the orders of a store: which ones are wanted, and each with what its services say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.mongo.newest_pages import NewestPlace
from connectors.mongo.sagas.audit import Step
from connectors.mongo.sagas.documents import order_of
from marketplace.orders.delivery import Address, Fulfilment, FulfilmentState
from marketplace.sagas.declaration import deadline_of
from marketplace.sagas.inventory import Reservation
from marketplace.sagas.order_state import Order, OrderState
from marketplace.sagas.payment_state import Payment
from marketplace.sagas.reconcile import GRACE_MS


@dataclass(frozen=True)
class Only:
    """Which orders are wanted.

    Attributes:
        since_ms, until_ms: When they were placed, epoch milliseconds; the second moment does not belong to it.
        state: The state; None for all.
        gone: Whether their goods were sent; None where that does not matter.
        text: What their buyer, their delivery or their goods are called, or their id; empty for all.
        ids: Only these, whenever they were placed, and of them those of the text; None for all.
    """

    since_ms: int
    until_ms: int
    state: OrderState | None = None
    gone: bool | None = None
    text: str = ""
    ids: tuple[str, ...] | None = None


@dataclass(frozen=True)
class SoldOrder:
    """An order as its seller sees it.

    Attributes:
        order: The order.
        delivery: Where it goes.
        fulfilment: How far it is on the way.
        placed_at_ms: Epoch milliseconds.
        state_since_ms: Since when it is in its state.
    """

    order: Order
    delivery: Address
    fulfilment: Fulfilment
    placed_at_ms: int
    state_since_ms: int

    @property
    def due_ms(self) -> int | None:
        """When its state should have ended; None for one that waits for nobody."""
        deadline = deadline_of(self.order.state)
        return None if deadline is None else self.state_since_ms + deadline.seconds * 1_000

    def is_stuck(self, now_ms: int) -> bool:
        """Whether its state lasts a minute longer than it should: who acts in time is not stuck."""
        return self.due_ms is not None and self.due_ms + GRACE_MS <= now_ms


@dataclass(frozen=True)
class OrderPage:
    """Some orders, the newest first.

    Attributes:
        orders: Those.
        next: Behind which the next page begins; None where there is none.
    """

    orders: tuple[SoldOrder, ...]
    next: NewestPlace | None


@dataclass(frozen=True)
class Group:
    """Orders of one state and currency.

    Attributes:
        state: The state.
        currency: A code of ISO 4217.
        gone: Whether their goods were sent.
        count: How many.
        paid_minor, refunded_minor: What was paid of them, and went back.
    """

    state: OrderState
    currency: str
    gone: bool
    count: int
    paid_minor: int
    refunded_minor: int


@dataclass(frozen=True)
class CameBack:
    """Goods of an order that came back into stock with one of its refunds.

    Attributes:
        at_ms: When, epoch milliseconds.
        quantity: How many pieces of those that are counted.
    """

    at_ms: int
    quantity: int


@dataclass(frozen=True)
class Buyer:
    """Who has ordered; all empty where the account was deleted."""

    email: str = ""
    name: str = ""


@dataclass(frozen=True)
class WholeOrder:
    """An order with all that its services say of it.

    Attributes:
        sold: The order.
        buyer: Whose.
        payment: Of it; None where there is none.
        reservation: Of it; None where there is none.
        steps: Its events that are kept still, the oldest first.
        parked: Consumers in which an event of it waits for an operator.
        orders_of_buyer: How many the buyer has placed in this store.
        came_back: What came back into stock, the oldest first.
    """

    sold: SoldOrder
    buyer: Buyer
    payment: Payment | None
    reservation: Reservation | None
    steps: tuple[Step, ...]
    parked: frozenset[str]
    orders_of_buyer: int
    came_back: tuple[CameBack, ...] = ()


def sold_order(document: Mapping[str, Any]) -> SoldOrder:
    """The order of a document."""
    goods, delivery = document.get("fulfilment") or {}, document.get("delivery") or {}
    return SoldOrder(
        order_of(document),
        Address(**{name: delivery.get(name, "") for name in Address.__dataclass_fields__}),
        Fulfilment(
            FulfilmentState(goods.get("state", FulfilmentState.UNFULFILLED)),
            goods.get("carrier", ""),
            goods.get("tracking", ""),
            goods.get("changed_at_ms", 0),
        ),
        document["placed_at_ms"],
        document["state_since_ms"],
    )
