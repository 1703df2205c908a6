"""The steps of notifications, each one transaction: rows, waiting mails, and that the event was handled."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Final

from connectors.mongo.sagas.notifications import NotificationRepository, StockMark
from connectors.mongo.sagas.steps import SagaSteps, Session
from connectors.mongo.times import milliseconds
from marketplace.notifications.notices import holds, of_low_stock, of_shipped
from marketplace.sagas.declaration import Service
from marketplace.sagas.events import Event
from saga_consumers.consumer import Absent, Parts, SagaConsumer, check_store
from saga_consumers.notifications import decide
from saga_consumers.notifications.decide import LowStock
from saga_consumers.sweeps import SomeFailed, each_of, in_turn

SWEEP_SECONDS: Final = 2.0
_SWEPT: Final = 200
"""Changes of stock, and orders, that one sweep looks at."""

_MOST_AGAIN: Final = 1_000
"""Rows that could not be acted on and are looked at with each sweep until they can be."""

_OVERLAP_MS: Final = 15_000
_LATEST_MS: Final = 7 * 24 * 3_600_000
"""A process that begins looks at orders that were sent since then; it may have been down for so long."""

Found = tuple[list[str], tuple[int, str] | None, bool]
"""Ids of rows to act on; time and id of the last row that was read, None for none; and whether there may be more."""

Page = Callable[[tuple[int, str]], Found]
"""Reads rows behind a time and an id."""

_log = logging.getLogger(__name__)


class Places:
    """Where a sweep goes on in rows that are sorted by when they were changed.

    A row that cannot be acted on keeps no later one waiting: it is looked at again with each sweep.

    Args:
        begin_ms: Where the first one begins, epoch milliseconds.
    """

    def __init__(self, begin_ms: int = 0) -> None:
        self.since = (begin_ms, "")
        self._again: tuple[str, ...] = ()

    def sweep(self, kind: str, page: Page, act: Callable[[str], bool], now_ms: int) -> int:
        """Act on a page of rows, and on those that could not be acted on before; see :func:`each_of`.

        Where some cannot be, all later pages are looked at as well, because the next sweep comes after a pause.

        Returns:
            On how many it acted, and at least 1 where more rows wait.
        """
        acted, failed, first = 0, list[str](), ""
        waiting, more = self._again, True
        while more:
            found, last, more = page(self.since)
            try:
                acted += each_of(kind, dict.fromkeys((*waiting, *found)), act)
            except SomeFailed as error:
                acted, first = acted + error.acted, first or str(error)
                failed += error.failed
            waiting, self._again = (), tuple(failed[-_MOST_AGAIN:])
            self.passed(last, now_ms, more=more)
            if more and not failed:
                return max(acted, 1)
        if len(failed) > _MOST_AGAIN:
            _log.error("%d rows (%s) are not looked at again before they change", len(failed) - _MOST_AGAIN, kind)
        if failed:
            raise SomeFailed(first, acted, failed)
        return acted

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
            return in_turn(lambda: self._sweep_stock(now, now_ms), lambda: self._sweep_sent(now, now_ms))

    def _sweep_stock(self, now: datetime, now_ms: int) -> int:
        def page(since: tuple[int, str]) -> Found:
            found = self._rows.changed_stock(since, _SWEPT)
            last = (found[-1].changed_at_ms, found[-1].variant) if found else None
            return [each.variant for each in found if _matters(each.mark)], last, len(found) == _SWEPT

        return self._stock.sweep("stock", page, lambda variant: self._look(variant, now), now_ms)

    def _sweep_sent(self, now: datetime, now_ms: int) -> int:
        def page(since: tuple[int, str]) -> Found:
            return self._rows.shipped(since, _SWEPT)

        return self._sent.sweep("order", page, lambda order: self._send(order, now), now_ms)

    def _send(self, order: str, now: datetime) -> bool:
        done = False

        def work(session: Session) -> tuple[Event, ...]:
            nonlocal done
            kept = self._rows.order(order, session)
            notice = None if kept is None or not kept.shipped else of_shipped(kept.order.id, kept.order.buyer)
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


def _matters(mark: StockMark | None) -> bool:
    """Whether there is something to do about stock; what cannot be read is said where it is acted on."""
    return mark is None or decide.on_stock(low=mark.low, notified=mark.notified) is not _NOTHING


def consumer(parts: Parts) -> SagaConsumer:
    """The consumer of notifications."""
    steps = SagaSteps(parts.mongo, parts.database, Service.NOTIFICATIONS.value)
    store = NotificationsStore(steps, NotificationRepository(parts.mongo, parts.database))
    return SagaConsumer(Service.NOTIFICATIONS, store.handle, store.sweep, SWEEP_SECONDS)
