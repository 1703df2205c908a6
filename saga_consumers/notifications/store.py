"""The steps of notifications, each one transaction: rows, waiting mails, and that the event was handled."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Final

from connectors.mongo.sagas.notifications import NotificationRepository
from connectors.mongo.sagas.steps import SagaSteps, Session
from connectors.mongo.times import milliseconds
from marketplace.notifications.notices import of_low_stock
from marketplace.sagas.declaration import Service
from marketplace.sagas.events import Event
from saga_consumers.consumer import Absent, Parts, SagaConsumer, check_store
from saga_consumers.notifications import decide
from saga_consumers.notifications.decide import LowStock
from saga_consumers.sweeps import each_of

SWEEP_SECONDS: Final = 2.0
_SWEPT: Final = 200
"""Changes of stock that one sweep looks at."""

_OVERLAP_MS: Final = 15_000
"""A change is seen when its transaction is committed, and says when it began; clocks differ, too."""


class NotificationsStore:
    """Handles events of orders, and looks at what has changed in stock. Safe to share between threads.

    Args:
        steps: The transactions of notifications.
        rows: Reads and writes of notifications.
    """

    def __init__(self, steps: SagaSteps, rows: NotificationRepository) -> None:
        self._steps, self._rows = steps, rows
        self._since, self._lock = (0, ""), threading.Lock()

    def handle(self, event: Event, now: datetime, trace_parent: str = "") -> bool:
        """See :data:`saga_consumers.consumer.Handle`."""
        if event.type not in decide.LISTENS:
            return True

        def work(session: Session) -> tuple[Event, ...]:
            kept = self._rows.order(event.order, session)
            if kept is None:
                raise Absent("no_order", f"there is no order {event.order[:60]!r}")
            check_store(event, kept.order.store)
            if kept.order.version < decide.order_version(event):
                raise Absent("old_order", f"order {event.order[:60]!r} is older than what the event says of it")
            self._rows.drop_superseded(kept.order, session)
            for notice in decide.on_event(event, kept.order, self._rows.heard(event.order, session)):
                self._rows.put(notice, kept, now, session)
            return ()

        return self._steps.react(event, now, work, trace_parent)

    def sweep(self, now: datetime) -> int:
        """Look at stock that has changed: see :data:`saga_consumers.consumer.Sweep`.

        Returns:
            How many notifications were written or forgotten, and at least 1 where more changes wait.
        """
        with self._lock:
            found = self._rows.changed_stock(self._since, _SWEPT)
            changed = [each for each in found if decide.on_stock(low=each.low, notified=each.notified) is not _NOTHING]
            acted = each_of("stock", (each.variant for each in changed), lambda variant: self._look(variant, now))
            # Only what was acted on is behind; a restart begins with all of it.
            if len(found) == _SWEPT:
                self._since = (found[-1].changed_at_ms, found[-1].variant)
                return max(1, acted)
            newest = found[-1].changed_at_ms if found else self._since[0]
            self._since = (max(0, min(newest, milliseconds(now)) - _OVERLAP_MS), "")
            return acted

    def _look(self, variant: str, now: datetime) -> bool:
        acted = False

        def work(session: Session) -> tuple[Event, ...]:
            nonlocal acted
            stock = self._rows.mark(variant, session)
            do = _NOTHING if stock is None else decide.on_stock(low=stock.low, notified=stock.notified)
            acted = do is not _NOTHING
            if stock is None or not acted:
                return ()
            self._rows.set_notified(variant, do is LowStock.NOTIFY, session)
            if do is LowStock.NOTIFY:
                self._rows.put_low(of_low_stock(stock.store, variant, milliseconds(now)), stock, now, session)
            return ()

        self._steps.act(now, work)
        return acted


_NOTHING: Final = LowStock.NOTHING


def consumer(parts: Parts) -> SagaConsumer:
    """The consumer of notifications."""
    steps = SagaSteps(parts.mongo, parts.database, Service.NOTIFICATIONS.value)
    store = NotificationsStore(steps, NotificationRepository(parts.mongo, parts.database))
    return SagaConsumer(Service.NOTIFICATIONS, store.handle, store.sweep, SWEEP_SECONDS)
