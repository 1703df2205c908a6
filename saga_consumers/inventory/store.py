"""The inventory service's steps, each one transaction: reservation, stock, movements, and what is said of it.

``reserved`` of a variant is the sum of all reservations that are in force. One that is over is so until somebody
releases it: a sweep, or whoever lacks stock because of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from connectors.mongo.sagas.inventory import InventoryRepository, StockCount, let_go, move
from connectors.mongo.sagas.steps import SagaSteps, Session
from connectors.mongo.times import milliseconds
from marketplace.sagas.declaration import Service
from marketplace.sagas.events import Event
from marketplace.sagas.inventory import Reservation, ReservationState, missing
from saga_consumers.consumer import Absent, Parts, SagaConsumer, check_store
from saga_consumers.inventory import decide
from saga_consumers.sweeps import each_due

_SWEPT: Final = 100
"""Reservations that one sweep looks at, and further ones behind those that cannot be acted on."""

Counts = dict[str, StockCount]


class InventoryStore:
    """Handles events of orders and the ends of reservations. Safe to share between threads.

    Args:
        steps: The transactions of the inventory service.
        inventory: Reads and writes of stock and reservations.
    """

    def __init__(self, steps: SagaSteps, inventory: InventoryRepository) -> None:
        self._steps, self._inventory = steps, inventory

    def handle(self, event: Event, now: datetime, trace_parent: str = "") -> bool:
        """See :data:`saga_consumers.consumer.Handle`."""
        if event.type not in decide.LISTENS:
            return True
        return self._steps.react(event, now, lambda session: self._react(event, now, session), trace_parent)

    def sweep(self, now: datetime) -> int:
        """Release reservations that are over; see :data:`saga_consumers.consumer.Sweep`."""
        now_ms = milliseconds(now)
        return each_due(
            "reservation",
            lambda after: self._inventory.due(now_ms, _SWEPT, after),
            lambda due: self._expire(due.id, now),
            _SWEPT,
        )

    def _react(self, event: Event, now: datetime, session: Session) -> tuple[Event, ...]:
        now_ms = milliseconds(now)
        before = self._inventory.reservation(event.order, session)
        if before is None:
            raise Absent("no_order", f"there is no order {event.order[:60]!r}")
        check_store(event, before.store)
        counts = self._inventory.counts([item.variant for item in before.items], session)
        if decide.takes(before, event):
            self._make_room(before, counts, now_ms, session)
        made = decide.on_event(before, event, _available(before, counts), now_ms)
        if made.reservation != before:
            if decide.lets_go(before, made.reservation):
                let_go(counts, before.items)
            move(counts, made.movements)
            self._inventory.save(before, made.reservation, session)
            self._inventory.save_counts(counts, now_ms, session)
        return made.events

    def _make_room(self, wanted: Reservation, counts: Counts, now_ms: int, session: Session) -> None:
        """Release what others hold no longer, where the stock does not suffice without it."""
        available = _available(wanted, counts)
        lacking = [item.variant for item in missing(decide.counted(wanted.items, available), available)]
        if lacking:
            self._release(self._inventory.over(lacking, now_ms, wanted.order, session), counts, now_ms, session)

    def _release(self, several: Iterable[Reservation], counts: Counts, now_ms: int, session: Session) -> None:
        for before in several:
            after = decide.on_deadline(before, now_ms).reservation
            if after == before:
                continue
            others = [item.variant for item in before.items if item.variant not in counts]
            counts |= self._inventory.counts(others, session)
            let_go(counts, before.items)
            self._inventory.save(before, after, session)

    def _expire(self, order: str, now: datetime) -> bool:
        released = False

        def work(session: Session) -> tuple[Event, ...]:
            nonlocal released
            before = self._inventory.reservation(order, session)
            released = before is not None and before.state is ReservationState.HELD
            if before is not None:
                counts: Counts = {}
                self._release([before], counts, milliseconds(now), session)
                self._inventory.save_counts(counts, milliseconds(now), session)
            return ()

        self._steps.act(now, work)
        return released


def consumer(parts: Parts) -> SagaConsumer:
    """The consumer of the inventory service."""
    inventory = InventoryRepository(parts.mongo, parts.database)
    store = InventoryStore(SagaSteps(parts.mongo, parts.database, Service.INVENTORY.value), inventory)
    return SagaConsumer(Service.INVENTORY, store.handle, store.sweep, oldest_due_ms=inventory.oldest_due_ms)


def _available(reservation: Reservation, counts: Counts) -> dict[str, int]:
    """Of its variants that are counted: what is there, less what other orders hold."""
    own = {item.variant: item.quantity for item in reservation.items if reservation.state is ReservationState.HELD}
    return {
        item.variant: counts[item.variant].available + own.get(item.variant, 0)
        for item in reservation.items
        if item.variant in counts
    }
