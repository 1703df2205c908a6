"""What the orders service makes of an event or a deadline: pure, and thin over ``marketplace.sagas.orders``."""

from __future__ import annotations

from typing import Final

from marketplace.sagas import orders
from marketplace.sagas.declaration import Service, heard_by
from marketplace.sagas.events import Event
from marketplace.sagas.order_state import Order, OrderDecision

LISTENS: Final = heard_by(Service.ORDERS)
"""The events that can change an order; others are not looked at."""


def on_event(order: Order, event: Event, now_ms: int) -> OrderDecision:
    """The order after an event, and what is said of it; the same order where nothing changes."""
    return orders.on_event(order, event, now_ms)


def on_deadline(order: Order, now_ms: int) -> OrderDecision:
    """The order after its deadline; the same one where that has not passed."""
    return orders.on_deadline(order, now_ms)
