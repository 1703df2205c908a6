"""The page Catalog: what the store sells, how it does, and what needs the seller."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import streamlit as st

from connectors.errors import Unavailable
from connectors.insights import QueryTooLarge, Scope
from connectors.mongo.store_products import MAX_LISTED
from dashboards.data import backend
from dashboards.ui import formats, shell
from marketplace.catalog.products import Availability, Product, ProductState
from marketplace.money import shown_amount

DAYS: Final = 30
TO_CART: Final = "add-to-cart"
_MAX_VALUES: Final = 10_000
_EVERYTHING: Final = "All"


@dataclass(frozen=True)
class Line:
    """A product with its numbers of the last thirty days.

    Attributes:
        product: The product.
        views: Views of its pages.
        carts: How often it was put into a cart; None where that would take too much reading.
        is_new: Whether it has not been there for as long.
    """

    product: Product
    views: int
    carts: int | None
    is_new: bool = False


NEEDS: Final[Mapping[str, Callable[[Line], bool]]] = {
    "Needs a picture": lambda line: not line.product.images,
    "Has no stock": lambda line: line.product.availability is Availability.NONE,
    f"Not seen in {DAYS} days": lambda line: line.views == 0 and not line.is_new,
}
"""What a seller should look at, of products that buyers can see."""


def show() -> None:
    """Draw the page."""
    frame = shell.current_frame()
    try:
        products = backend.products(frame.store.slug)
    except Unavailable:
        st.warning("**The products cannot be read right now.** This page tries again.", icon=":material/cloud_off:")
        return
    if not products:
        st.info(
            "No products yet. Put them up one by one or as a CSV file with the REST API: "
            "`POST /v1/stores/{store}/products` and `POST /v1/stores/{store}/product-imports`.",
            icon=":material/inventory_2:",
        )
        return
    since_ms = int((frame.now - timedelta(days=DAYS)).timestamp() * 1000)
    lines = lines_of(products, *_numbers(frame), since_ms)
    _tiles(lines)
    chosen = _choose(lines)
    shown = [line for line in lines if _is_chosen(line, chosen)]
    if not shown:
        st.success("Nothing of that kind.", icon=":material/check_circle:")
        return
    with st.container(key="catalog"):
        st.dataframe(
            [_row(line) for line in shown],
            hide_index=True,
            placeholder="",
            height=min(640, 38 + 35 * len(shown)),
            column_config=_COLUMNS,
        )
    newest = f", the newest {MAX_LISTED:,} of them" if len(products) == MAX_LISTED else ""
    st.caption(f"{formats.several(len(shown), 'product')}{newest}; views and carts of the last {DAYS} days.")


def lines_of(
    products: Sequence[Product], views: Mapping[str, int], carts: Mapping[str, int] | None, since_ms: int
) -> list[Line]:
    """Products with their numbers, the most seen first.

    Args:
        products: Of one store.
        views: By what pages called the product: its id, its slug or a variant's SKU.
        carts: In the same way; None where they are not known.
        since_ms: When the numbers begin, epoch milliseconds.
    """
    lines = []
    for product in products:
        names = {product.id, product.slug, *(variant.sku for variant in product.variants)}
        put = None if carts is None else sum(carts.get(name, 0) for name in names)
        seen = sum(views.get(name, 0) for name in names)
        lines.append(Line(product, seen, put, product.created_at > since_ms))
    return sorted(lines, key=lambda line: (-line.views, line.product.title))


def needs_of(line: Line) -> list[str]:
    """What the seller should look at; nothing of products that buyers cannot see."""
    return [need for need, is_so in NEEDS.items() if line.product.state is ProductState.ACTIVE and is_so(line)]


def _numbers(frame: shell.Frame) -> tuple[dict[str, int], dict[str, int] | None]:
    today = frame.wall.replace(hour=0, minute=0, second=0, microsecond=0)
    scope = Scope(frame.store.slug, frame.zone, today - timedelta(days=DAYS - 1), today + timedelta(days=1))
    backend.targets_of_products.submit(scope, TO_CART)
    seen = backend.breakdowns(scope, (("product", "views"),), _MAX_VALUES)["product"]
    views = {row.value: row.numbers.views for row in seen.rows}
    try:
        carts = backend.targets_of_products(scope, TO_CART)
    except QueryTooLarge:
        return views, None
    return views, {name: found.actions for name, found in carts.items()}


def _tiles(lines: Sequence[Line]) -> None:
    for_sale = sum(line.product.state is ProductState.ACTIVE for line in lines)
    tiles = {
        "Products": (len(lines), "All, also drafts and archived ones."),
        "For sale": (for_sale, "Buyers can see them."),
        f"Page views, {DAYS} days": (sum(line.views for line in lines), formats.DEFINITIONS["views"]),
        f"Into carts, {DAYS} days": (_sum(line.carts for line in lines), f"Clicks on `{TO_CART}`."),
        "Need you": (sum(bool(needs_of(line)) for line in lines), "Without a picture, without stock, or not seen."),
    }
    with st.container(horizontal=True):
        for label, (number, meaning) in tiles.items():
            text = formats.NOTHING if number is None else formats.count(number)
            st.metric(label, text, border=True, help=meaning)


def _sum(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _choose(lines: Sequence[Line]) -> str:
    found = [need for line in lines for need in needs_of(line)]
    labels = {_EVERYTHING: f"{_EVERYTHING} ({len(lines)})", **{need: f"{need} ({found.count(need)})" for need in NEEDS}}
    chosen = st.pills(
        "Show", list(labels), default=_EVERYTHING, format_func=labels.__getitem__, key="needs",
        label_visibility="collapsed",
    )  # fmt: skip
    return str(chosen or _EVERYTHING)


def _is_chosen(line: Line, chosen: str) -> bool:
    return chosen == _EVERYTHING or chosen in needs_of(line)


def _row(line: Line) -> dict[str, Any]:
    product = line.product
    prices = {variant.price_minor for variant in product.variants}
    start = "from " if len(prices) > 1 else ""
    return {
        "title": product.title,
        "state": product.state.value.capitalize(),
        "price": start + shown_amount(product.lowest_minor, product.currency),
        "stock": product.availability.value.capitalize(),
        "views": line.views,
        "carts": line.carts,
        "rating": product.rating,
        "reviews": product.reviews,
        "needs": ", ".join(needs_of(line)),
    }


_COLUMNS: Final = {
    "title": st.column_config.TextColumn("Product", width="medium"),
    "state": st.column_config.TextColumn("State", width="small"),
    "price": st.column_config.TextColumn("Price", width="small"),
    "stock": st.column_config.TextColumn("Stock", width="small"),
    "views": st.column_config.NumberColumn("Page views", format="localized", help=formats.DEFINITIONS["views"]),
    "carts": st.column_config.NumberColumn("Into carts", format="localized", help=f"Clicks on `{TO_CART}`."),
    "rating": st.column_config.NumberColumn("Rating", format="%.1f ★", help="The mean of the visible reviews."),
    "reviews": st.column_config.NumberColumn("Reviews", format="localized"),
    "needs": st.column_config.TextColumn("Needs you", width="medium"),
}
