"""Inventory: what an order has reserved of a store's stock, and what becomes of it.

Stock is a ledger of movements; what is there is their sum. A reservation is no movement: it only bounds what others can
reserve, and it ends by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from marketplace.sagas.events import (
    Event,
    EventType,
    OrderedItem,
    OrderPaymentCompleted,
    OrderRefundRequested,
    Payload,
    StockCountUpdated,
    StockInsufficient,
    event_id,
)

SERVICE: Final = "inventory"
GRACE_SECONDS: Final = 60
"""A reservation is kept so much longer than its order waits for money, so that no payment in time finds it gone."""


class ReservationState(StrEnum):
    """Where a reservation is."""

    HELD = "held"
    TAKEN = "taken"
    """Its goods were deducted."""
    RELEASED = "released"
    """It ended without goods; a payment that comes later may still get what is there then."""
    REFUSED = "refused"
    """Its order was paid and could not have its goods: its money goes back, whatever comes into stock later."""


class MovementKind(StrEnum):
    """Why stock changed."""

    RECEIVED = "received"
    ADJUSTED = "adjusted"
    TRANSFERRED = "transferred"
    SOLD = "sold"
    RETURNED = "returned"


@dataclass(frozen=True)
class Movement:
    """A line of the ledger of stock.

    Attributes:
        id: Unique: the same movement is written once.
        variant: What moved.
        quantity: With its sign.
        kind: Why.
        cause: The order, or what a person said.
    """

    id: str
    variant: str
    quantity: int
    kind: MovementKind
    cause: str


@dataclass(frozen=True)
class Reservation:
    """What an order has reserved.

    Attributes:
        order: The id of the order, which is its own.
        store: The slug.
        items: How many of which variant; a variant stands once, and one that is not counted does not stand here.
        state: Where it is.
        expires_ms: From when it bounds nobody any more.
        returned: Ids of refunds whose goods came back.
        version: Goes up by one with each decision that changes it.
    """

    order: str
    store: str
    items: tuple[OrderedItem, ...]
    state: ReservationState
    expires_ms: int
    returned: tuple[str, ...] = ()
    version: int = 1

    def holds(self, now_ms: int) -> bool:
        """Whether others cannot have what it reserves."""
        return self.state is ReservationState.HELD and now_ms < self.expires_ms


@dataclass(frozen=True)
class StockDecision:
    """The reservation after a decision, what moves, and what the service says."""

    reservation: Reservation
    movements: tuple[Movement, ...] = ()
    events: tuple[Event, ...] = ()


def merged(items: Iterable[OrderedItem]) -> tuple[OrderedItem, ...]:
    """Items with each variant once, sorted: whoever locks several locks them in one order."""
    counts: dict[str, int] = {}
    for item in items:
        counts[item.variant] = counts.get(item.variant, 0) + item.quantity
    return tuple(OrderedItem(variant, counts[variant]) for variant in sorted(counts))


def missing(items: Iterable[OrderedItem], available: Mapping[str, int]) -> tuple[OrderedItem, ...]:
    """What of these items cannot be had: all or nothing is reserved or taken."""
    return tuple(
        OrderedItem(item.variant, item.quantity - max(0, available.get(item.variant, 0)))
        for item in merged(items)
        if item.quantity > available.get(item.variant, 0)
    )


def on_event(reservation: Reservation, event: Event, available: Mapping[str, int], now_ms: int) -> StockDecision:
    """What an event of another service changes.

    Args:
        reservation: Of the event's order.
        event: What happened.
        available: Of each of its variants: what is there, less what other orders hold now.
        now_ms: The time.
    """
    if isinstance(event.payload, OrderPaymentCompleted):
        return _take(reservation, available, now_ms)
    if event.type is EventType.ORDER_CANCELLED and reservation.state is ReservationState.HELD:
        return StockDecision(_changed(reservation, state=ReservationState.RELEASED))
    if isinstance(event.payload, OrderRefundRequested):
        return _return(reservation, event.payload)
    return StockDecision(reservation)


def on_deadline(reservation: Reservation, now_ms: int) -> StockDecision:
    """What the passing of time changes: a reservation that is over is released."""
    if reservation.state is not ReservationState.HELD or now_ms < reservation.expires_ms:
        return StockDecision(reservation)
    return StockDecision(_changed(reservation, state=ReservationState.RELEASED))


def _take(reservation: Reservation, available: Mapping[str, int], now_ms: int) -> StockDecision:
    if reservation.state in (ReservationState.TAKEN, ReservationState.REFUSED):
        return StockDecision(reservation)
    # One that is over, or was released because nobody paid in time, gets what is there now, like a new one.
    lacking = missing(reservation.items, available)
    if lacking:
        after = _changed(reservation, state=ReservationState.REFUSED)
        said_missing = StockInsufficient(lacking)
        return StockDecision(after, (), (_event(after, EventType.STOCK_INSUFFICIENT, said_missing, now_ms),))
    after, order = _changed(reservation, state=ReservationState.TAKEN), reservation.order
    sold = tuple(
        Movement(f"{order}:sold:{item.variant}", item.variant, -item.quantity, MovementKind.SOLD, order)
        for item in reservation.items
    )
    said = StockCountUpdated(reservation.items)
    return StockDecision(after, sold, (_event(after, EventType.STOCK_COUNT_UPDATED, said, now_ms),))


def _return(reservation: Reservation, asked: OrderRefundRequested) -> StockDecision:
    if reservation.state is not ReservationState.TAKEN or asked.refund in reservation.returned or not asked.restocked:
        return StockDecision(reservation)
    counted = {item.variant for item in reservation.items}
    back = tuple(
        Movement(
            f"{reservation.order}:returned:{asked.refund}:{item.variant}",
            item.variant,
            item.quantity,
            MovementKind.RETURNED,
            reservation.order,
        )
        for item in merged(asked.restocked)
        if item.variant in counted
    )
    return StockDecision(_changed(reservation, returned=(*reservation.returned, asked.refund)), back)


def _changed(reservation: Reservation, **fields: object) -> Reservation:
    changed: Reservation = replace(reservation, version=reservation.version + 1, **fields)  # type: ignore[arg-type]  # by name
    return changed


def _event(reservation: Reservation, kind: EventType, payload: Payload, now_ms: int) -> Event:
    made = event_id(reservation.order, SERVICE, reservation.version)
    return Event(made, kind, reservation.order, reservation.store, now_ms, payload)
