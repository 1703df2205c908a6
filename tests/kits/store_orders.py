"""Orders of a store as its services leave them, played by the saga's own rules and put into Mongo past all others."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.mongo.client import Client
from connectors.mongo.sagas.documents import (
    Document,
    inbox_document,
    movement_document,
    order_document,
    outbox_document,
    payment_document,
    reservation_document,
)
from connectors.mongo.stock import level_document
from marketplace.catalog.products import Product
from marketplace.collections import (
    INBOX,
    ORDERS,
    OUTBOX,
    PAYMENTS,
    RESERVATIONS,
    STOCK,
    STOCK_MOVEMENTS,
    USERS,
)
from marketplace.inventory.levels import Level
from marketplace.sagas import inventory, orders, payments
from marketplace.sagas.declaration import listeners
from marketplace.sagas.events import Event
from marketplace.sagas.inventory import Movement, MovementKind, Reservation, ReservationState
from marketplace.sagas.orders import Order, OrderLine, OrderState, Reason
from marketplace.sagas.payments import Outcome, Payment, Report

STEP_MS = 120
"""From one step of a saga to the next."""

DELIVERY = {
    "name": "Ann Archer", "street": "1 High Street", "extra": "", "postcode": "AB1 2CD", "city": "Leeds",
    "country": "GB",
}  # fmt: skip


@dataclass
class Played:
    """An order and all that services have written of it.

    Attributes:
        order, payment, reservation: As they are.
        now_ms: The time of the newest step.
        movements: Of stock.
        said: Events, each with who said it.
        unheard: Events that nobody has handled yet.
        placed_ms: When it was placed.
    """

    order: Order
    payment: Payment
    reservation: Reservation
    now_ms: int
    placed_ms: int
    movements: list[Movement] = field(default_factory=list)
    said: list[tuple[str, Event]] = field(default_factory=list)
    unheard: set[str] = field(default_factory=set)

    def _say(self, service: str, events: Iterable[Event]) -> None:
        self.said += [(service, event) for event in events]
        self.now_ms += STEP_MS

    def _on(self, event: Event, available: Mapping[str, int] | None = None) -> None:
        """Let all services hear an event, and what they say of it."""
        before = len(self.said)
        paid = payments.on_event(self.payment, event, self.now_ms)
        self.payment = paid.payment
        self._say(payments.SERVICE, paid.events)
        ordered = orders.on_event(self.order, event, self.now_ms)
        self.order = ordered.order
        self._say(orders.SERVICE, ordered.events)
        wanted = {item.variant: 10**6 for item in self.order.items} if available is None else available
        stocked = inventory.on_event(self.reservation, event, wanted, self.now_ms)
        self.reservation, self.movements = stocked.reservation, [*self.movements, *stocked.movements]
        self._say(inventory.SERVICE, stocked.events)
        for _, said in self.said[before:]:
            self._on(said, available)

    def pays(self, outcome: Outcome = Outcome.SUCCEEDED, available: Mapping[str, int] | None = None) -> Played:
        """The provider is asked, and answers."""
        self._ask(outcome, available)
        return self

    def _ask(self, outcome: Outcome, available: Mapping[str, int] | None) -> None:
        for call in payments.due_calls(self.payment, self.now_ms):
            self.payment = payments.asking(self.payment, call, self.now_ms)
            report = Report(call.key, outcome, reference="ch_1")
            decision = payments.apply_report(self.payment, report, self.now_ms)
            self.payment = decision.payment
            before = len(self.said)
            self._say(payments.SERVICE, decision.events)
            for _, said in self.said[before:]:
                self._on(said, available)

    def cancelled(self, why: Reason) -> Played:
        """Somebody cancels it, and all hear of it."""
        return self._decided(orders.cancel(self.order, why, self.now_ms))

    def refunded(self, counts: Mapping[int, int], reason: str = "") -> Played:
        """Some lines are to be refunded, and all hear of it; the provider is not asked yet."""
        return self._decided(orders.refund_lines(self.order, counts, self.now_ms, reason=reason))

    def returned(self, refund: str) -> Played:
        """Money that had gone back comes back: it did not reach the buyer."""
        report = Report(self.payment.refund_key(refund), Outcome.REVERSED)
        decision = payments.apply_report(self.payment, report, self.now_ms)
        self.payment, before = decision.payment, len(self.said)
        self._say(payments.SERVICE, decision.events)
        for _, said in self.said[before:]:
            self._on(said)
        return self

    def unpaid(self) -> Played:
        """Nobody pays in time."""
        self.now_ms = self.order.pay_by_ms
        return self._decided(orders.on_deadline(self.order, self.now_ms))

    def _decided(self, decision: orders.OrderDecision) -> Played:
        self.order = decision.order
        before = len(self.said)
        self._say(orders.SERVICE, decision.events)
        for _, said in self.said[before:]:
            self._on(said)
        return self


def line(number: int, title: str = "Blue mug", unit_minor: int = 1_250, quantity: int = 1, **fields: Any) -> OrderLine:
    """A line of an order."""
    given = {"product": "mug", "variant": "v1", "sku": "MUG-BLUE", **fields}
    return OrderLine(number, title=title, quantity=quantity, unit_minor=unit_minor, **given)


def placed(
    store: str = "shop", *lines: OrderLine, placed_ms: int, currency: str = "EUR", buyer: str = "ann", order: str = ""
) -> Played:
    """An order that was placed, and whose payment is to be asked for."""
    own = order or uuid.uuid4().hex
    made = Order(
        own, store, buyer, f"c-{own}", currency, lines or (line(1),), OrderState.PENDING,
        placed_ms + orders.PAY_SECONDS * 1_000,
    )  # fmt: skip
    payment = Payment(f"p-{own}", own, store, made.total_minor, currency, "card")
    until_ms = made.pay_by_ms + inventory.GRACE_SECONDS * 1_000
    reservation = Reservation(own, store, inventory.merged(made.items), ReservationState.HELD, until_ms)
    played = Played(made, payment, reservation, placed_ms, placed_ms)
    played._decided(orders.placed(made, placed_ms))
    return played


def documents_of(played: Played, name: str = "", **fulfilment: Any) -> dict[str, list[Document]]:
    """All documents of an order, by collection.

    Args:
        played: The order.
        name: Of whom it goes to.
        fulfilment: How far it is on the way.
    """
    order = order_document(played.order, played.placed_ms)
    order |= {"state_since_ms": played.now_ms, "changed_at_ms": played.now_ms}
    order["delivery"] = {**DELIVERY, **({"name": name} if name else {})}
    order["fulfilment"] = {
        "state": "unfulfilled", "carrier": "", "tracking": "", "changed_at_ms": 0, **fulfilment,
    }  # fmt: skip
    payment = payment_document(played.payment, played.placed_ms)
    payment["state_since_ms"] = played.now_ms
    written = [
        (service, event, datetime.fromtimestamp(event.at_ms / 1_000, UTC) + timedelta(milliseconds=2))
        for service, event in played.said
    ]
    heard = [
        inbox_document(listener.value, event, at + timedelta(milliseconds=STEP_MS // 2))
        for _, event, at in written
        for listener in sorted(listeners(event.type))
        if event.id not in played.unheard
    ]
    moved = [movement_document(each, played.order.store, 0, played.now_ms) for each in played.movements]
    return {
        ORDERS.name: [order],
        PAYMENTS.name: [payment],
        RESERVATIONS.name: [reservation_document(played.reservation)],
        OUTBOX.name: [outbox_document(event, service, at) for service, event, at in written],
        INBOX.name: heard,
        STOCK_MOVEMENTS.name: moved,
    }


def put_orders(client: Client, database: str, several: Iterable[dict[str, list[Document]]]) -> None:
    """Write the documents of orders, some hundred at a time."""
    waiting: dict[str, list[Document]] = {}
    mongo = client[database]
    for documents in several:
        for collection, rows in documents.items():
            waiting.setdefault(collection, []).extend(rows)
        for collection in [name for name, rows in waiting.items() if len(rows) > 500]:
            mongo[collection].insert_many(waiting.pop(collection))
    for collection, rows in waiting.items():
        if rows:
            mongo[collection].insert_many(rows)


def put_buyer(client: Client, database: str, user: str = "ann", email: str = "ann@buyer.example") -> None:
    """Write as much of an account as a seller's page reads."""
    client[database][USERS.name].replace_one(
        {"_id": user}, {"_id": user, "email": email, "email_key": email, "name": "Ann"}, upsert=True
    )


def put_stock(
    client: Client, database: str, product: Product, on_hand: int, *, reserved: int = 0, low_at: int | None = None,
    variant: int = 0, at_ms: int = 0,
) -> str:  # fmt: skip
    """Count a variant of a product, and write the movement that it was received by; returns the variant's id."""
    own = product.variants[variant].id
    level = Level(own, product.id, product.store, on_hand, reserved, low_at, at_ms)
    client[database][STOCK.name].insert_one(level_document(level))
    movement = Movement(f"{own}:first", own, on_hand, MovementKind.RECEIVED, "first")
    row = movement_document(movement, product.store, on_hand, at_ms, by="ann", note="First delivery")
    client[database][STOCK_MOVEMENTS.name].insert_one(row)
    return own
