"""Who hears of what, and until when it is so."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.notifications.notices import Notice, Template, holds, mail_id, of_event, of_low_stock
from marketplace.sagas.declaration import NOTIFIES, Service, listeners
from marketplace.sagas.events import Event, EventType, PaymentRefunded, event_id, version_of
from marketplace.sagas.order_state import Order
from saga_consumers.notifications.decide import LISTENS, LowStock, on_stock, order_version
from tests.kits.notifications import BUYER, STORE, Story, confirmed, stories

T = Template
TO_BUYER, TO_STORE = f"user:{BUYER}", f"store:{STORE}"
CANCELLED, RETURNED = (TO_BUYER, T.ORDER_CANCELLED), (TO_BUYER, T.PAYMENT_RETURNED)
CONFIRMED, NEW = (TO_BUYER, T.ORDER_CONFIRMED), (TO_STORE, T.NEW_ORDER)
REFUNDED, STORE_CANCELLED = (TO_BUYER, T.ORDER_REFUNDED), (TO_STORE, T.STORE_ORDER_CANCELLED)
REVERSED, STORE_REVERSED = (TO_BUYER, T.REFUND_REVERSED), (TO_STORE, T.STORE_REFUND_REVERSED)

HEARD = {
    "confirmed": [CONFIRMED, NEW],
    "declined": [CANCELLED],
    "unpaid": [CANCELLED],
    "cancelled before it was paid": [CANCELLED],
    "without stock": [CANCELLED],
    "cancelled by its buyer": [CONFIRMED, NEW, CANCELLED, STORE_CANCELLED],
    "cancelled by its store": [CONFIRMED, NEW, CANCELLED, STORE_CANCELLED],
    "refunded in part": [CONFIRMED, NEW, REFUNDED],
    "refunded in part and then cancelled": [CONFIRMED, NEW, REFUNDED, CANCELLED, STORE_CANCELLED],
    "refunded by the line to its end": [CONFIRMED, NEW, REFUNDED, CANCELLED, STORE_CANCELLED],
    "paid after it had run out": [CANCELLED, CONFIRMED, NEW],
    "paid after it had run out, without stock": [CANCELLED, RETURNED],
    "paid after it was cancelled": [CANCELLED, RETURNED],
    "refunded in part, and it came back": [CONFIRMED, NEW, REFUNDED, REVERSED, STORE_REVERSED],
    "refunded in part, and it came back and went again": [
        *(CONFIRMED, NEW, REFUNDED, REVERSED, STORE_REVERSED, REFUNDED),
    ],
    "cancelled, and the money came back": [*(CONFIRMED, NEW, CANCELLED, STORE_CANCELLED), REVERSED, STORE_REVERSED],
    "cancelled, and the money came back and went again": [
        *(CONFIRMED, NEW, CANCELLED, STORE_CANCELLED, REVERSED, STORE_REVERSED, RETURNED),
    ],
}
"""Where each event is handled at once."""

HEARD_LATE = {
    **HEARD,
    "cancelled by its buyer": [CANCELLED],
    "cancelled by its store": [CANCELLED],
    "refunded in part and then cancelled": [CANCELLED],
    "refunded by the line to its end": [CANCELLED],
    "paid after it had run out": [CONFIRMED, NEW],
    "paid after it had run out, without stock": [CANCELLED],
    "paid after it was cancelled": [CANCELLED],
    "refunded in part, and it came back": [CONFIRMED, NEW, REVERSED, STORE_REVERSED],
    "refunded in part, and it came back and went again": [CONFIRMED, NEW, REFUNDED],
    "cancelled, and the money came back": [REVERSED, STORE_REVERSED],
    "cancelled, and the money came back and went again": [CANCELLED, RETURNED],
}
"""Where all of them are handled when the order has ended already."""


def notices_of(steps: Iterable[tuple[Event, Order]]) -> list[Notice]:
    """What is written, each once, as the store of it does."""
    written: dict[str, Notice] = {}
    for event, now in steps:
        heard = {(each.recipient, each.template, each.event) for each in written.values()}
        for notice in of_event(event, now, heard):
            written.setdefault(notice.id, notice)
    return list(written.values())


def kinds(notices: Iterable[Notice]) -> list[tuple[str, Template]]:
    return [(each.recipient, each.template) for each in notices]


@pytest.mark.parametrize("name", sorted(HEARD))
def test_buyer_and_store_hear_of_each_step_that_concerns_them(name: str) -> None:
    assert kinds(notices_of(stories()[name].heard)) == HEARD[name]


@pytest.mark.parametrize("name", sorted(HEARD))
def test_of_what_is_not_so_any_more_when_it_is_handled_nobody_hears(name: str) -> None:
    story = stories()[name]
    assert kinds(notices_of((event, story.order) for event in story.said)) == HEARD_LATE[name]


@pytest.mark.parametrize("name", sorted(HEARD))
@given(data=st.data())
def test_events_in_any_order_and_several_times_say_what_holds_and_nothing_twice(name: str, data: st.DataObject) -> None:
    story = stories()[name]
    several = data.draw(st.permutations(story.said * 3))
    found = notices_of((event, story.order) for event in several)
    assert len(set(kinds(found))) == len(found)
    assert all(holds(n.template, n.amount_minor, story.order, n.refund, n.reversals) for n in found)
    buyers = {template for recipient, template in kinds(found) if recipient == TO_BUYER}
    assert buyers >= {template for recipient, template in HEARD_LATE[name] if recipient == TO_BUYER} - {
        T.ORDER_REFUNDED
    }
    assert not buyers & {T.ORDER_CONFIRMED} or not buyers & {T.ORDER_CANCELLED}


def test_a_refund_that_is_said_twice_is_heard_of_once() -> None:
    story = stories()["refunded in part"]
    again = [each for each in story.said if each.type is EventType.PAYMENT_REFUNDED]
    assert kinds(notices_of([*story.heard, *((each, story.order) for each in again)])) == HEARD["refunded in part"]


def test_of_goods_that_had_cost_nothing_and_came_back_nobody_hears_as_of_money() -> None:
    story = stories()["refunded in part"]
    free = [
        msgspec.structs.replace(each, payload=msgspec.structs.replace(each.payload, amount_minor=0))
        if isinstance(each.payload, PaymentRefunded)
        else each
        for each in story.said
    ]
    assert kinds(notices_of((each, story.order) for each in free)) == [CONFIRMED, NEW]


@pytest.mark.parametrize("template", [T.REFUND_REVERSED, T.STORE_REFUND_REVERSED])
def test_that_money_did_not_arrive_is_so_until_it_has_gone_once_more(template: Template) -> None:
    story = confirmed().refunds({1: 1}).gets_back()
    refund = story.order.refunds[-1].id
    assert holds(template, 1_250, story.order, refund, 1), "the order may be older than the payment's event"
    assert not holds(template, 1_250, story.order, "r9", 1)
    back = story.comes_back().order
    assert holds(template, 1_250, back, refund, 1)
    assert not holds(T.ORDER_REFUNDED, 1_250, back, refund, 0)
    again = story.gets_back().order
    assert not holds(template, 1_250, again, refund, 1)
    assert holds(T.ORDER_REFUNDED, 1_250, again, refund, 1)
    twice = story.comes_back().order
    assert [holds(template, 1_250, twice, refund, count) for count in (1, 2)] == [False, True]


def test_what_a_waiting_mail_says_ends_with_the_state_that_it_is_about() -> None:
    story = stories()["confirmed"]
    assert holds(T.ORDER_CONFIRMED, 0, story.order)
    assert holds(T.NEW_ORDER, 0, story.order)
    refunding = story.cancels()
    for template in (T.ORDER_CONFIRMED, T.NEW_ORDER, T.ORDER_REFUNDED, T.ORDER_CANCELLED):
        assert not holds(template, 0, refunding.order)
    ended = refunding.gets_back()
    assert holds(T.ORDER_CANCELLED, ended.order.refunded_minor, ended.order)
    assert not holds(T.ORDER_CANCELLED, 0, ended.order), "that nothing was charged was so before it was paid"
    revived = Story().runs_out().pays()
    assert not holds(T.ORDER_CANCELLED, 0, revived.order)


@pytest.mark.parametrize("name", sorted(HEARD))
def test_what_was_written_is_not_written_again_under_another_template(name: str) -> None:
    story = stories()[name]
    again = [(event, story.order) for event in (*reversed(story.said), *story.said)]
    assert kinds(notices_of([*story.heard, *again])) == HEARD[name]


def test_ids_are_made_of_recipient_template_and_event_alone() -> None:
    made = Notice("user:bea", T.ORDER_CONFIRMED, "o1:orders:4:0", 5, "buyer")
    assert made.id == Notice("user:bea", T.ORDER_CONFIRMED, "o1:orders:4:0").id
    others = [
        Notice("user:ann", T.ORDER_CONFIRMED, "o1:orders:4:0"),
        Notice("user:bea", T.NEW_ORDER, "o1:orders:4:0"),
        Notice("user:bea", T.ORDER_CONFIRMED, "o1:orders:5:0"),
    ]
    assert len({made.id, *(each.id for each in others)}) == 4
    assert mail_id(made.id, "bea") == mail_id(made.id, "bea") != mail_id(made.id, "ann")
    assert of_low_stock("s", "v", 1).id != of_low_stock("s", "v", 2).id


def test_the_declaration_names_notifications_where_it_reacts_and_nowhere_else() -> None:
    for kind in EventType:
        assert (Service.NOTIFICATIONS in listeners(kind)) is (kind in NOTIFIES)
    reacted = {
        event.type
        for story in stories().values()
        for event, now in story.heard
        if of_event(event, now, {(*NEW, "before")})
    }
    assert reacted == set(NOTIFIES) == LISTENS


@pytest.mark.parametrize(
    ("low", "notified", "do"),
    [(True, False, LowStock.NOTIFY), (True, True, LowStock.NOTHING), (False, True, LowStock.FORGET),
     (False, False, LowStock.NOTHING)],
)  # fmt: skip
def test_a_store_hears_once_of_each_fall_of_its_stock(low: bool, notified: bool, do: LowStock) -> None:
    assert on_stock(low=low, notified=notified) is do


def test_the_version_of_an_order_is_read_of_its_own_events_alone() -> None:
    story = stories()["confirmed"]
    assert [order_version(event) for event in story.said] == [0, 2, 0, 3]
    assert version_of(event_id("a:b", "orders", 12)) == 12
    assert version_of("o1:orders:x:0") == version_of("") == version_of("1:2") == 0
