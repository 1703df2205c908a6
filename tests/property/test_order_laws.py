"""Laws of what the API decides of orders, stock and keys, without any part."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.carts.cart import Cart, Line, seen_of
from marketplace.carts.changes import changes_id, revalidate
from marketplace.catalog.products import Availability, Product, ProductState, Variant
from marketplace.idempotency import Attempt, InvalidKey, Next, StoredAnswer, checked_key, fingerprint, next_of, row_id
from marketplace.inventory.levels import BelowReserved, Level, availability_of, is_over, moved, released
from marketplace.orders.checkout import Seen, check_stock, parts_of, placed, quoted
from marketplace.orders.delivery import Fulfilment, FulfilmentState, moved_on
from marketplace.orders.refusals import Differs, NotPossible, OutOfStock, UnknownLine
from marketplace.orders.requests import Party, can_cancel, cancelled, refunded
from marketplace.sagas.events import OrderedItem, OrderRefundRequested
from marketplace.sagas.inventory import Reservation, ReservationState
from marketplace.sagas.order_state import Order, OrderLine, OrderState

NOW = 1_800_000_000_000


def product(at: int, price: int, store: str, currency: str, available: Availability = Availability.MANY) -> Product:
    variant = Variant(f"v{at}", f"SKU-{at}", (), price, None, available)
    return Product(f"p{at}", store, f"p-{at}", f"P {at}", "", ProductState.ACTIVE, currency, (variant,))


def line(sold: Product, count: int) -> Line:
    return Line(sold.id, sold.variants[0].id, sold.store, count, seen_of(sold, sold.variants[0]), 0)


SOLD = st.tuples(
    st.integers(1, 10_000), st.sampled_from(["a", "b", "c"]), st.sampled_from(["EUR", "USD"]), st.integers(1, 99)
)
CARTS = st.lists(SOLD, min_size=1, max_size=12)


def cart_of(rows: list[tuple[int, str, str, int]]) -> tuple[Cart, dict[str, Product]]:
    products = [product(at, price, store, currency) for at, (price, store, currency, _) in enumerate(rows)]
    lines = tuple(line(sold, row[3]) for sold, row in zip(products, rows, strict=True))
    return Cart(lines), {each.id: each for each in products}


@given(CARTS)
def test_every_line_is_in_one_order_of_its_store_and_currency_and_the_payment_is_what_they_cost(
    rows: list[tuple[int, str, str, int]],
) -> None:
    cart, products = cart_of(rows)
    lines = quoted(cart, 7, products, Seen(7))
    ids = iter(range(10_000))
    counted = {each.variant for at, each in enumerate(lines) if at % 2}
    made = [placed(part, "c", "bea", "tok", counted, NOW, lambda: str(next(ids))) for part in parts_of(lines, products)]
    assert len({(each.order.store, each.order.currency) for each in made}) == len(made)
    assert {(row[1], row[2]) for row in rows} == {(each.order.store, each.order.currency) for each in made}
    assert sum(len(each.order.lines) for each in made) == len(rows)
    for each in made:
        own = [row for row in rows if (row[1], row[2]) == (each.order.store, each.order.currency)]
        cost = sum(price * count for price, _, _, count in own)
        assert each.payment.amount_minor == each.order.total_minor == cost
        assert {item.variant for item in each.reservation.items} <= counted
        assert each.reservation.expires_ms > each.order.pay_by_ms > NOW
        assert [event.order for event in each.events] == [each.order.id]


@given(CARTS, st.integers(0, 11), st.integers(1, 20_000), st.booleans())
def test_nobody_pays_more_than_was_seen_and_whoever_has_seen_the_difference_pays_what_it_is_now(
    rows: list[tuple[int, str, str, int]], at: int, price: int, has_seen: bool
) -> None:
    cart, products = cart_of(rows)
    changed = f"p{at % len(rows)}"
    before = products[changed].variants[0]
    products[changed] = replace(products[changed], variants=(replace(before, price_minor=price),))
    name = changes_id(revalidate(cart, products))
    seen = Seen(1, name if has_seen else None)
    if price > before.price_minor and not has_seen:
        with pytest.raises(Differs) as refused:
            quoted(cart, 1, products, seen)
        assert refused.value.changes_id == name
        return
    cost = {each.variant: each.seen.price_minor for each in quoted(cart, 1, products, seen)}
    assert cost[before.id] == price


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9)), min_size=1, max_size=8), st.data())
def test_stock_is_enough_for_all_of_an_order_or_for_none_of_it(wants: list[tuple[int, int]], data: Any) -> None:
    sold = {at: product(at, 5, "a", "EUR") for at in range(6)}
    there = {f"v{at}": data.draw(st.integers(0, 12)) for at in range(4)}  # the others are not counted
    lines = [line(sold[at], count) for at, count in wants]
    asked: dict[str, int] = {}
    for at, count in wants:
        asked[f"v{at}"] = asked.get(f"v{at}", 0) + count
    short = {key: (count, there[key]) for key, count in asked.items() if key in there and count > there[key]}
    if not short:
        check_stock(lines, there)
        return
    with pytest.raises(OutOfStock) as refused:
        check_stock(lines, there)
    assert {each.variant: (each.wanted, each.left) for each in refused.value.lacking} == short


@given(st.integers(0, 50), st.integers(0, 50), st.integers(-60, 60))
def test_a_level_never_falls_below_what_is_reserved(on_hand: int, reserved: int, change: int) -> None:
    level = Level("v", "p", "a", on_hand, min(on_hand, reserved))
    if change < 0 and on_hand + change < level.reserved:
        with pytest.raises(BelowReserved):
            moved(level, change)
        return
    after = moved(level, change)
    assert (after.on_hand, after.reserved) == (on_hand + change, level.reserved)
    assert after.available >= 0


def test_what_buyers_are_shown_is_none_few_or_many() -> None:
    shown = [availability_of(count) for count in (-1, 0, 1, 5, 6, 1000)]
    assert [each.value for each in shown] == ["none", "none", "few", "few", "many", "many"]


@pytest.mark.parametrize("state", ReservationState)
@pytest.mark.parametrize("order", [*OrderState, None])
@pytest.mark.parametrize("late", [-1, 0, 1])
def test_a_reservation_is_over_when_its_time_has_passed_or_its_order_was_cancelled(
    state: ReservationState, order: OrderState | None, late: int
) -> None:
    reservation = Reservation("o", "a", (OrderedItem("v", 1),), state, NOW)
    over = is_over(reservation, order, NOW + late)
    assert over == (state is ReservationState.HELD and (late >= 0 or order is OrderState.CANCELLED))
    after = released(reservation)
    assert after.state is (ReservationState.RELEASED if state is ReservationState.HELD else state)
    assert released(after) == after


ORDERS = st.builds(
    lambda counts, state: Order(
        "o", "a", "bea", "c", "EUR",
        tuple(OrderLine(at, f"p{at}", f"v{at}", "", count, 100 + at) for at, count in enumerate(counts, 1)),
        state, NOW, paid_minor=sum((100 + at) * count for at, count in enumerate(counts, 1)),
    ),
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.sampled_from(OrderState),
)  # fmt: skip
FULFILMENTS = st.builds(Fulfilment, st.sampled_from(FulfilmentState))
REFUNDS = st.lists(
    st.tuples(st.sampled_from(Party), st.dictionaries(st.integers(0, 5), st.integers(0, 10), max_size=3)), max_size=8
)


@given(ORDERS, FULFILMENTS, REFUNDS)
def test_in_any_sequence_no_more_is_refunded_or_restocked_than_was_bought(
    order: Order, fulfilment: Fulfilment, asked: list[tuple[Party, dict[int, int]]]
) -> None:
    paid, restocked = order.total_minor, 0
    for who, counts in asked:
        try:
            decision = refunded(order, fulfilment, who, counts, NOW)
        except (NotPossible, UnknownLine):
            continue
        assert who is Party.SELLER or fulfilment.state is FulfilmentState.UNFULFILLED
        order = decision.order
        for event in decision.events:
            assert isinstance(event.payload, OrderRefundRequested)
            restocked += sum(item.quantity for item in event.payload.restocked)
    back = sum(refund.amount_minor for refund in order.refunds)
    assert back == sum(each.returned * each.unit_minor for each in order.lines) <= paid
    gone = fulfilment.state in (FulfilmentState.SHIPPED, FulfilmentState.DELIVERED)
    assert restocked == (0 if gone else sum(each.returned for each in order.lines))


@given(ORDERS, FULFILMENTS, st.sampled_from(Party))
def test_an_order_is_cancelled_exactly_where_that_is_said_to_be_possible(
    order: Order, fulfilment: Fulfilment, who: Party
) -> None:
    possible = can_cancel(order, fulfilment, who)
    try:
        decision = cancelled(order, fulfilment, who, NOW)
    except NotPossible:
        assert not possible or order.state is OrderState.PENDING
        return
    assert decision.order.reason is not None
    assert decision.order.reason.value == who.value
    assert decision.order.state in (OrderState.CANCELLED, OrderState.REFUNDING)
    assert possible or order.state is OrderState.PENDING


@given(ORDERS, st.lists(st.sampled_from(FulfilmentState), max_size=8))
def test_goods_that_are_gone_do_not_come_back_by_being_said_so(order: Order, said: list[FulfilmentState]) -> None:
    there, gone = Fulfilment(), False
    for state in said:
        try:
            there = moved_on(order, there, state, "", "", NOW)
        except NotPossible:
            continue
        assert order.state is OrderState.CONFIRMED or there == Fulfilment()
        assert not (gone and state in (FulfilmentState.UNFULFILLED, FulfilmentState.PACKED))
        gone = gone or state in (FulfilmentState.SHIPPED, FulfilmentState.DELIVERED)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def rewritten(value: Any) -> Any:
    """The same value with its fields the other way round and each number as a float."""
    if isinstance(value, dict):
        return {name: rewritten(value[name]) for name in reversed(value)}
    if isinstance(value, list):
        return [rewritten(each) for each in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


@given(JSON, JSON)
def test_a_request_is_known_by_its_meaning_and_not_by_how_it_is_written(body: Any, other: Any) -> None:
    one = fingerprint("POST", "/v1/orders", {"order": "1"}, body)
    assert fingerprint("POST", "/v1/orders", {"order": "1"}, json.loads(json.dumps(rewritten(body), indent=1))) == one
    same = json.dumps(other, sort_keys=True) == json.dumps(body, sort_keys=True)
    assert (fingerprint("POST", "/v1/orders", {"order": "1"}, other) == one) == same
    assert fingerprint("PUT", "/v1/orders", {"order": "1"}, body) != one
    assert fingerprint("POST", "/v1/refunds", {"order": "1"}, body) != one
    assert fingerprint("POST", "/v1/orders", {"order": "2"}, body) != one


@given(st.booleans(), st.booleans(), st.integers(-2, 2))
def test_a_key_has_one_of_four_outcomes(same: bool, done: bool, late: int) -> None:
    kept = Attempt("a", "x", NOW, StoredAnswer(201, "{}") if done else None)
    found = next_of(kept, "a" if same else "b", NOW + late)
    if not same:
        assert found is Next.OTHER
    elif done:
        assert found is Next.ANSWER
    else:
        assert found is (Next.WAIT if late < 0 else Next.WORK)
    assert next_of(None, "a", NOW + late) is Next.WORK


@given(st.text(max_size=300))
def test_a_key_is_visible_ascii_of_a_bounded_length(text: str) -> None:
    good = 1 <= len(text) <= 255 and all("!" <= each <= "~" for each in text)
    try:
        assert checked_key(text) == text
        assert good
    except InvalidKey:
        assert not good


@given(st.text("ab:", min_size=1, max_size=4), st.text("ab:", min_size=1, max_size=4))
def test_two_callers_never_share_a_key(key: str, other: str) -> None:
    assert row_id("user:a", key) != row_id("user:b", key)
    assert row_id("user:a", key) != row_id("key:a", key)
    assert (row_id("user:a", key) == row_id("user:a", other)) == (key == other)
