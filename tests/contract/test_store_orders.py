"""A store's orders and stock as its dashboard reads them from a real Mongo."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import PurePosixPath

import pytest

from connectors.errors import Unavailable
from connectors.mongo.client import Client, connect
from connectors.mongo.newest_pages import NewestPlace
from connectors.mongo.sagas import store_notices
from connectors.mongo.sagas.notifications import notification_document
from connectors.mongo.sagas.sold_orders import Only
from connectors.mongo.sagas.store_notices import StoreNotices
from connectors.mongo.sagas.store_orders import PAGE, StoreOrders
from connectors.mongo.sagas.store_stock import MOVEMENTS, StoreStock
from marketplace.collections import (
    INBOX,
    NOTIFICATIONS,
    ORDERS,
    OUTBOX,
    PARKED_EVENTS,
    PAYMENTS,
    RESERVATIONS,
    STOCK,
    STOCK_MOVEMENTS,
)
from marketplace.notifications.notices import of_low_stock, of_shipped
from marketplace.sagas.inventory import MovementKind
from marketplace.sagas.order_state import OrderState, Reason
from marketplace.sagas.provider_calls import Outcome
from ops.provision import ensure_provisioned
from ops.resources import Resources
from ops.stack import Stack
from runtime.ports import free_ports
from runtime.sections import Settings
from tests.kits.notifications import facts, low
from tests.kits.products import product
from tests.kits.store_orders import Played, documents_of, line, placed, put_buyer, put_orders, put_stock

NOW_MS = 1_796_000_000_000
MANY = 2 * PAGE + 7
EVER = Only(0, NOW_MS + 1)
MUG = product("Blue mug")
VARIANT = MUG.variants[0].id


def of(store: str, number: int, **fields: object) -> Played:
    """An order; five at a time were placed in the same millisecond."""
    own = fields.pop("order", f"{store.encode().hex()}{number:0{32 - 2 * len(store)}x}")
    lines = (line(1, "Blue mug", 1_000, 2, variant=VARIANT, sku="MUG+(1)"),)
    return placed(store, *lines, placed_ms=NOW_MS - number // 5 * 60_000, order=str(own), **fields)  # type: ignore[arg-type]  # any field of it


SPECIAL = {
    "paid": of("shop", 0).pays(),
    "declined": of("shop", 1).pays(Outcome.DECLINED),
    "yen": of("shop", 2, currency="JPY").pays().refunded({1: 1}),
    "waiting": of("shop", 3, buyer="bea"),
    "cancelled": of("shop", 4).pays().cancelled(Reason.SELLER),
}


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[tuple[Client, str]]:
    database = f"contract_{uuid.uuid4().hex}"
    collections = (
        ORDERS, PAYMENTS, RESERVATIONS, STOCK, STOCK_MOVEMENTS, OUTBOX, INBOX, PARKED_EVENTS, NOTIFICATIONS,
    )  # fmt: skip
    ensure_provisioned(
        Settings(stack.urls, PurePosixPath("unused"), database), resources=Resources(topics=(), collections=collections)
    )
    with connect(stack.urls.mongo) as opened:
        names = {"paid": "Ann (Archer)", "yen": "O'Neil"}
        special = [documents_of(played, names.get(name, "")) for name, played in SPECIAL.items()]
        # Much of what an order has is not looked at in lists.
        others = [
            {ORDERS.name: documents_of(of(store, number).pays(), f"Customer {number}")[ORDERS.name]}
            for store, numbers in (("shop", range(5, MANY)), ("other", range(3)))
            for number in numbers
        ]
        put_orders(opened, database, [*special, *others])
        put_buyer(opened, database, "bea", "bea@buyer.example")
        put_stock(opened, database, MUG, 40, reserved=2, low_at=5, at_ms=NOW_MS - 10)
        put_stock(opened, database, product("Foreign", store="other"), 7, at_ms=NOW_MS)
        yield opened, database
        opened.drop_database(database)


@pytest.fixture
def orders(client: tuple[Client, str]) -> StoreOrders:
    return StoreOrders(*client)


@pytest.fixture
def stock(client: tuple[Client, str]) -> StoreStock:
    return StoreStock(*client)


def ids(orders: StoreOrders, only: Only, store: str = "shop") -> list[str]:
    """Of all pages."""
    found: list[str] = []
    after: NewestPlace | None = None
    while True:
        page = orders.page(store, only, after)
        assert len(page.orders) <= PAGE
        found += [each.order.id for each in page.orders]
        if page.next is None:
            return found
        after = page.next


def test_pages_have_every_order_of_the_store_once_the_newest_first_also_where_several_are_of_one_moment(
    orders: StoreOrders,
) -> None:
    assert ids(orders, EVER) == [of("shop", number).order.id for number in range(MANY)]


def test_no_question_finds_anything_of_another_store(orders: StoreOrders, stock: StoreStock) -> None:
    foreign = of("other", 0).order.id
    assert orders.one("shop", foreign) is None
    assert orders.one("other", foreign) is not None
    for only in (
        EVER,
        Only(0, NOW_MS, text=foreign),
        Only(0, NOW_MS, ids=(foreign,)),
        Only(0, NOW_MS, text=foreign[:8]),
    ):
        assert foreign not in ids(orders, only)
    assert sum(group.count for group in orders.groups("shop", 0, NOW_MS + 1)) == MANY
    assert foreign not in orders.stuck("shop", NOW_MS * 2)
    assert set(stock.levels("shop")) == {VARIANT}
    assert stock.sold("other", 0) == {}
    assert stock.movements("other", VARIANT).rows == ()
    assert stock.reservations("other", VARIANT) == ()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (SPECIAL["paid"].order.id, ["paid"]),
        (SPECIAL["paid"].order.id.upper(), ["paid"]),
        ("ann (a", ["paid"]),
        ("o'neil", ["yen"]),
        ("bea@BUYER.example", ["waiting"]),
        ("nobody@buyer.example", []),
        ("no such text", []),
        (".*", []),
        ("$where", []),
        ("mug+(1)", list(SPECIAL)),
        ("BLUE MUG", list(SPECIAL)),
    ],
)
def test_an_order_is_found_by_its_number_its_buyer_its_name_and_its_products(
    orders: StoreOrders, text: str, names: list[str]
) -> None:
    # The special ones are the newest five.
    found = [each.order.id for each in orders.page("shop", Only(0, NOW_MS + 1, text=text)).orders[:5]]
    assert found == [SPECIAL[name].order.id for name in names]


def test_a_number_and_an_address_are_found_whatever_days_are_chosen_and_names_in_these_days(
    orders: StoreOrders,
) -> None:
    waiting = SPECIAL["waiting"].order.id
    assert ids(orders, Only(5, 6, text=waiting)) == ids(orders, Only(5, 6, text="bea@buyer.example")) == [waiting]
    assert ids(orders, Only(5, 6, text="Blue mug")) == []


def test_states_and_goods_are_filters_that_combine_with_a_search(orders: StoreOrders) -> None:
    assert ids(orders, Only(0, NOW_MS + 1, OrderState.PENDING)) == [SPECIAL["waiting"].order.id]
    assert ids(orders, Only(0, NOW_MS + 1, OrderState.REFUNDING)) == [SPECIAL["cancelled"].order.id]
    assert ids(orders, Only(0, NOW_MS + 1, OrderState.CONFIRMED, gone=True)) == []
    assert len(ids(orders, Only(0, NOW_MS + 1, OrderState.CONFIRMED, gone=False))) == MANY - 3
    assert ids(orders, Only(0, NOW_MS + 1, OrderState.PENDING, text=SPECIAL["paid"].order.id)) == []


def test_counts_and_sums_are_of_the_chosen_days_and_of_one_currency_each(orders: StoreOrders) -> None:
    newest = orders.groups("shop", NOW_MS, NOW_MS + 1)
    found = {(group.state, group.currency): (group.count, group.paid_minor, group.refunded_minor) for group in newest}
    assert found == {
        (OrderState.CONFIRMED, "EUR"): (1, 2_000, 0),
        (OrderState.CONFIRMED, "JPY"): (1, 2_000, 0),
        (OrderState.CANCELLED, "EUR"): (1, 0, 0),
        (OrderState.PENDING, "EUR"): (1, 0, 0),
        (OrderState.REFUNDING, "EUR"): (1, 2_000, 0),
    }
    assert orders.groups("shop", NOW_MS + 1, NOW_MS + 2) == ()


def test_what_is_longer_in_a_state_than_it_may_be_is_stuck_and_what_has_ended_never_is(orders: StoreOrders) -> None:
    assert orders.stuck("shop", NOW_MS + 60_000) == ()
    late = NOW_MS + 30 * 24 * 3_600_000
    assert set(orders.stuck("shop", late)) == {SPECIAL[name].order.id for name in ("waiting", "cancelled")}


def test_an_order_is_read_with_its_payment_its_reservation_its_events_its_buyer_and_what_is_parked(
    orders: StoreOrders, client: tuple[Client, str]
) -> None:
    opened, database = client
    played = SPECIAL["waiting"]
    own = played.order.id
    opened[database][PARKED_EVENTS.name].insert_one({"_id": f"payments:t:0:{own}", "consumer": "payments", "key": own})
    found = orders.one("shop", own)
    assert found is not None
    assert (found.sold.order, found.payment, found.reservation) == (played.order, played.payment, played.reservation)
    assert [step.id for step in found.steps] == [event.id for _, event in played.said]
    assert found.steps[0].handled_ms.keys() == {"payments"}
    assert (found.buyer.email, found.orders_of_buyer, found.parked) == ("bea@buyer.example", 1, frozenset({"payments"}))
    assert orders.one("shop", "nothing") is None


@pytest.mark.parametrize(("name", "pieces"), [("paid", []), ("yen", [1]), ("cancelled", [2]), ("waiting", [])])
def test_an_order_is_read_with_what_came_back_into_stock(orders: StoreOrders, name: str, pieces: list[int]) -> None:
    found = orders.one("shop", SPECIAL[name].order.id)
    assert found is not None
    assert [back.quantity for back in found.came_back] == pieces
    assert all(back.at_ms == SPECIAL[name].now_ms for back in found.came_back)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ["waiting", "cancelled"]),
        ("bea@buyer.example", ["waiting"]),
        (SPECIAL["cancelled"].order.id.upper(), ["cancelled"]),
        (SPECIAL["paid"].order.id, []),
        ("blue mug", ["waiting", "cancelled"]),
        ("zzzz", []),
    ],
)
def test_a_search_among_certain_orders_finds_those_of_them_alone_whatever_days_are_chosen(
    orders: StoreOrders, text: str, names: list[str]
) -> None:
    among = tuple(SPECIAL[name].order.id for name in ("waiting", "cancelled"))
    assert ids(orders, Only(5, 6, text=text, ids=among)) == [SPECIAL[name].order.id for name in names]


def test_notifications_of_a_store_are_read_in_pages_and_those_of_nobody_else(client: tuple[Client, str]) -> None:
    opened, database = client
    count = store_notices.PAGE + 3
    own = [of_low_stock("shop", "v", number) for number in range(count)]
    others = [(of_low_stock("other", "v", 1), low()), (of_shipped("o", "shop"), facts())]
    written = [notification_document(each, low(), NOW_MS + number // 3) for number, each in enumerate(own)]
    written += [notification_document(each, about, NOW_MS) for each, about in others]
    written.append({**written[0], "_id": "later", "template": "order_arrives_tomorrow"})
    opened[database][NOTIFICATIONS.name].insert_many(written)
    notices = StoreNotices(opened, database)
    first = notices.page("shop")
    rest = notices.page("shop", first.next)
    rows = [*first.rows, *rest.rows]
    assert (len(first.rows), len(rest.rows), rest.next) == (store_notices.PAGE, 3, None)
    assert {each.id for each in rows} == {each.id for each in own}
    assert [each.at_ms for each in rows] == sorted((each.at_ms for each in rows), reverse=True)
    assert [each.facts for each in notices.page("other").rows] == [low()]


def test_stock_is_what_is_on_hand_sold_and_reserved_by_whom_until_when(stock: StoreStock) -> None:
    level = stock.levels("shop")[VARIANT]
    assert (level.on_hand, level.reserved, level.available, level.low_at) == (40, 2, 38, 5)
    # Three of the special ones were deducted, and one of these came back as a whole, of another one a half.
    assert stock.sold("shop", 0) == {VARIANT: 3}
    assert stock.sold("shop", NOW_MS + 10**9) == {}
    running = stock.reservations("shop", VARIANT)
    assert [each.order for each in running] == [SPECIAL["waiting"].order.id]
    assert all(each.expires_ms > NOW_MS for each in running)


def test_the_ledger_of_a_variant_is_read_in_pages_with_the_names_of_people(
    stock: StoreStock, client: tuple[Client, str]
) -> None:
    opened, database = client
    own = "v-ledger"
    opened[database][STOCK_MOVEMENTS.name].insert_many(
        {
            "_id": f"{own}:{number:03}", "variant": own, "store": "shop", "quantity": 1, "kind": "adjusted",
            "cause": "api", "on_hand": number, "at_ms": NOW_MS + number // 3, "by": "bea" if number else "gone",
            "note": "Counted",
        }
        for number in range(MOVEMENTS + 3)
    )  # fmt: skip
    first = stock.movements("shop", own)
    assert isinstance(first.next, NewestPlace)
    rest = stock.movements("shop", own, first.next)
    rows = [*first.rows, *rest.rows]
    assert (len(first.rows), len(rest.rows), rest.next) == (MOVEMENTS, 3, None)
    assert len({row.id for row in rows}) == MOVEMENTS + 3
    assert [row.at_ms for row in rows] == sorted((row.at_ms for row in rows), reverse=True)
    assert {row.by for row in rows} == {"Ann", "a former member"}
    assert {row.kind for row in rows} == {MovementKind.ADJUSTED}


def test_without_mongo_a_page_says_so_in_time_and_not_that_there_is_too_much() -> None:
    nowhere = f"mongodb://127.0.0.1:{free_ports(1)[0]}/?directConnection=true"
    with closing(connect(nowhere)) as opened:
        began = time.monotonic()
        with pytest.raises(Unavailable):
            StoreOrders(opened, "d", scan_seconds=0.5).page("shop", Only(0, 1, text="mug"))
        assert time.monotonic() - began < 4
