"""The steps of notifications, each one transaction: rows, waiting mails, and that the event was handled."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Final

from connectors.mongo.sagas.notifications import NotificationRepository
from connectors.mongo.sagas.steps import SagaSteps, Session
from connectors.mongo.times import milliseconds
from marketplace.notifications.notices import holds, of_low_stock, of_shipped
from marketplace.sagas.declaration import Service
from marketplace.sagas.events import Event
from saga_consumers.consumer import Absent, Parts, SagaConsumer, check_store
from saga_consumers.notifications import decide
from saga_consumers.notifications.decide import LowStock
from saga_consumers.sweeps import each_of

SWEEP_SECONDS: Final = 2.0
_SWEPT: Final = 200
"""Changes of stock, and orders, that one sweep looks at."""

_OVERLAP_MS: Final = 15_000
_LATEST_MS: Final = 7 * 24 * 3_600_000
"""A process that begins looks at orders that were sent since then; it may have been down for so long."""


class Places:
    """Where a sweep goes on in rows that are sorted by when they were changed.

    Args:
        begin_ms: Where the first one begins, epoch milliseconds.
    """

    def __init__(self, begin_ms: int = 0) -> None:
        self.since = (begin_ms, "")

    def passed(self, last: tuple[int, str] | None, now_ms: int, *, more: bool) -> None:
        """Note how far a sweep has come.

        Args:
            last: Of the last row; None for none.
            now_ms: The time.
            more: Whether there may be more rows behind it. Otherwise the next sweep begins a little before it: a change
                is seen when its transaction is committed, and says when it began; clocks differ, too.
        """
        newest = self.since if last is None else last
        self.since = newest if more else (max(0, min(newest[0], now_ms) - _OVERLAP_MS), "")


class NotificationsStore:
    """Handles events of orders, and looks at what has changed in stock. Safe to share between threads.

    Args:
        steps: The transactions of notifications.
        rows: Reads and writes of notifications.
    """

    def __init__(self, steps: SagaSteps, rows: NotificationRepository) -> None:
        self._steps, self._rows = steps, rows
        self._stock, self._sent, self._lock = Places(), Places(), threading.Lock()
        self._begun = False

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
        """Look at stock that has changed and at orders that were sent: see :data:`saga_consumers.consumer.Sweep`.

        Returns:
            On how many it acted, and at least 1 where more changes wait.
        """
        now_ms = milliseconds(now)
        with self._lock:
            if not self._begun:
                # What was sent before that and never heard of is heard of no more.
                self._sent, self._begun = Places(max(1, now_ms - _LATEST_MS)), True
            return self._sweep_stock(now, now_ms) + self._sweep_sent(now, now_ms)

    def _sweep_stock(self, now: datetime, now_ms: int) -> int:
        found = self._rows.changed_stock(self._stock.since, _SWEPT)
        changed = [each for each in found if decide.on_stock(low=each.low, notified=each.notified) is not _NOTHING]
        acted = each_of("stock", (each.variant for each in changed), lambda variant: self._look(variant, now))
        more, last = len(found) == _SWEPT, (found[-1].changed_at_ms, found[-1].variant) if found else None
        self._stock.passed(last, now_ms, more=more)
        return max(acted, int(more))

    def _sweep_sent(self, now: datetime, now_ms: int) -> int:
        orders, last, more = self._rows.shipped(self._sent.since, _SWEPT)
        acted = each_of("order", orders, lambda order: self._send(order, now))
        self._sent.passed(last, now_ms, more=more)
        return max(acted, int(more))

    def _send(self, order: str, now: datetime) -> bool:
        done = False

        def work(session: Session) -> tuple[Event, ...]:
            nonlocal done
            kept = self._rows.order(order, session)
            notice = None if kept is None or not kept.shipped else of_shipped(kept.order)
            done = False
            if kept is not None and notice is not None and holds(notice.template, 0, kept.order):
                done = self._rows.put(notice, kept, now, session)
            return ()

        self._steps.act(now, work)
        return done

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
