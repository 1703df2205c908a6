"""The steps of orders and inventory on a real Mongo: what an event changes, once, whoever else is at it."""

from __future__ import annotations

import itertools
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from connectors.errors import Unavailable
from connectors.mongo.client import NeverWritten, connect
from connectors.mongo.sagas.inventory import InventoryRepository
from connectors.mongo.sagas.orders import OrderRepository
from connectors.mongo.sagas.payments import PaymentRows
from connectors.mongo.sagas.steps import SagaSteps
from marketplace.collections import INBOX, ORDERS, PAYMENT_WEBHOOKS, PAYMENTS, RESERVATIONS, STOCK
from marketplace.errors import Reject
from marketplace.sagas.events import (
    Event,
    EventType,
    OrderedItem,
    OrderPaymentCompleted,
    OrderRefundRequested,
    PaymentCompleted,
    PaymentFailed,
    StockCountUpdated,
)
from ops.stack import Stack
from saga_consumers.consumer import Absent, Parts, SagaConsumer
from saga_consumers.inventory import store as inventory
from saga_consumers.orders import store as orders
from tests.kits.crashes import Crash, Crashes, crashing_client
from tests.kits.depth import LONG
from tests.kits.sagas import Shop, ms, saga_database, wrong_stock


@pytest.fixture(scope="module")
def database(stack: Stack) -> Iterator[tuple[MongoClient[dict[str, Any]], str]]:
    with saga_database(stack) as made:
        yield made


@pytest.fixture
def shop(database: tuple[MongoClient[dict[str, Any]], str]) -> Shop:
    return Shop(*database)


def paid(shop: Shop, own: str, store: str = "") -> Event:
    order = shop.order(own)
    said = PaymentCompleted(f"p-{own}", order["total_minor"], "EUR")
    return Event(f"{own}:payments:3:0", EventType.PAYMENT_COMPLETED, own, store or shop.name, ms(shop.now), said)


def to_deduct(shop: Shop, own: str) -> Event:
    items = tuple(OrderedItem(line["variant"], line["quantity"]) for line in shop.order(own)["lines"])
    said = OrderPaymentCompleted(items)
    return Event(f"{own}:orders:2:0", EventType.ORDER_PAYMENT_COMPLETED, own, shop.name, ms(shop.now), said)


def deduct(shop: Shop, *owns: str) -> None:
    consumer = inventory.consumer(shop.parts)
    for own in owns:
        assert consumer.handle(to_deduct(shop, own), shop.now, "")


# --- Orders -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["said before", "too long", "no document at all"])
def test_what_mongo_never_takes_is_no_outage_to_wait_for_and_is_not_repeated_in_its_error(
    shop: Shop, kind: str
) -> None:
    """Waited for like an outage it would stop its partition for ever; errors are logged and go into dead letters."""
    own = shop.place({shop.sells(5): 1})
    said = PaymentFailed("p", "secret" * {"said before": 1, "too long": 40_000, "no document at all": 3_000_000}[kind])
    event = Event(f"{own}:orders:{1 if kind == 'said before' else 9}:0", EventType.PAYMENT_FAILED, own, "s", 1, said)
    before = shop.document()

    with pytest.raises(NeverWritten) as never:
        SagaSteps(shop.client, shop.database, "orders").act(shop.now, lambda session: (event,))

    assert "secret" not in "".join(traceback.format_exception(never.value))
    assert shop.document() == before


def test_a_payment_makes_an_order_paid_and_says_so_in_the_same_transaction(shop: Shop) -> None:
    own = shop.place({shop.sells(5): 2})

    assert orders.consumer(shop.parts).handle(paid(shop, own), shop.now, "00-trace-01")

    assert (shop.order(own)["state"], shop.order(own)["paid_minor"]) == ("paid", 2500)
    assert shop.said(own) == ["ORDER_CREATED", "ORDER_PAYMENT_COMPLETED"]
    assert shop.rows(own)[-1]["traceparent"] == "00-trace-01"
    assert shop.event(own, "ORDER_PAYMENT_COMPLETED").payload == to_deduct(shop, own).payload


def test_the_same_event_five_times_changes_an_order_once(shop: Shop) -> None:
    own = shop.place({shop.sells(5): 2})
    consumer = orders.consumer(shop.parts)

    done = [consumer.handle(paid(shop, own), shop.now, "") for _ in range(5)]

    assert done == [True, False, False, False, False]
    assert shop.said(own).count("ORDER_PAYMENT_COMPLETED") == 1
    assert shop.order(own)["version"] == 2


def test_an_event_that_changes_nothing_is_remembered_all_the_same(shop: Shop) -> None:
    own = shop.place({shop.sells(5): 1})
    consumer = orders.consumer(shop.parts)
    early = Event(f"{own}:inventory:2:0", EventType.STOCK_COUNT_UPDATED, own, shop.name, 1, StockCountUpdated(()))

    assert consumer.handle(early, shop.now, "")
    assert not consumer.handle(early, shop.now, "")
    assert shop.order(own)["state"] == "pending"


def test_what_others_write_of_an_order_stays_through_its_saga(shop: Shop) -> None:
    own = shop.place({shop.sells(5): 1})
    shop.mongo[ORDERS.name].update_one({"_id": own}, {"$set": {"fulfilment": {"state": "packed"}}})

    orders.consumer(shop.parts).handle(paid(shop, own), shop.now, "")

    assert shop.order(own)["fulfilment"] == {"state": "packed"}
    assert shop.order(own)["placed_at_ms"] == ms(shop.now)


def test_an_order_is_changed_with_what_somebody_else_writes_at_that_moment(shop: Shop) -> None:
    """A transaction that has read an order is begun again where the API has changed it since."""
    own = shop.place({shop.sells(5): 1})
    consumer, begun = orders.consumer(shop.parts), threading.Event()

    def write() -> None:
        for number in range(20):
            shop.mongo[ORDERS.name].update_one({"_id": own}, {"$set": {"fulfilment": {"number": number}}})
            begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait(5)
    consumer.handle(paid(shop, own), shop.now, "")
    writer.join()

    assert shop.order(own)["fulfilment"] == {"number": 19}
    assert shop.order(own)["state"] == "paid"


def test_an_event_that_names_another_store_is_refused_by_both_and_changes_nothing(shop: Shop) -> None:
    own = shop.place({shop.sells(5): 1})
    before = shop.document()
    foreign = replace_store(paid(shop, own), "other")
    goods = replace_store(to_deduct(shop, own), "other")

    for consumer, event in ((orders.consumer(shop.parts), foreign), (inventory.consumer(shop.parts), goods)):
        with pytest.raises(Reject) as refused:
            consumer.handle(event, shop.now, "")
        assert refused.value.reason == "other_store"

    assert shop.document() == before
    assert shop.mongo[INBOX.name].count_documents({"order": own}) == 0


def replace_store(event: Event, store: str) -> Event:
    return Event(event.id, event.type, event.order, store, event.at_ms, event.payload)


def test_an_event_of_an_order_that_is_not_there_makes_no_order(shop: Shop) -> None:
    event = Event("x:payments:3:0", EventType.PAYMENT_COMPLETED, "x", shop.name, 1, PaymentCompleted("p", 1, "EUR"))
    goods = Event("x:orders:2:0", EventType.ORDER_PAYMENT_COMPLETED, "x", shop.name, 1, OrderPaymentCompleted(()))

    for consumer, each in ((orders.consumer(shop.parts), event), (inventory.consumer(shop.parts), goods)):
        with pytest.raises(Absent) as absent:
            consumer.handle(each, shop.now, "")
        assert absent.value.code == "no_order"

    assert shop.mongo[ORDERS.name].find_one({"_id": "x"}) is None
    assert shop.mongo[RESERVATIONS.name].find_one({"_id": "x"}) is None


def test_an_order_is_cancelled_when_its_time_to_pay_has_passed_and_never_before(shop: Shop) -> None:
    own = shop.place({shop.sells(5): 1})
    consumer = orders.consumer(shop.parts)
    shop.wait(15 * 60 - 0.001)
    consumer.sweep(shop.now)
    assert shop.order(own)["state"] == "pending"
    assert consumer.oldest_due_ms() is not None

    shop.wait(0.001)
    assert consumer.sweep(shop.now) >= 1

    assert (shop.order(own)["state"], shop.order(own)["reason"]) == ("cancelled", "unpaid")
    assert shop.said(own) == ["ORDER_CREATED", "ORDER_CANCELLED"]
    assert shop.order(own)["due_ms"] is None


def test_a_paid_order_is_never_swept(shop: Shop) -> None:
    own = shop.place({shop.sells(5): 1})
    consumer = orders.consumer(shop.parts)
    consumer.handle(paid(shop, own), shop.now, "")
    shop.wait(24 * 3_600)

    consumer.sweep(shop.now)

    assert shop.order(own)["state"] == "paid"


def test_two_processes_that_sweep_at_one_time_cancel_each_order_once(shop: Shop, stack: Stack) -> None:
    owns = [shop.place({shop.sells(5): 1}) for _ in range(8)]
    shop.wait(16 * 60)

    acted = at_one_time(stack, shop, orders.consumer, lambda consumer, _: consumer.sweep(shop.now))

    assert sum(acted) >= len(owns)
    assert [shop.said(own).count("ORDER_CANCELLED") for own in owns] == [1] * len(owns)


def test_one_order_that_cannot_be_read_keeps_no_other_from_its_deadline(shop: Shop) -> None:
    broken, good = shop.place({shop.sells(5): 1}), shop.place({shop.sells(5): 1})
    shop.mongo[ORDERS.name].update_one({"_id": broken}, {"$set": {"lines": "nonsense", "due_ms": 1}})
    shop.wait(16 * 60)

    with pytest.raises(Exception, match=f"order {broken}"):
        orders.consumer(shop.parts).sweep(shop.now)

    assert shop.order(good)["state"] == "cancelled"
    shop.mongo[ORDERS.name].delete_one({"_id": broken})


class Filters(CommandListener):
    """What was asked for, by collection."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def started(self, event: CommandStartedEvent) -> None:
        """Keep the filter of a question."""
        if event.command_name == "find":
            self.asked[event.command["find"]] = event.command["filter"]

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """See pymongo."""

    def failed(self, event: CommandFailedEvent) -> None:
        """See pymongo."""


def test_a_sweep_goes_through_nothing_that_has_ended(shop: Shop, stack: Stack) -> None:
    """Without a lower end the embedded Mongo reads each document without a time, which is all that have ended."""
    filters, now = Filters(), shop.now
    with closing(MongoClient[dict[str, Any]](stack.urls.mongo, event_listeners=[filters])) as client:
        OrderRepository(client, shop.database).due(ms(now), 100)
        InventoryRepository(client, shop.database).due(ms(now), 100)
        rows = PaymentRows(client, shop.database)
        rows.due(now, 100)
        rows.waiting_webhooks(now, 100)

    assert set(filters.asked) == {ORDERS.name, RESERVATIONS.name, PAYMENTS.name, PAYMENT_WEBHOOKS.name}
    assert {tuple(each["due_ms"].items()) for each in filters.asked.values()} == {(("$gt", 0), ("$lte", ms(now)))}


def test_an_event_that_two_processes_handle_at_one_time_is_handled_once(shop: Shop, stack: Stack) -> None:
    own = shop.place({shop.sells(5): 1})
    event = paid(shop, own)

    done = at_one_time(stack, shop, orders.consumer, lambda consumer, _: consumer.handle(event, shop.now, ""), 4)

    assert sorted(done) == [False, False, False, True]
    assert shop.said(own).count("ORDER_PAYMENT_COMPLETED") == 1


def test_a_cancel_and_a_payment_at_one_time_end_in_one_of_the_two_stories(shop: Shop, stack: Stack) -> None:
    for _ in range(5):
        own = shop.place({shop.sells(5): 1})
        event, late = paid(shop, own), shop.now + timedelta(minutes=16)

        def act(consumer: SagaConsumer, number: int, event: Event = event, late: Any = late) -> object:
            return consumer.sweep(late) if number else consumer.handle(event, late, "")

        at_one_time(stack, shop, orders.consumer, act)

        assert shop.order(own)["state"] == "paid"
        assert [kind for kind in shop.said(own) if kind != "ORDER_CANCELLED"] == [
            "ORDER_CREATED", "ORDER_PAYMENT_COMPLETED",
        ]  # fmt: skip


# --- Inventory --------------------------------------------------------------------------------------------------------


def test_goods_of_a_paid_order_are_deducted_and_reserved_no_more(shop: Shop) -> None:
    variant = shop.sells(5)
    own = shop.place({variant: 2})
    assert shop.stock(variant) == (5, 2)

    deduct(shop, own)

    assert shop.stock(variant) == (3, 0)
    assert (shop.reservation(own)["state"], shop.reservation(own)["due_ms"]) == ("taken", None)
    assert shop.event(own, "STOCK_COUNT_UPDATED").payload == StockCountUpdated((OrderedItem(variant, 2),))
    assert wrong_stock(shop) == []


def test_goods_are_deducted_once_however_often_the_event_comes(shop: Shop) -> None:
    variant = shop.sells(5)
    own = shop.place({variant: 2})
    consumer = inventory.consumer(shop.parts)

    done = [consumer.handle(to_deduct(shop, own), shop.now, "") for _ in range(5)]

    assert done == [True, False, False, False, False]
    assert shop.stock(variant) == (3, 0)
    assert shop.said(own).count("STOCK_COUNT_UPDATED") == 1


def test_an_order_of_several_goods_gets_all_of_them_or_none(shop: Shop) -> None:
    one, other = shop.sells(5), shop.sells(1)
    taken = shop.place({other: 1})
    late = shop.place({one: 2, other: 1})
    shop.mongo[STOCK.name].update_one({"_id": other}, {"$inc": {"reserved": -1}})
    shop.mongo[RESERVATIONS.name].update_one({"_id": late}, {"$set": {"state": "released", "due_ms": None}})
    shop.mongo[STOCK.name].update_one({"_id": one}, {"$inc": {"reserved": -2}})

    deduct(shop, taken, late)

    assert shop.said(late)[-1] == "STOCK_INSUFFICIENT"
    assert shop.reservation(late)["state"] == "refused"
    assert (shop.stock(one), shop.stock(other)) == ((5, 0), (0, 0))
    assert wrong_stock(shop) == []


def test_an_order_that_pays_late_gets_what_nobody_has_and_releases_what_is_over(shop: Shop) -> None:
    """Another order's reservation has ended, and no sweep has seen it yet."""
    variant, third = shop.sells(2), shop.sells(9)
    late = shop.place({variant: 2})
    shop.wait(17 * 60)
    inventory.consumer(shop.parts).sweep(shop.now)
    assert shop.stock(variant) == (2, 0)
    other = shop.place({variant: 1, third: 4})
    shop.wait(17 * 60)

    deduct(shop, late)

    assert shop.said(late)[-1] == "STOCK_COUNT_UPDATED"
    assert (shop.reservation(other)["state"], shop.stock(variant), shop.stock(third)) == ("released", (0, 0), (9, 0))
    assert wrong_stock(shop) == []


def test_an_order_that_pays_late_gets_nothing_that_others_hold(shop: Shop) -> None:
    variant = shop.sells(2)
    late = shop.place({variant: 2})
    shop.wait(17 * 60)
    inventory.consumer(shop.parts).sweep(shop.now)
    other = shop.place({variant: 1})

    deduct(shop, late)

    assert shop.said(late)[-1] == "STOCK_INSUFFICIENT"
    assert (shop.reservation(other)["state"], shop.stock(variant)) == ("held", (2, 1))


def test_an_order_whose_goods_were_lost_is_refused_though_its_own_reservation_is_over_and_unreleased(
    shop: Shop,
) -> None:
    variant = shop.sells(2)
    own = shop.place({variant: 2})
    shop.receive(variant, -1)
    shop.wait(17 * 60)

    deduct(shop, own)

    assert (shop.said(own)[-1], shop.reservation(own)["state"]) == ("STOCK_INSUFFICIENT", "refused")
    assert shop.stock(variant) == (1, 0)


def test_reservations_are_released_when_they_are_over_and_never_before(shop: Shop) -> None:
    variant = shop.sells(5)
    own = shop.place({variant: 3})
    consumer = inventory.consumer(shop.parts)
    shop.wait(16 * 60 - 0.001)
    consumer.sweep(shop.now)
    assert shop.stock(variant) == (5, 3)

    shop.wait(0.001)
    assert consumer.sweep(shop.now) >= 1

    assert (shop.stock(variant), shop.reservation(own)["state"]) == ((5, 0), "released")
    assert consumer.sweep(shop.now) == 0


def test_what_an_order_held_is_released_once_by_its_cancel_and_by_the_sweep(shop: Shop, stack: Stack) -> None:
    for _ in range(4):
        variant = shop.sells(5)
        own = shop.place({variant: 3})
        shop.wait(16 * 60)
        orders.consumer(shop.parts).sweep(shop.now)
        event = shop.event(own, "ORDER_CANCELLED")

        def act(consumer: SagaConsumer, number: int, event: Event = event) -> object:
            return consumer.sweep(shop.now) if number else consumer.handle(event, shop.now, "")

        at_one_time(stack, shop, inventory.consumer, act)

        assert (shop.stock(variant), shop.reservation(own)["state"]) == ((5, 0), "released")


def test_goods_of_a_refund_come_back_once_and_only_those_that_were_taken(shop: Shop) -> None:
    variant, uncounted = shop.sells(5), "v-not-counted"
    own = shop.place({variant: 3, uncounted: 1}, uncounted=[uncounted])
    deduct(shop, own)
    back = OrderRefundRequested("r1", 1250, (OrderedItem(variant, 1), OrderedItem(uncounted, 1)))
    consumer = inventory.consumer(shop.parts)

    for version in (4, 5):
        event = Event(f"{own}:orders:{version}:0", EventType.ORDER_REFUND_REQUESTED, own, shop.name, 1, back)
        consumer.handle(event, shop.now, "")

    assert shop.stock(variant) == (3, 0)
    assert wrong_stock(shop) == []


def test_an_order_of_goods_that_are_not_counted_is_confirmed_without_a_movement(shop: Shop) -> None:
    own = shop.place({"v-free": 2}, uncounted=["v-free"])

    deduct(shop, own)

    assert shop.event(own, "STOCK_COUNT_UPDATED").payload == StockCountUpdated(())


def test_an_order_without_a_reservation_is_one_that_reserves_nothing(shop: Shop) -> None:
    own = shop.place({"v-free": 2}, uncounted=["v-free"])
    shop.mongo[RESERVATIONS.name].delete_one({"_id": own})

    deduct(shop, own)

    assert (shop.said(own)[-1], shop.reservation(own)["state"]) == ("STOCK_COUNT_UPDATED", "taken")


def test_a_variant_that_is_not_counted_any_more_is_missing_to_nobody(shop: Shop) -> None:
    kept, stopped = shop.sells(5), shop.sells(5)
    own = shop.place({kept: 1, stopped: 2})
    shop.mongo[STOCK.name].delete_one({"_id": stopped})

    deduct(shop, own)

    assert shop.event(own, "STOCK_COUNT_UPDATED").payload == StockCountUpdated((OrderedItem(kept, 1),))
    assert shop.stock(kept) == (4, 0)


@pytest.mark.parametrize(("count", "bought", "shown"), [(7, 1, "many"), (7, 2, "few"), (6, 6, "none")])
def test_buyers_are_shown_what_is_left_as_soon_as_it_is_deducted(
    shop: Shop, count: int, bought: int, shown: str
) -> None:
    variant = shop.sells(count)
    late = shop.place({variant: bought})
    shop.wait(17 * 60)
    inventory.consumer(shop.parts).sweep(shop.now)
    shop.wait(1)

    deduct(shop, late)

    assert shop.shown(variant) == shown


def test_buyers_are_shown_goods_again_when_what_held_them_is_released(shop: Shop) -> None:
    variant = shop.sells(4)
    shop.place({variant: 4})
    shop.mongo["products"].update_one({"variants.id": variant}, {"$set": {"variants.0.availability": "none"}})
    shop.wait(17 * 60)

    inventory.consumer(shop.parts).sweep(shop.now)

    assert shop.shown(variant) == "few"


def test_many_orders_of_one_variant_in_two_processes_take_exactly_what_is_there(shop: Shop, stack: Stack) -> None:
    """All of them pay late: nobody has a reservation any more."""
    variant = shop.sells(6)
    owns = [shop.place({variant: 1}) for _ in range(6)]
    shop.wait(17 * 60)
    inventory.consumer(shop.parts).sweep(shop.now)
    shop.wait(1)
    more = [late_order(shop, variant) for _ in range(6)]
    events = [to_deduct(shop, own) for own in (*owns, *more)]

    def act(consumer: SagaConsumer, number: int) -> object:
        return [patiently(partial(consumer.handle, each, shop.now, "")) for each in events[number::2]]

    at_one_time(stack, shop, inventory.consumer, act)

    said = [shop.said(own)[-1] for own in (*owns, *more)]
    assert (said.count("STOCK_COUNT_UPDATED"), said.count("STOCK_INSUFFICIENT")) == (6, 6)
    assert shop.stock(variant) == (0, 0)
    assert wrong_stock(shop) == []


def test_orders_of_the_same_goods_in_other_orders_do_not_wait_for_each_other_for_ever(shop: Shop, stack: Stack) -> None:
    one, other = shop.sells(30), shop.sells(30)
    owns = [shop.place({one: 1, other: 1} if number % 2 else {other: 1, one: 1}) for number in range(10)]
    events = [to_deduct(shop, own) for own in owns]

    def act(consumer: SagaConsumer, number: int) -> object:
        return [patiently(partial(consumer.handle, each, shop.now, "")) for each in events[number::2]]

    at_one_time(stack, shop, inventory.consumer, act)

    assert (shop.stock(one), shop.stock(other)) == ((20, 0), (20, 0))


def test_a_declined_order_gives_back_what_it_held(shop: Shop) -> None:
    variant = shop.sells(5)
    own = shop.place({variant: 2})
    declined = PaymentFailed(f"p-{own}", "insufficient_funds")
    event = Event(f"{own}:payments:3:0", EventType.PAYMENT_FAILED, own, shop.name, ms(shop.now), declined)

    orders.consumer(shop.parts).handle(event, shop.now, "")
    inventory.consumer(shop.parts).handle(shop.event(own, "ORDER_CANCELLED"), shop.now, "")

    assert (shop.order(own)["reason"], shop.stock(variant)) == ("declined", (5, 0))


# --- Crashes ----------------------------------------------------------------------------------------------------------


def test_a_process_that_dies_before_any_of_its_writes_has_written_nothing_and_the_next_one_does_all(
    shop: Shop, stack: Stack
) -> None:
    """A process ends at each command that it sends, the commit among them; then the event comes again."""
    crashes = Crashes()
    for make, of in ((orders.consumer, paid), (inventory.consumer, to_deduct)):
        died: list[str] = []
        for number in itertools.count(1):
            variant, other = shop.sells(5), shop.sells(5)
            own = shop.place({variant: 2, other: 1})
            before, event = shop.document(), of(shop, own)
            with crashing_client(stack.urls.mongo, crashes) as dying:
                crashes.arm(number)
                with suppress(Crash):
                    make(replace(shop.parts, mongo=dying)).handle(event, shop.now, "")
                ended = not crashes.disarm()
            if not ended:
                break
            died.append(crashes.last)
            assert shop.document() == before, died
            assert make(shop.parts).handle(event, shop.now, "")
            assert not make(shop.parts).handle(event, shop.now, "")
        assert {"find", "update", "insert", "commitTransaction"} <= set(died)
    assert wrong_stock(shop) == []


def test_a_process_that_dies_after_its_commit_has_done_it_and_does_it_no_second_time(shop: Shop, stack: Stack) -> None:
    crashes = Crashes()
    variant = shop.sells(5)
    own = shop.place({variant: 2})
    with crashing_client(stack.urls.mongo, crashes) as dying:
        crashes.arm_after_commit()
        with pytest.raises(Crash):
            inventory.consumer(replace(shop.parts, mongo=dying)).handle(to_deduct(shop, own), shop.now, "")

    assert not inventory.consumer(shop.parts).handle(to_deduct(shop, own), shop.now, "")
    assert shop.stock(variant) == (3, 0)
    assert shop.said(own).count("STOCK_COUNT_UPDATED") == 1


@LONG
def test_what_a_killed_process_left_open_keeps_others_waiting_for_seconds_and_not_for_a_minute(
    shop: Shop, stack: Stack
) -> None:
    """Its transaction has written, and nobody says to Mongo that it is no more."""
    variant = shop.sells(5)
    own = shop.place({variant: 2})
    event, consumer = to_deduct(shop, own), inventory.consumer(shop.parts)
    with connect(stack.urls.mongo) as dead:
        session = dead.start_session()
        session.start_transaction()
        dead[shop.database][STOCK.name].update_one({"_id": variant}, {"$inc": {"on_hand": -1}}, session=session)
        began = time.monotonic()

        assert patiently(partial(consumer.handle, event, shop.now, ""))

        assert time.monotonic() - began < 25.0
    assert shop.stock(variant) == (3, 0)


def late_order(shop: Shop, variant: str) -> str:
    """An order whose reservation was released."""
    own = shop.place({variant: 1})
    shop.mongo[RESERVATIONS.name].update_one({"_id": own}, {"$set": {"state": "released", "due_ms": None}})
    shop.mongo[STOCK.name].update_one({"_id": variant}, {"$inc": {"reserved": -1}})
    return own


def patiently(act: Callable[[], bool]) -> bool:
    while True:
        try:
            return act()
        except Unavailable:
            continue


def at_one_time(
    stack: Stack, shop: Shop, make: Callable[[Parts], SagaConsumer], act: Callable[[SagaConsumer, int], Any],
    processes: int = 2,
) -> list[Any]:  # fmt: skip
    """What each of several consumers does at one moment, each with a client of its own, as processes have."""
    barrier = threading.Barrier(processes)

    def run(number: int) -> Any:
        with connect(stack.urls.mongo) as client:
            consumer = make(replace(shop.parts, mongo=client))
            barrier.wait(10)
            return act(consumer, number)

    with ThreadPoolExecutor(processes) as threads:
        return list(threads.map(run, range(processes)))
