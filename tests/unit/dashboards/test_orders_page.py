"""The pages Orders and Stock: what is said of every state, and what can be done in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

import pytest

from api.mail.notices import dashboard_path
from connectors.mongo.sagas.audit import Step
from connectors.mongo.sagas.store_orders import Buyer, Group, SoldOrder, WholeOrder, sold_order
from dashboards.data.view import from_query, to_query
from dashboards.screens.order import address_lines, detail_of, missing_of, troubles
from dashboards.screens.order_actions import actions_of, refund_amount
from dashboards.screens.orders import KINDS
from dashboards.screens.stock import Item, items_of, row_of, tags_of
from dashboards.ui.order_words import payment_lines, said_in_words, state_tag, waits_for
from dashboards.ui.times import lasting, when
from marketplace.catalog.products import Availability, Option, ProductState, Variant
from marketplace.collections import ORDERS
from marketplace.inventory.levels import Level
from marketplace.notifications.facts import Facts
from marketplace.orders.delivery import Address, FulfilmentState
from marketplace.sagas.declaration import TERMINAL
from marketplace.sagas.events import EventType, encode_payload
from marketplace.sagas.orders import OrderState, Reason
from marketplace.sagas.payments import Outcome, PaymentState, RefundState
from tests.kits.notifications import facts, low
from tests.kits.products import product
from tests.kits.store_orders import Played, documents_of, line, placed

PLACED_MS = 1_796_000_000_000
LINES = (line(1, quantity=2), line(2, "Bowl", 3_000))


def new() -> Played:
    return placed("shop", *LINES, placed_ms=PLACED_MS)


PLAYED: dict[str, Callable[[], Played]] = {
    "pending": new,
    "declined": lambda: new().pays(Outcome.DECLINED),
    "unpaid": lambda: new().unpaid(),
    "confirmed": lambda: new().pays(),
    "no stock": lambda: new().pays(available={}),
    "cancelled": lambda: new().pays().cancelled(Reason.SELLER),
    "refunding": lambda: new().pays().refunded({1: 1}, "It broke."),
    "refunded": lambda: _later(new().pays().refunded({1: 1})).pays(),
    "reversed": lambda: _later(new().pays().refunded({1: 1})).pays().returned("r1"),
    "ended": lambda: _later(new().pays().cancelled(Reason.BUYER)).pays(),
}


def _later(played: Played) -> Played:
    played.now_ms += 1_000
    return played


def sold(played: Played, state: str = "unfulfilled") -> SoldOrder:
    return sold_order(documents_of(played, state=state)[ORDERS.name][0])


def whole(played: Played, state: str = "unfulfilled", parked: frozenset[str] = frozenset()) -> WholeOrder:
    return WholeOrder(sold(played, state), Buyer(), played.payment, played.reservation, (), parked, 1)


def steps(played: Played) -> list[Step]:
    return [
        Step(event.id, event.type.value, f"/marketplace/{service}", event.at_ms, event.at_ms,
             encode_payload(event.payload).decode(), "", {})
        for service, event in played.said
    ]  # fmt: skip


def test_every_event_is_said_in_plain_words_and_not_by_its_name() -> None:
    said = {step.type: said_in_words(step, "EUR") for make in PLAYED.values() for step in steps(make())}
    assert set(said) == set(EventType)
    assert not any(words.isupper() or "_" in words or "does not know" in words for words in said.values())
    assert said[EventType.ORDER_CREATED] == "Placed, for €55.00"
    assert said[EventType.PAYMENT_COMPLETED] == "The payment provider took €55.00"


@pytest.mark.parametrize("payload", ["{}", "no json", '{"refund": 1}'])
def test_an_event_that_is_not_known_is_no_error(payload: str) -> None:
    step = Step("e", "PAYMENT_REFUNDED", "/marketplace/payments", 0, 0, payload, "", {})
    assert said_in_words(step, "EUR") == "Something that this version does not know"
    assert missing_of(replace(step, type="ORDER_EATEN")) == ()


def test_the_technical_line_names_the_event_who_said_it_who_has_handled_it_and_who_has_not() -> None:
    created = replace(steps(new())[0], handled_ms={"payments": PLACED_MS + 40})
    assert detail_of(created) == "ORDER_CREATED · said by orders · handled by payments after 40 ms"
    assert "payments not yet" in detail_of(replace(created, handled_ms={}))


@pytest.mark.parametrize("state", OrderState)
def test_an_order_waits_for_something_exactly_where_its_state_waits_for_somebody(state: OrderState) -> None:
    assert bool(waits_for(state)) == (state not in TERMINAL)


@pytest.mark.parametrize("state", OrderState)
@pytest.mark.parametrize("gone", [False, True])
def test_every_order_is_of_exactly_one_kind_and_the_counts_add_up(state: OrderState, gone: bool) -> None:
    only = (Group(state, "EUR", gone, 3, 0, 0), Group(state, "JPY", gone, 4, 0, 0))
    counts = [kind.count(only) for kind in KINDS.values()]
    # Goods are sent of confirmed orders alone; what was sent and refunded as a whole is cancelled.
    assert sorted(counts) == [0] * (len(KINDS) - 1) + [7]


@pytest.mark.parametrize("name", PLAYED)
def test_what_an_order_is_called_says_what_the_seller_has_to_know(name: str) -> None:
    expected = {
        "pending": "Waits for payment",
        "declined": "Cancelled: payment declined",
        "unpaid": "Cancelled: not paid in time",
        "confirmed": "To pack",
        "no stock": "Money on its way back",
        "cancelled": "Money on its way back",
        "refunding": "To pack",
        "refunded": "To pack",
        "reversed": "To pack",
        "ended": "Cancelled: by the buyer",
    }
    assert state_tag(sold(PLAYED[name]())).text == expected[name]


@pytest.mark.parametrize(
    ("name", "goods", "actions"),
    [
        ("pending", "unfulfilled", ["cancel"]),
        ("confirmed", "unfulfilled", ["pack", "ship", "refund", "cancel"]),
        ("confirmed", "packed", ["ship", "unpack", "refund", "cancel"]),
        ("confirmed", "shipped", ["deliver", "refund"]),
        ("confirmed", "delivered", ["refund"]),
        ("refunded", "delivered", ["refund"]),
        ("cancelled", "unfulfilled", []),
        ("declined", "unfulfilled", []),
        ("ended", "unfulfilled", []),
    ],
)
def test_only_what_is_possible_is_offered(name: str, goods: str, actions: list[str]) -> None:
    assert actions_of(whole(PLAYED[name](), goods)) == actions


def test_what_goes_back_is_the_sum_of_what_was_chosen() -> None:
    order = new().order
    assert refund_amount(order, {1: 2, 2: 1}) == order.total_minor == 5_500
    assert refund_amount(order, {1: 1}) == 1_250
    assert refund_amount(order, {}) == 0


def test_an_order_is_stuck_a_minute_after_its_state_should_have_ended_and_not_before() -> None:
    made = whole(new())
    due_ms = made.sold.due_ms
    assert due_ms is not None
    assert troubles(made, due_ms + 59_000) == []
    (said,) = troubles(made, due_ms + 60_000)
    assert "Stuck" in said
    assert f"marketplace saga trace {made.sold.order.id}" in said
    confirmed = whole(new().pays())
    assert troubles(confirmed, PLACED_MS * 2) == []


def test_what_is_parked_and_a_refund_that_is_refused_for_good_are_said() -> None:
    played = new().pays().refunded({1: 1})
    refunds = tuple(replace(each, state=RefundState.STUCK, due_ms=None) for each in played.payment.refunds)
    played.payment = replace(played.payment, refunds=refunds)
    said = " ".join(troubles(whole(played, parked=frozenset({"inventory"})), PLACED_MS))
    assert "could not be handled by inventory" in said
    assert "A refund could not be made" in said
    assert any("could not go back" in each for each in payment_lines(played.payment))


@pytest.mark.parametrize("state", PaymentState)
def test_every_payment_says_where_it_is(state: PaymentState) -> None:
    first = payment_lines(replace(new().payment, state=state, currency="KWD"))[0]
    assert first.endswith(": KWD\N{NO-BREAK SPACE}5.500")


def test_an_address_has_no_empty_lines_and_names_its_country() -> None:
    assert address_lines(Address("Ann", "1 High Street", "", "", "Leeds", "GB")) == [
        "Ann",
        "1 High Street",
        "Leeds",
        "UK",
    ]
    assert address_lines(Address("", "", "", "", "", "")) == []


NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "zone", "text"),
    [
        (datetime(2026, 11, 30, 9, 5, 7, tzinfo=UTC), "UTC", "09:05"),
        (datetime(2026, 11, 29, 23, 30, tzinfo=UTC), "Europe/Berlin", "00:30"),
        (datetime(2026, 11, 29, 23, 30, tzinfo=UTC), "UTC", "29 Nov, 23:30"),
        (datetime(2025, 1, 2, 3, 4, tzinfo=UTC), "UTC", "2 Jan 2025, 03:04"),
    ],
)
def test_a_moment_is_said_on_the_store_s_clock(at: datetime, zone: str, text: str) -> None:
    assert when(int(at.timestamp() * 1_000), ZoneInfo(zone), NOW) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (-5, "0 ms"),
        (40, "40 ms"),
        (1_240, "1.2 s"),
        (180_000, "3 min"),
        (5 * 3_600_000, "5 h"),
        (72 * 3_600_000, "3 days"),
    ],
)
def test_how_long_something_took_is_said_in_one_unit(milliseconds: int, text: str) -> None:
    assert lasting(milliseconds) == text


def level(own: str, on_hand: int, reserved: int = 0, low_at: int | None = None) -> Level:
    return Level(own, "p", "shop", on_hand, reserved, low_at)


def item(on_hand: int | None, *, reserved: int = 0, low_at: int | None = None, sold: int | None = 0) -> Item:
    found = None if on_hand is None else level("v", on_hand, reserved, low_at)
    return Item("v", "p", "Mug", "MUG", found, sold)


@pytest.mark.parametrize(
    ("made", "tags"),
    [
        (item(None), ["Not counted"]),
        (item(0), ["None left"]),
        (item(3, reserved=3, sold=9), ["None left"]),
        (item(3, low_at=3), ["Low"]),
        (item(4, low_at=3), ["In stock"]),
        (item(28, sold=28), ["28 days left"]),
        (item(3, low_at=5, sold=28), ["Low", "3 days left"]),
        (item(1, sold=56), ["Less than a day left"]),
        (item(10_000, sold=1), ["More than a year left"]),
        (item(7, sold=None), ["In stock"]),
    ],
)
def test_how_it_is_with_a_variant_is_said_by_what_is_available_and_by_what_is_sold(made: Item, tags: list[str]) -> None:
    assert [tag.text for tag in tags_of(made)] == tags


def test_what_is_gone_comes_first_then_what_is_low_then_what_ends_soon_and_what_is_not_counted_last() -> None:
    own = {name: f"{at}" for at, name in enumerate(("plenty", "none", "low", "soon", "uncounted"))}
    made = [product(name.title(), variants=(Variant(key, name, (), 1),)) for name, key in own.items()]
    hidden = product("Hidden", state=ProductState.DRAFT, variants=(Variant("9", "hidden", (), 1),))
    levels = {
        own["plenty"]: level(own["plenty"], 900), own["none"]: level(own["none"], 0),
        own["low"]: level(own["low"], 2, low_at=5), own["soon"]: level(own["soon"], 4), "9": level("9", 0),
        "gone": level("gone", 3),
    }  # fmt: skip
    found = items_of([*made, hidden], levels, {own["plenty"]: 1, own["soon"]: 28})
    assert [each.about for each in found] == ["none", "low", "soon", "plenty", "uncounted", "hidden", "gone"]
    assert [each.for_sale for each in found[-2:]] == [False, False]


def test_a_row_names_the_product_its_options_and_its_sku() -> None:
    mug = product(
        "Mug",
        options=(Option("Size", ("S", "L")),),
        variants=(Variant("v", "MUG-L", ("L",), 1, None, Availability.FEW),),
    )
    (counted,) = items_of([mug], {"v": level("v", 12, reserved=2)}, {})
    row = row_of(counted)
    assert (row.title, row.detail) == ("Mug", "Size: L · MUG-L")
    assert (row.amount, row.note) == ("10", "12 on hand, 2 reserved")
    (uncounted,) = items_of([mug], {}, {})
    assert row_of(uncounted).note == "as its product says"


def test_goods_that_are_on_the_way_are_no_work_for_the_seller_any_more() -> None:
    tones = {state: state_tag(sold(new().pays(), state.value)).tone for state in FulfilmentState}
    assert tones == {
        FulfilmentState.UNFULFILLED: "act", FulfilmentState.PACKED: "act", FulfilmentState.SHIPPED: "good",
        FulfilmentState.DELIVERED: "good",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("about", "page", "opened"),
    [
        (facts(order="9c51d06e4b7fa8c1e2d3b4a596873f2a"), "orders", {"order": "9c51d06e4b7fa8c1e2d3b4a596873f2a"}),
        (low(variant="0e" * 16), "stock", {"variant": "0e" * 16}),
        (low(), "stock", {}),
        (low(store="a&b=c"), "stock", {}),
    ],
)
def test_the_link_in_a_mail_to_a_store_opens_what_the_mail_is_about(
    about: Facts, page: str, opened: dict[str, str]
) -> None:
    link = urlsplit(dashboard_path(about))
    assert link.path == f"/{page}"
    view, ignored = from_query(dict(parse_qsl(link.query)), ["other", about.store])
    assert ignored == []
    assert to_query(view) == {"store": about.store, **opened}
