"""The pages Orders and Stock: what is said of every state, and what can be done in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

import pytest

from api.mail.notices import dashboard_path
from connectors.mongo.sagas.audit import Step
from connectors.mongo.sagas.sold_orders import Buyer, CameBack, Group, SoldOrder, WholeOrder, sold_order
from dashboards.data.view import from_query, to_query
from dashboards.screens import orders, stock
from dashboards.screens.order import address_lines, detail_of, missing_of, moments_of, troubles
from dashboards.screens.order_actions import actions_of, ends_with, parcel_words, refund_amount, refund_words
from dashboards.screens.orders import KINDS, STUCK, labels_of
from dashboards.screens.stock import Item, items_of, row_of, tags_of
from dashboards.screens.variant import low_words
from dashboards.ui.order_words import (
    goods_line,
    payment_lines,
    quantity_of,
    returned_words,
    said_in_words,
    state_tag,
    stock_lines,
    waits_for,
)
from dashboards.ui.times import lasting, when
from marketplace.catalog.products import Availability, Option, ProductState, Variant
from marketplace.collections import ORDERS
from marketplace.inventory.levels import Level
from marketplace.notifications.facts import Facts
from marketplace.orders.delivery import Address, Fulfilment, FulfilmentState
from marketplace.orders.requests import Party, refunded
from marketplace.sagas.declaration import TERMINAL
from marketplace.sagas.events import EventType, OrderRefundRequested, encode_payload
from marketplace.sagas.inventory import MovementKind
from marketplace.sagas.order_state import OrderState, Reason
from marketplace.sagas.payment_state import PaymentState, RefundState
from marketplace.sagas.provider_calls import Outcome
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
    back = sum(each.quantity for each in played.movements if each.kind is MovementKind.RETURNED)
    came_back = (CameBack(played.now_ms, back),) if back else ()
    made = sold(played, state)
    return WholeOrder(made, Buyer(), played.payment, played.reservation, tuple(steps(played)), parked, 1, came_back)


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
        (datetime(2026, 11, 30, 9, 5, 7, tzinfo=UTC), "UTC", "30 Nov, 09:05"),
        (datetime(2026, 11, 29, 23, 30, tzinfo=UTC), "Europe/Berlin", "30 Nov, 00:30"),
        (datetime(2026, 11, 29, 23, 30, tzinfo=UTC), "UTC", "29 Nov, 23:30"),
        (datetime(2025, 1, 2, 3, 4, tzinfo=UTC), "UTC", "2 Jan 2025, 03:04"),
    ],
)
def test_a_moment_is_said_with_its_day_on_the_store_s_clock(at: datetime, zone: str, text: str) -> None:
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


@pytest.mark.parametrize(
    ("shown", "note"),
    [
        (Availability.MANY, "buyers see “In stock”"),
        (Availability.FEW, "buyers see “Only a few left”"),
        (Availability.NONE, "buyers see “Sold out”"),
    ],
)
def test_of_a_variant_that_is_not_counted_a_row_says_what_buyers_see(shown: Availability, note: str) -> None:
    mug = product("Mug", variants=(Variant("v", "MUG", (), 1, None, shown),))
    (uncounted,) = items_of([mug], {}, {})
    assert row_of(uncounted).note == note
    (hidden,) = items_of([replace(mug, state=ProductState.DRAFT)], {}, {})
    assert row_of(hidden).note == ""


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


def after(moment: int) -> str:
    return f"after {moment - PLACED_MS} ms"


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("confirmed", ["3 pieces taken from stock"]),
        ("refunded", ["3 pieces taken from stock", "1 piece came back into stock, at"]),
        ("ended", ["3 pieces taken from stock", "All of it came back into stock, at"]),
        ("no stock", ["Were not there any more"]),
        ("declined", ["Reserved no more"]),
        ("pending", ["Reserved until at"]),
    ],
)
def test_the_stock_of_an_order_says_what_was_taken_and_what_came_back(name: str, lines: list[str]) -> None:
    made = whole(PLAYED[name]())
    found = stock_lines(made.reservation, made.came_back, PLACED_MS, lambda moment: "at")
    assert found == lines


@pytest.mark.parametrize("goods", FulfilmentState)
@pytest.mark.parametrize("name", sorted(set(PLAYED) - {"pending"}))
def test_only_goods_that_are_to_be_sent_are_called_not_sent_yet(name: str, goods: FulfilmentState) -> None:
    made = sold(PLAYED[name](), goods.value)
    open_still = made.order.state is OrderState.CONFIRMED and goods in (
        FulfilmentState.UNFULFILLED, FulfilmentState.PACKED,
    )  # fmt: skip
    assert ("yet" in goods_line(made, "at noon")) == open_still


@pytest.mark.parametrize(("name", "text"), [("refunded", "1 piece"), ("ended", "3 pieces")])
def test_goods_that_came_back_stand_in_what_has_happened(name: str, text: str) -> None:
    said = [moment.text for moment in moments_of(whole(PLAYED[name]()), after, PLACED_MS)]
    assert said.count(f"{text} came back into stock") == 1
    assert not any("came back" in each.text for each in moments_of(whole(new().pays()), after, PLACED_MS))


def test_sellers_read_no_names_of_events_or_services_until_they_ask_for_them() -> None:
    made = whole(new())
    (plain,) = moments_of(made, after, PLACED_MS + 70_000)
    assert (plain.text, plain.detail) == ("Placed, for €55.00", "")
    assert plain.tag is not None
    assert plain.tag.text == "Takes longer than it should"
    (technical,) = moments_of(made, after, PLACED_MS, technical=True)
    assert technical.detail.startswith("ORDER_CREATED · said by orders")
    assert technical.tag is not None
    assert "payments not yet" in technical.tag.text


def asked_words(played: Played) -> list[str]:
    return [said_in_words(step, "EUR") for step in steps(played) if step.type == EventType.ORDER_REFUND_REQUESTED]


def test_what_has_happened_says_who_asked_for_a_refund() -> None:
    assert asked_words(new().pays().refunded({1: 1}, "It broke.")) == [
        "The store asked for a refund of €12.50: It broke."
    ]
    (ended,) = asked_words(new().pays().cancelled(Reason.BUYER))
    assert ended == "The buyer cancelled the order: €55.00 is to go back"
    by_buyer = refunded(new().pays().order, Fulfilment(), Party.BUYER, {1: 2, 2: 1}, PLACED_MS)
    assert by_buyer.order.reason is Reason.BUYER
    (asked,) = by_buyer.events
    assert isinstance(asked.payload, OrderRefundRequested)
    assert asked.payload.by == "buyer"


def test_of_a_refund_that_an_earlier_version_wrote_nobody_is_said_to_have_asked() -> None:
    payload = '{"refund": "r1", "amount_minor": 100}'
    step = Step("e", "ORDER_REFUND_REQUESTED", "/marketplace/orders", 0, 0, payload, "", {})
    assert said_in_words(step, "EUR") == "A refund of €1.00 was asked for"


def test_a_refund_of_everything_says_that_the_order_ends_and_one_of_a_part_does_not() -> None:
    order = new().pays().order
    assert refund_words(order, {}) == "Say how many of what."
    assert "ends" not in refund_words(order, {1: 2})
    assert "called cancelled by the store" in refund_words(order, {1: 2, 2: 1})
    assert ends_with(new().pays().refunded({1: 2}).order, {2: 1})


def test_what_goes_into_the_parcel_is_what_was_not_refunded_and_is_counted() -> None:
    once = new().pays().refunded({1: 1})
    assert parcel_words(once.order).splitlines()[0] == "**Into the parcel: 2 pieces**"
    assert "- 1 \N{MULTIPLICATION SIGN} Blue mug · MUG\\-BLUE · 1 of 2 refunded" in parcel_words(once.order)
    assert "Bowl" not in parcel_words(new().pays().refunded({2: 1}).order)
    first, second = once.order.lines
    assert (returned_words(first), returned_words(second)) == ("1 of 2 refunded", "")
    assert returned_words(replace(second, returned=1)) == "Refunded"
    assert quantity_of(first, sold(once)) == ("2", "1 to send")
    assert quantity_of(replace(first, returned=2), sold(once)) == ("2", "none to send")
    assert quantity_of(first, sold(once, "shipped")) == quantity_of(first, sold(new())) == ("2", "")


def test_an_order_has_in_the_list_the_number_that_its_mails_have_and_its_day() -> None:
    frame = SimpleNamespace(zone=ZoneInfo("UTC"), now=datetime.fromtimestamp(PLACED_MS / 1_000, UTC))
    made = placed("shop", placed_ms=PLACED_MS, order="6dbf459f" + "0" * 24)
    row = orders.row_of(sold(made), frame, PLACED_MS)  # type: ignore[arg-type]  # the clock is all that it takes
    assert row.detail == "30 Nov, 00:53 · 6DBF459F"


def test_no_count_of_all_orders_stands_at_the_kinds_of_what_a_search_found() -> None:
    groups = (Group(OrderState.CONFIRMED, "EUR", False, 50, 0, 0),)
    shown = labels_of(groups, ("o1",), "")
    assert (shown["All"], shown["To send"], shown[STUCK]) == ("All (50)", "To send (50)", "Stuck (1)")
    searched = labels_of(groups, ("o1",), "zzzz")
    assert searched.keys() == shown.keys()
    assert all(name == text for name, text in searched.items())
    uncounted = {name: name for name in ("All", *KINDS)}
    assert labels_of(None, (), "", keeps_stuck=True) == {**uncounted, STUCK: "Stuck (0)"}


def test_the_kinds_of_variants_count_what_is_listed() -> None:
    assert stock.labels_of([item(0), item(None)])["None left"] == "None left (1)"
    assert set(stock.labels_of([]).values()) == {f"{name} (0)" for name in ("All", *stock.KINDS)}


@pytest.mark.parametrize(
    ("there", "low_at", "text"),
    [
        (3, 5, "**Low.** Only 3 can be ordered still: you asked to be warned at 5 or fewer."),
        (0, 5, "**Low.** None can be ordered any more: you asked to be warned at 5 or fewer."),
        (0, 0, "**Low.** None can be ordered any more: you asked to be warned when none is left."),
    ],
)
def test_the_warning_of_little_stock_says_how_many_there_are_and_why_it_comes(
    there: int, low_at: int, text: str
) -> None:
    assert low_words(level("v", there, low_at=low_at)) == text
