"""An error that nobody foresaw: one that meets one order parks that order, and one that meets all of them stops all."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest

from connectors.kafka.records import ConsumerRecord
from marketplace.errors import Reject, Retry, Stop
from marketplace.sagas.declaration import Service
from marketplace.sagas.events import Event, EventType, OrderConfirmed, Payload, PaymentFailed, encode_payload
from marketplace.sagas.wire import headers
from saga_consumers.consumer import SagaConsumer
from saga_consumers.records import BUG_ATTEMPTS, MOST_BUGS, BugStreak, RecordHandler
from tests.kits.parking import MemoryParked

NOW = datetime(2026, 11, 30, tzinfo=UTC)
FAILED = (EventType.PAYMENT_FAILED, PaymentFailed("p", "declined"))
UNHEARD = (EventType.ORDER_CONFIRMED, OrderConfirmed("ann", 1_250, "EUR"))
"""An event that the orders service does not look at."""


class Buggy:
    """The orders service with a bug, started once more now and then."""

    def __init__(self) -> None:
        self.parked, self.bugs, self.offset = MemoryParked(), BugStreak(), 0
        self.has_bug, self.is_known = True, False
        self.start()

    def start(self) -> None:
        consumer = SagaConsumer(Service.ORDERS, self._handle, lambda now: 0)
        self.handler = RecordHandler(consumer, self.parked, lambda: NOW, lambda: 0.0, self.bugs)

    def _handle(self, event: Event, now: datetime, trace_parent: str) -> bool:
        if self.is_known:
            return False
        if self.has_bug and event.type is not UNHEARD[0]:
            raise ZeroDivisionError("a bug")
        return True

    def gets(self, kind: EventType, payload: Payload) -> None:
        """An event of an order of its own, tried as often as the consumer tries it."""
        self.offset += 1
        event = Event(f"o{self.offset}:x", kind, f"o{self.offset}", "shop", 1, payload)
        pairs = tuple((name, text.encode()) for name, text in headers(event, "x").items())
        value = encode_payload(payload)
        record = ConsumerRecord("orders.events.v1", 0, self.offset, value, event.order.encode(), pairs, 1)
        for _ in range(BUG_ATTEMPTS - 1):
            with suppress(Retry):
                self.handler(record)
                return
        with suppress(Reject):
            self.handler(record)

    def parks(self, events: int) -> int:
        """How many orders are parked by so many events that meet the bug."""
        before = len(self.parked.rows)
        with suppress(Stop):
            for _ in range(events):
                self.gets(*FAILED)
        return len(self.parked.rows) - before


def test_a_consumer_that_is_begun_again_after_a_bug_that_meets_every_event_parks_no_further_order() -> None:
    orders = Buggy()
    assert orders.parks(100) == MOST_BUGS - 1

    for _ in range(5):
        orders.start()
        assert orders.parks(100) == 0

    orders.has_bug = False
    orders.start()
    orders.gets(*FAILED)
    orders.has_bug = True
    assert orders.parks(100) == MOST_BUGS - 1, "what was handled shows that it is not every event"


@pytest.mark.parametrize("known", [False, True])
def test_events_that_meet_none_of_its_code_do_not_show_that_a_consumer_works(known: bool) -> None:
    """Each service looks at some of an order's events only, and knows those that come again by the inbox."""
    orders, parked = Buggy(), list[int]()
    for _ in range(MOST_BUGS + 5):
        parked.append(orders.parks(1))
        orders.is_known = known
        orders.gets(*(FAILED if known else UNHEARD))
        orders.is_known = False

    assert parked == [1] * (MOST_BUGS - 1) + [0] * 6
