"""The reconciler names every row that is wrong, and none that is right or on its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from marketplace.sagas.declaration import Service, listeners
from marketplace.sagas.events import EventType, OrderedItem
from marketplace.sagas.inventory import Movement, MovementKind, Reservation, ReservationState
from marketplace.sagas.order_state import Order, OrderLine, OrderState, Reason, Refund
from marketplace.sagas.payment_state import Entry, Payment, PaymentState, RefundIntent, RefundState
from marketplace.sagas.reconcile import (
    GRACE_MS,
    Finding,
    OrderRows,
    Said,
    StockRows,
    Subject,
    check_order,
    check_places,
    check_sent,
    check_stock,
)

NOW = 10_000_000
KINDS = (
    EventType.ORDER_CREATED,
    EventType.PAYMENT_COMPLETED,
    EventType.ORDER_PAYMENT_COMPLETED,
    EventType.STOCK_COUNT_UPDATED,
    EventType.ORDER_CONFIRMED,
    EventType.ORDER_REFUND_REQUESTED,
    EventType.PAYMENT_REFUNDED,
)
SAID = tuple(Said(f"o1:{number}", kind, NOW - GRACE_MS - 1) for number, kind in enumerate(KINDS))
HEARD = frozenset((service.value, said.id) for said in SAID for service in listeners(EventType(said.type)))


def confirmed() -> OrderRows:
    """A confirmed order of three mugs, one of which came back."""
    line = OrderLine(1, "mug", "mug-s", "Mug", 3, 1_000, returned=1)
    order = Order(
        "o1", "shop", "ann", "c1", "EUR", (line,), OrderState.CONFIRMED, NOW,
        paid_minor=3_000, refunded_minor=1_000, refunds=(Refund("r1", 1_000, done=True),),
    )  # fmt: skip
    return OrderRows(
        order=order,
        payment=Payment(
            "p1", "o1", "shop", 3_000, "EUR", "card", PaymentState.COMPLETED,
            refunds=(RefundIntent("r1", 1_000, RefundState.DONE),),
        ),
        reservation=Reservation("o1", "shop", (OrderedItem("mug-s", 3),), ReservationState.TAKEN, NOW),
        entries=(
            Entry("p1:charge:provider", "provider", 3_000, "EUR"),
            Entry("p1:charge:store", "store:shop", -3_000, "EUR"),
            Entry("p1:refund:r1:provider", "provider", -1_000, "EUR"),
            Entry("p1:refund:r1:store", "store:shop", 1_000, "EUR"),
        ),
        movements=(
            Movement("o1:sold:mug-s", "mug-s", -3, MovementKind.SOLD, "o1"),
            Movement("o1:returned:r1:mug-s", "mug-s", 1, MovementKind.RETURNED, "o1"),
        ),
        said=SAID,
        heard=HEARD,
    )  # fmt: skip


def order(**fields: Any) -> Callable[[OrderRows], OrderRows]:
    return lambda rows: replace(rows, order=replace(rows.order, **fields))


def payment(**fields: Any) -> Callable[[OrderRows], OrderRows]:
    return lambda rows: replace(rows, payment=replace(rows.payment, **fields))  # type: ignore[type-var]  # there is one in all of these rows


def reservation(**fields: Any) -> Callable[[OrderRows], OrderRows]:
    return lambda rows: replace(rows, reservation=replace(rows.reservation, **fields))  # type: ignore[type-var]  # there is one in all of these rows


def subjects(found: list[Finding]) -> set[Subject]:
    return {each.subject for each in found}


def test_an_order_that_adds_up_has_no_finding() -> None:
    assert check_order(confirmed(), NOW) == []


MONEY, STOCK, STATE, INBOX = Subject.MONEY, Subject.STOCK, Subject.STATE, Subject.INBOX


@pytest.mark.parametrize(
    ("wrong", "subject"),
    [
        (order(paid_minor=2_999), MONEY),
        (order(paid_minor=0), MONEY),
        (order(refunded_minor=900), MONEY),
        (order(refunded_minor=3_001), MONEY),
        (order(refunded_minor=-1), MONEY),
        (order(state=OrderState.CANCELLED, reason=Reason.BUYER), MONEY),
        (order(currency="USD"), MONEY),
        (order(refunded_minor=0, refunds=()), MONEY),
        (payment(amount_minor=2_000), MONEY),
        (payment(state=PaymentState.CHARGING), MONEY),
        (payment(refunds=()), MONEY),
        (payment(refunds=(RefundIntent("r1", 3_001, RefundState.DONE),)), MONEY),
        (lambda rows: replace(rows, entries=rows.entries[:-1]), MONEY),
        (lambda rows: replace(rows, entries=rows.entries[:-2]), MONEY),
        (lambda rows: replace(rows, entries=()), MONEY),
        (lambda rows: replace(rows, payment=None), STATE),
        (lambda rows: replace(rows, reservation=None), STATE),
        (order(state=OrderState.PAID), STATE),
        (payment(state=PaymentState.WAITING), STATE),
        (order(refunds=(Refund("r1", 1_000, done=True), Refund("r2", 500))), STATE),
        (reservation(state=ReservationState.RELEASED), STOCK),
        (reservation(items=(OrderedItem("mug-s", 2),)), STOCK),
        (reservation(items=(OrderedItem("mug-l", 3),)), STOCK),
        (lambda rows: replace(rows, movements=()), STOCK),
        (lambda rows: replace(rows, movements=rows.movements[1:]), STOCK),
        (
            lambda rows: replace(
                rows, movements=(*rows.movements, Movement("x", "mug-s", 3, MovementKind.RETURNED, "o1"))
            ),
            STOCK,
        ),
        (lambda rows: replace(rows, heard=HEARD - {(Service.INVENTORY.value, "o1:2")}), INBOX),
        (lambda rows: replace(rows, parked=frozenset({"inventory"})), INBOX),
    ],
)
def test_every_row_that_is_wrong_is_named(wrong: Callable[[OrderRows], OrderRows], subject: Subject) -> None:
    found = check_order(wrong(confirmed()), NOW)
    assert subject in subjects(found), found
    assert all((each.store, each.row) == ("shop", "o1") for each in found)


def test_an_event_of_a_later_version_is_no_finding_and_keeps_the_reconciler_from_nothing() -> None:
    rows = replace(confirmed(), said=(*SAID, Said("o1:9", "ORDER_GIFT_WRAPPED", 1)))
    assert check_order(rows, NOW) == []
    assert {each.subject for each in check_order(order(state=OrderState.PAID)(rows), NOW)} == {STATE}


def test_a_cancelled_order_whose_stock_is_reserved_still_is_named_once_inventory_has_heard_of_it() -> None:
    rows = confirmed()
    ended = replace(rows.order, state=OrderState.CANCELLED, paid_minor=0, refunded_minor=0, refunds=())
    kept = Reservation("o1", "shop", (OrderedItem("mug-s", 3),), ReservationState.HELD, NOW)
    said = Said("o1:9", EventType.ORDER_CANCELLED, NOW)
    waiting = Payment("p1", "o1", "shop", 3_000, "EUR", "card", PaymentState.VOIDED)
    cancelled = OrderRows(ended, waiting, kept, said=(said,))
    assert check_order(cancelled, NOW) == []
    heard = frozenset((service.value, said.id) for service in listeners(EventType(said.type)))
    assert subjects(check_order(replace(cancelled, heard=heard), NOW)) == {STOCK}


def test_what_two_services_say_is_not_compared_while_an_event_is_on_its_way() -> None:
    rows = order(paid_minor=0, refunded_minor=0, refunds=(), state=OrderState.PENDING)(confirmed())
    assert subjects(check_order(rows, NOW)) == {MONEY, STOCK}
    fresh = replace(SAID[1], at_ms=NOW)
    on_its_way = replace(
        rows, said=(SAID[0], fresh), heard=frozenset(pair for pair in HEARD if pair[1] == "o1:0"), movements=(),
        reservation=replace(confirmed().reservation, state=ReservationState.HELD),  # type: ignore[type-var]  # there is one in all of these rows
    )  # fmt: skip
    assert check_order(on_its_way, NOW) == []
    late = replace(on_its_way, said=(SAID[0], SAID[1]))
    assert subjects(check_order(late, NOW)) == {INBOX}


@pytest.mark.parametrize(
    ("on_hand", "reserved", "moved", "held", "findings"),
    [
        (5, 2, 5, 2, 0),
        (0, 0, 0, 0, 0),
        (4, 2, 5, 2, 1),
        (5, 1, 5, 2, 1),
        (-1, 0, -1, 0, 2),
        (5, -1, 5, -1, 1),
        (1, 2, 1, 2, 1),
    ],
)
def test_stock_is_the_sum_of_its_movements_and_never_negative(
    on_hand: int, reserved: int, moved: int, held: int, findings: int
) -> None:
    assert len(check_stock(StockRows("v", "shop", on_hand, reserved, moved, held))) == findings


def test_an_event_that_was_said_a_minute_ago_and_is_not_in_the_topic_is_named() -> None:
    said = {each.id: ("shop", each) for each in SAID}
    said["new"] = ("shop", Said("new", EventType.ORDER_CREATED, NOW))
    sent = {each.id for each in SAID[1:]}
    assert [each.row for each in check_sent(said, sent, NOW)] == ["o1:0"]


def test_an_order_with_events_in_two_partitions_is_named() -> None:
    places = {"o1": {(0, "shop")}, "o2": {(0, "shop"), (1, "shop")}}
    assert [each.row for each in check_places(places)] == ["o2"]
