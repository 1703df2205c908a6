"""Laws of carts: limits hold, a merge loses and doubles nothing, and nothing changes before its buyer has seen it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.carts.cart import (
    Cart,
    CartError,
    CartFull,
    CartPolicy,
    ChangedAgain,
    add,
    merge,
    put,
    remove,
    seen_of,
    set_quantity,
    totals,
)
from marketplace.carts.changes import ChangeKind, accept, changes_id, orderable, revalidate
from marketplace.catalog.products import Availability, Option, Product, ProductState, Variant

POLICY = CartPolicy(max_lines=4, max_quantity=5)
KEYS = "abcdefgh"


def made(key: str, price: int = 100, **fields: object) -> Product:
    """A product of two variants, ``<key>0`` and ``<key>1``."""
    availability = fields.pop("availability", Availability.MANY)
    assert isinstance(availability, Availability)
    variants = tuple(
        Variant(f"{key}{n}", f"sku-{key}{n}", (f"size {n}",), price + n, None, availability) for n in (0, 1)
    )
    product = Product(
        id=key, store=f"store-{key in 'abcd'}", slug=f"slug-{key}", title=f"Title {key}", description="",
        state=ProductState.ACTIVE, currency="EUR", variants=variants,
        options=(Option("Size", ("size 0", "size 1")),),
    )  # fmt: skip
    return replace(product, **fields)  # type: ignore[arg-type]  # fields of products alone


MARKET = {key: made(key) for key in KEYS}
VARIANTS = st.sampled_from([f"{key}{n}" for key in KEYS for n in (0, 1)])
STEPS = st.lists(st.tuples(st.sampled_from(["add", "put", "set", "remove"]), VARIANTS, st.integers(1, 7)), max_size=25)


def stepped(cart: Cart, what: str, variant: str, quantity: int) -> Cart:
    product = MARKET[variant[0]]
    if what == "remove":
        return remove(cart, variant)
    if what == "set":
        return set_quantity(cart, variant, quantity, POLICY)
    return (add if what == "add" else put)(cart, product, variant, quantity, 7, POLICY)


@st.composite
def carts(draw: st.DrawFn, lines: int = POLICY.max_lines) -> Cart:
    variants = draw(st.lists(VARIANTS, max_size=lines, unique=True))
    cart = Cart()
    for variant in variants:
        quantity = draw(st.integers(1, POLICY.max_quantity))
        cart = put(cart, MARKET[variant[0]], variant, quantity, draw(st.integers(0, 9)), replace(POLICY, max_lines=99))
    return cart


@st.composite
def markets(draw: st.DrawFn) -> dict[str, Product]:
    """What may have become of the products."""
    now = {}
    for key in KEYS:
        fate = draw(st.sampled_from(["same", "same", "gone", "draft", "price", "none", "title", "one variant", "yen"]))
        changed = {
            "same": lambda key=key: made(key),
            "draft": lambda key=key: made(key, state=ProductState.DRAFT),
            "price": lambda key=key: made(key, 250, version=2),
            "none": lambda key=key: made(key, availability=Availability.NONE),
            "title": lambda key=key: made(key, title="<b>New</b>", version=3),
            "one variant": lambda key=key: replace(made(key), variants=made(key).variants[:1]),
            "yen": lambda key=key: made(key, currency="JPY"),
        }
        if fate in changed:
            now[key] = changed[fate]()
    return now


@given(STEPS)
def test_whatever_is_put_in_and_taken_out_the_limits_hold_and_a_refusal_changes_nothing(
    steps: list[tuple[str, str, int]],
) -> None:
    cart, pieces = Cart(), dict[str, int]()
    for what, variant, quantity in steps:
        there = pieces.get(variant)
        wanted = (there or 0) + quantity if what == "add" else quantity
        try:
            cart = stepped(cart, what, variant, quantity)
        except CartError:
            refused = there is None if what in ("remove", "set") else there is None and len(pieces) == POLICY.max_lines
            assert refused or (what != "remove" and wanted > POLICY.max_quantity)
        else:
            if what == "remove":
                del pieces[variant]
            else:
                pieces[variant] = wanted
        assert {line.variant: line.quantity for line in cart.lines} == pieces
        assert len(cart.lines) <= POLICY.max_lines
        assert all(1 <= line.quantity <= POLICY.max_quantity for line in cart.lines)


@given(VARIANTS, st.integers(1, 5), carts(3))
def test_to_put_is_the_same_once_and_twice(variant: str, quantity: int, cart: Cart) -> None:
    once = put(cart, MARKET[variant[0]], variant, quantity, 7, POLICY)
    assert put(once, MARKET[variant[0]], variant, quantity, 8, POLICY) == once


@given(carts(), carts())
def test_a_merge_loses_no_line_doubles_none_and_reports_each_piece_that_it_leaves_out(own: Cart, guest: Cart) -> None:
    merged = merge(own, guest, POLICY)
    both = Counter({line.variant: line.quantity for line in own.lines})
    both.update({line.variant: line.quantity for line in guest.lines})
    kept = Counter(line.variant for line in merged.cart.lines)
    assert kept == Counter(set(both))
    left_out = {capped.variant: (capped.wanted, capped.kept) for capped in merged.capped}
    for line in merged.cart.lines:
        wanted = both[line.variant]
        assert line.quantity == min(wanted, POLICY.max_quantity)
        assert left_out.pop(line.variant, None) == ((wanted, line.quantity) if wanted > line.quantity else None)
    assert left_out == {}
    assert [line.variant for line in merged.cart.lines][: len(own.lines)] == [line.variant for line in own.lines]
    assert len(merged.cart.lines) <= 2 * POLICY.max_lines


@given(carts())
def test_a_merge_with_an_empty_cart_changes_nothing(cart: Cart) -> None:
    assert merge(cart, Cart(), POLICY).cart == cart == merge(Cart(), cart, POLICY).cart


@given(carts(9), carts())
def test_a_cart_over_its_limit_takes_no_further_line_and_still_its_own_ones(own: Cart, guest: Cart) -> None:
    new = {line.variant for line in guest.lines} - {line.variant for line in own.lines}
    if len(own.lines) > POLICY.max_lines and new:
        with pytest.raises(CartFull):
            merge(own, guest, POLICY)
    else:
        assert len(merge(own, guest, POLICY).cart.lines) == len(own.lines) + len(new)


@given(carts(), carts())
def test_of_a_line_that_both_have_what_was_seen_last_is_kept(own: Cart, guest: Cart) -> None:
    later = {key: made(key, 777, version=9) for key in KEYS}
    newer = Cart(
        tuple(
            replace(line, seen=seen_of(later[line.product], variant))
            for line in guest.lines
            if (variant := later[line.product].variant(line.variant))
        )
    )
    merged = merge(own, newer, POLICY).cart
    for line in newer.lines:
        found = merged.line(line.variant)
        assert found is not None
        assert found.seen == line.seen


@settings(max_examples=200)
@given(carts(8), markets())
def test_what_became_of_products_is_listed_and_nothing_else(cart: Cart, now: dict[str, Product]) -> None:
    found = {(change.variant, change.kind): (change.before, change.after) for change in revalidate(cart, now)}
    expected: dict[tuple[str, ChangeKind], tuple[object, object]] = {}
    for line in cart.lines:
        product = now.get(line.product)
        variants = {variant.id: variant for variant in product.variants} if product else {}
        if product is None or product.state != "active" or line.variant not in variants:
            expected[line.variant, ChangeKind.GONE] = None, None
            continue
        variant, was = variants[line.variant], MARKET[line.product]
        if product.title != was.title:
            expected[line.variant, ChangeKind.TITLE] = was.title, product.title
        if product.currency != "EUR":
            expected[line.variant, ChangeKind.CURRENCY] = "EUR", product.currency
        if variant.availability == "none":
            expected[line.variant, ChangeKind.AVAILABILITY] = "many", "none"
        if variant.price_minor >= 250:
            expected[line.variant, ChangeKind.PRICE] = variant.price_minor - 150, variant.price_minor
    assert found == expected


@given(carts(8), markets())
def test_what_was_accepted_is_different_no_more_and_costs_what_it_costs_now(
    cart: Cart, now: dict[str, Product]
) -> None:
    shown = changes_id(revalidate(cart, now)) or ""
    accepted = accept(cart, now, shown)
    assert revalidate(accepted, now) == ()
    assert accept(accepted, now, shown) == accepted
    assert {line.variant: line.quantity for line in accepted.lines} == {
        line.variant: line.quantity
        for line in cart.lines
        if line.product in now and now[line.product].state == "active" and now[line.product].variant(line.variant)
    }


@given(carts(8), markets(), markets())
def test_nothing_is_accepted_that_was_not_shown(cart: Cart, shown: dict[str, Product], now: dict[str, Product]) -> None:
    seen, different = revalidate(cart, shown), revalidate(cart, now)
    if not different or seen == different:
        assert revalidate(accept(cart, now, changes_id(seen) or ""), now) == ()
    else:
        with pytest.raises(ChangedAgain):
            accept(cart, now, changes_id(seen) or "")


@given(carts(8), markets())
def test_totals_are_the_sums_of_the_lines_of_which_there_is_something(cart: Cart, now: dict[str, Product]) -> None:
    sums: Counter[tuple[str, str]] = Counter()
    for line in cart.lines:
        product = now.get(line.product)
        variants = {each.id: each for each in product.variants} if product and product.state == "active" else {}
        if line.variant in variants and variants[line.variant].availability != "none":
            sums[line.store, line.seen.currency] += line.quantity * line.seen.price_minor
    found = totals(orderable(cart, now))
    assert {(each.store, each.currency): each.total_minor for each in found} == dict(sums)
    assert sum(each.quantity for each in found) <= sum(line.quantity for line in cart.lines)


def test_a_yen_price_and_a_dinar_price_are_their_minor_units_and_never_scaled() -> None:
    yen, dinar = made("a", 1624, currency="JPY"), made("b", 1234, currency="KWD")
    cart = put(put(Cart(), yen, "a0", 3, 0), dinar, "b0", 3, 0)
    assert [(each.currency, each.total_minor) for each in totals(cart.lines)] == [("JPY", 4872), ("KWD", 3702)]
