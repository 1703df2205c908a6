"""The orders service's steps, each one transaction: the order, what is said of it, and that the event was handled."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from connectors.mongo.sagas.orders import OrderRepository
from connectors.mongo.sagas.steps import SagaSteps, Session
from connectors.mongo.times import milliseconds
from marketplace.sagas.declaration import Service
from marketplace.sagas.events import Event
from saga_consumers.consumer import Absent, Parts, SagaConsumer, check_store
from saga_consumers.orders import decide
from saga_consumers.sweeps import each_due

_SWEPT: Final = 100
"""Orders that one sweep looks at, and further ones behind those that cannot be acted on."""


class OrdersStore:
    """Handles events of orders and their deadlines. Safe to share between threads.

    Args:
        steps: The transactions of the orders service.
        orders: Reads and writes of orders.
    """

    def __init__(self, steps: SagaSteps, orders: OrderRepository) -> None:
        self._steps, self._orders = steps, orders

    def handle(self, event: Event, now: datetime, trace_parent: str = "") -> bool:
        """See :data:`saga_consumers.consumer.Handle`."""
        if event.type not in decide.LISTENS:
            return True
        now_ms = milliseconds(now)

        def work(session: Session) -> tuple[Event, ...]:
            kept = self._orders.get(event.order, session)
            if kept is None:
                raise Absent("no_order", f"there is no order {event.order[:60]!r}")
            check_store(event, kept.order.store)
            made = decide.on_event(kept.order, event, now_ms)
            if made.order != kept.order:
                self._orders.save(kept, made.order, now_ms, session)
            return made.events

        return self._steps.react(event, now, work, trace_parent)

    def sweep(self, now: datetime) -> int:
        """Cancel orders that were not paid in time; see :data:`saga_consumers.consumer.Sweep`."""
        now_ms = milliseconds(now)
        return each_due(
            "order",
            lambda after: self._orders.due(now_ms, _SWEPT, after),
            lambda due: self._expire(due.id, now, now_ms),
            _SWEPT,
        )

    def _expire(self, order: str, now: datetime, now_ms: int) -> bool:
        def work(session: Session) -> tuple[Event, ...]:
            kept = self._orders.get(order, session)
            if kept is None:
                return ()
            made = decide.on_deadline(kept.order, now_ms)
            if made.order != kept.order:
                self._orders.save(kept, made.order, now_ms, session)
            return made.events

        return bool(self._steps.act(now, work))


def consumer(parts: Parts) -> SagaConsumer:
    """The consumer of the orders service."""
    orders = OrderRepository(parts.mongo, parts.database)
    store = OrdersStore(SagaSteps(parts.mongo, parts.database, Service.ORDERS.value), orders)
    return SagaConsumer(Service.ORDERS, store.handle, store.sweep, oldest_due_ms=orders.oldest_due_ms)
