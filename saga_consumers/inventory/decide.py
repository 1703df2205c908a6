"""What the inventory service makes of an event or a deadline: pure, and thin over ``marketplace.sagas.inventory``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from marketplace.sagas import inventory
from marketplace.sagas.declaration import Service, heard_by
from marketplace.sagas.events import Event, EventType, OrderedItem
from marketplace.sagas.inventory import Reservation, ReservationState, StockDecision

LISTENS: Final = heard_by(Service.INVENTORY)
"""The events that can change a reservation or stock; others are not looked at."""

_OPEN: Final = frozenset({ReservationState.HELD, ReservationState.RELEASED})


def on_event(reservation: Reservation, event: Event, available: Mapping[str, int], now_ms: int) -> StockDecision:
    """The reservation after an event, what moves, and what is said; the same reservation where nothing changes.

    Args:
        reservation: Of the event's order.
        event: What happened.
        available: Of each counted variant: what is there, less what other orders hold now.
        now_ms: The time.
    """
    if takes(reservation, event):
        # A variant that is not counted any more is its seller's affair: nothing of it is missing, and none is taken.
        reservation = replace(reservation, items=counted(reservation.items, available))
    return inventory.on_event(reservation, event, available, now_ms)


def on_deadline(reservation: Reservation, now_ms: int) -> StockDecision:
    """The reservation after its end; the same one where that has not come."""
    return inventory.on_deadline(reservation, now_ms)


def takes(reservation: Reservation, event: Event) -> bool:
    """Whether an event asks for the goods of a reservation."""
    return event.type is EventType.ORDER_PAYMENT_COMPLETED and reservation.state in _OPEN


def counted(items: Collection[OrderedItem], available: Mapping[str, int]) -> tuple[OrderedItem, ...]:
    """Those of some items that are counted."""
    return tuple(item for item in items if item.variant in available)


def lets_go(before: Reservation, after: Reservation) -> bool:
    """Whether what was reserved is not so any more."""
    return before.state is ReservationState.HELD and after.state is not ReservationState.HELD
