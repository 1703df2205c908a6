"""What consumers decide is what the declaration says, for every state and every event."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from marketplace.sagas import orders
from marketplace.sagas.declaration import TRANSITIONS, Service, Trigger, listeners
from marketplace.sagas.events import (
    PAYLOADS,
    Event,
    EventType,
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderedItem,
    OrderPaymentCompleted,
    OrderRefundRequested,
    Payload,
    PaymentCompleted,
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundReversed,
    StockCountUpdated,
    StockInsufficient,
)
from marketplace.sagas.inventory import Reservation, ReservationState
from marketplace.sagas.orders import Order, OrderLine, OrderState, Reason, Refund
from saga_consumers.inventory import decide as inventory_decide
from saga_consumers.orders import decide as orders_decide
from saga_consumers.registry import CONSUMERS

NOW = 1_000_000
MUGS = (OrderedItem("mug", 2),)
EXAMPLES: dict[EventType, Payload] = {
    EventType.ORDER_CREATED: OrderCreated("c", "ann", "EUR", 2500, MUGS, NOW),
    EventType.ORDER_PAYMENT_COMPLETED: OrderPaymentCompleted(MUGS),
    EventType.ORDER_REFUND_REQUESTED: OrderRefundRequested("r1", 1250, (OrderedItem("mug", 1),)),
    EventType.ORDER_CONFIRMED: OrderConfirmed("ann", 2500, "EUR"),
    EventType.ORDER_CANCELLED: OrderCancelled("ann", "unpaid"),
    EventType.PAYMENT_COMPLETED: PaymentCompleted("p", 2500, "EUR"),
    EventType.PAYMENT_FAILED: PaymentFailed("p", "declined"),
    EventType.PAYMENT_REFUNDED: PaymentRefunded("p", "r1", 2500),
    EventType.PAYMENT_REFUND_REVERSED: PaymentRefundReversed("p", "r1", 2500, 1),
    EventType.STOCK_COUNT_UPDATED: StockCountUpdated(MUGS),
    EventType.STOCK_INSUFFICIENT: StockInsufficient(MUGS),
}
STEPS = {(step.service, step.on, step.before, step.after, step.says) for step in TRANSITIONS}


def event(kind: EventType) -> Event:
    return Event(f"o1:x:{kind}:0", kind, "o1", "shop", NOW, EXAMPLES[kind])


def order(state: OrderState, reason: Reason | None = None) -> Order:
    lines = (OrderLine(1, "p", "mug", "Mug", 2, 1250),)
    made = Order("o1", "shop", "ann", "c", "EUR", lines, state, NOW + 1, reason=reason)
    if state in (OrderState.PENDING, OrderState.CANCELLED):
        return made
    refunds = (Refund("r1", 2500, ends=True),) if state is OrderState.REFUNDING else ()
    return replace(made, paid_minor=2500, refunds=refunds)


def test_there_is_an_example_of_every_event() -> None:
    assert EXAMPLES.keys() == PAYLOADS.keys()


def test_consumers_look_at_exactly_those_events_that_the_declaration_lets_them_react_to() -> None:
    heard = {Service.ORDERS: orders_decide.LISTENS, Service.INVENTORY: inventory_decide.LISTENS}
    for service, kinds in heard.items():
        assert kinds == {kind for kind in EventType if service in listeners(kind)}, service


@pytest.mark.parametrize("reason", [None, Reason.UNPAID, Reason.BUYER])
def test_whatever_an_order_hears_in_whatever_state_is_a_declared_step_or_nothing(reason: Reason | None) -> None:
    changed = 0
    for state, kind in itertools.product(OrderState, EventType):
        before = order(state, reason)
        made = orders_decide.on_event(before, event(kind), NOW)
        if made.order == before:
            assert made.events == ()
            continue
        changed += 1
        says = made.events[0].type if made.events else None
        assert (Service.ORDERS, kind, state, made.order.state, says) in STEPS
        assert kind in orders_decide.LISTENS
        assert made.order.version == before.version + 1
        assert orders_decide.on_event(made.order, event(kind), NOW).order == made.order, "the same event once more"
    assert changed >= 5


@pytest.mark.parametrize("available", [0, 2])
def test_whatever_inventory_hears_in_whatever_state_is_a_declared_step_or_nothing(available: int) -> None:
    changed = 0
    for state, kind in itertools.product(ReservationState, EventType):
        before = Reservation("o1", "shop", MUGS, state, NOW + 1)
        made = inventory_decide.on_event(before, event(kind), {"mug": available}, NOW)
        if made.reservation == before:
            assert (made.events, made.movements) == ((), ())
            continue
        changed += 1
        says = made.events[0].type if made.events else None
        assert (Service.INVENTORY, kind, state, made.reservation.state, says) in STEPS
        assert kind in inventory_decide.LISTENS
        again = inventory_decide.on_event(made.reservation, event(kind), {"mug": 9}, NOW)
        assert (again.reservation, again.movements) == (made.reservation, ())
    assert changed == 4


@pytest.mark.parametrize("state", OrderState)
def test_only_an_order_that_waits_for_its_payment_has_a_deadline(state: OrderState) -> None:
    made = orders_decide.on_deadline(order(state), NOW + 24 * 3_600_000)

    if state is OrderState.PENDING:
        step = (Service.ORDERS, Trigger.DEADLINE, state, OrderState.CANCELLED, EventType.ORDER_CANCELLED)
        assert step in STEPS
        assert (made.order.state, made.events[0].type) == step[3:]
    else:
        assert made.order == order(state)


@pytest.mark.parametrize("state", ReservationState)
def test_only_a_reservation_that_is_kept_ends_by_itself(state: ReservationState) -> None:
    before = Reservation("o1", "shop", MUGS, state, NOW)

    made = inventory_decide.on_deadline(before, NOW)

    assert made.reservation.state is (ReservationState.RELEASED if state is ReservationState.HELD else state)
    assert inventory_decide.lets_go(before, made.reservation) is (state is ReservationState.HELD)


def test_a_variant_that_is_not_counted_is_neither_missing_nor_taken() -> None:
    items = (OrderedItem("free", 7), OrderedItem("mug", 2))
    before = Reservation("o1", "shop", items, ReservationState.HELD, NOW + 1)

    made = inventory_decide.on_event(before, event(EventType.ORDER_PAYMENT_COMPLETED), {"mug": 2}, NOW)

    assert made.events[0].payload == StockCountUpdated(MUGS)
    assert made.reservation.items == MUGS, "what comes back later is only what was taken"
    assert [line.variant for line in made.movements] == ["mug"]


def test_every_consumer_is_registered_once_under_a_service_of_the_declaration() -> None:
    names = [spec.service for spec in CONSUMERS]

    assert len(set(names)) == len(names)
    assert {Service.ORDERS, Service.INVENTORY} <= set(names)
    assert Service.ORDERS.value == orders.SERVICE
