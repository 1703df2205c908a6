"""What notifications makes of an event or of stock: pure, and thin over ``marketplace.notifications``."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from marketplace.notifications.notices import Heard, Notice, of_event
from marketplace.sagas.declaration import Service, heard_by
from marketplace.sagas.events import Event, version_of
from marketplace.sagas.order_state import SERVICE as ORDERS
from marketplace.sagas.order_state import Order

LISTENS: Final = heard_by(Service.NOTIFICATIONS)
"""The events that somebody hears of; others are not looked at."""


class LowStock(StrEnum):
    """What is to be done about the stock of a variant."""

    NOTIFY = "notify"
    """It has fallen to where it is low."""
    FORGET = "forget"
    """It has risen: its next fall is another one."""
    NOTHING = "nothing"


def order_version(event: Event) -> int:
    """Of the order, where the event says it; 0 for events of other services."""
    return version_of(event.id) if event.id.startswith(f"{event.order}:{ORDERS}:") else 0


def on_event(event: Event, order: Order, heard: Heard) -> tuple[Notice, ...]:
    """What is to be written because of an event.

    Args:
        event: What happened.
        order: As it is now.
        heard: What recipients were notified of about it before.
    """
    return of_event(event, order, heard)


def on_stock(*, low: bool, notified: bool) -> LowStock:
    """What is to be done about stock.

    Args:
        low: Whether there is too little of it.
        notified: Whether its store was notified since it was not low for the last time.
    """
    if low is notified:
        return LowStock.NOTHING
    return LowStock.NOTIFY if low else LowStock.FORGET
