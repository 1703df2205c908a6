"""What the orders service makes of an event or a deadline: pure, and thin over ``marketplace.sagas.orders``."""

from __future__ import annotations

from typing import Final

from marketplace.sagas import orders
from marketplace.sagas.declaration import TRANSITIONS, Service
from marketplace.sagas.events import Event, EventType
from marketplace.sagas.orders import Order, OrderDecision

LISTENS: Final = frozenset(
    step.on for step in TRANSITIONS if step.service is Service.ORDERS and isinstance(step.on, EventType)
)
"""The events that can change an order; others are not looked at."""


def on_event(order: Order, event: Event, now_ms: int) -> OrderDecision:
    """The order after an event, and what is said of it; the same order where nothing changes."""
    return orders.on_event(order, event, now_ms)


def on_deadline(order: Order, now_ms: int) -> OrderDecision:
    """The order after its deadline; the same one where that has not passed."""
    return orders.on_deadline(order, now_ms)
