"""The page Stock: what is there of each variant, how long it lasts, and what needs the seller."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from math import inf
from typing import Final

import streamlit as st

from connectors.errors import Unavailable
from connectors.mongo.sagas.store_stock import MAX_LEVELS
from connectors.mongo.store_products import MAX_LISTED
from dashboards.data import backend, current
from dashboards.screens import variant
from dashboards.ui import formats, shell
from dashboards.ui.header import change, plain
from dashboards.ui.rows import ListRow, Tag, show_rows
from dashboards.ui.sending import forget_said, show_said
from marketplace.catalog.products import Availability, Product, ProductState
from marketplace.identity.roles import Permission
from marketplace.inventory.levels import Level

DAYS: Final = 28
SOON_DAYS: Final = 7
"""What lasts for less is to be ordered."""

_ROWS: Final = 50
_EVERYTHING: Final = "All"
_DOT: Final = " \N{MIDDLE DOT} "
_SHOWN: Final[Mapping[Availability, str]] = {
    Availability.MANY: "\N{LEFT DOUBLE QUOTATION MARK}In stock\N{RIGHT DOUBLE QUOTATION MARK}",
    Availability.FEW: "\N{LEFT DOUBLE QUOTATION MARK}Only a few left\N{RIGHT DOUBLE QUOTATION MARK}",
    Availability.NONE: "\N{LEFT DOUBLE QUOTATION MARK}Sold out\N{RIGHT DOUBLE QUOTATION MARK}",
}


@dataclass(frozen=True)
class Item:
    """A variant of a product.

    Attributes:
        variant: Its id.
        product: The id of its product.
        title: Of the product; what it is called where that is gone.
        about: Its options and its SKU.
        level: What is there; None where it is not counted.
        sold: How many were sold in the last days; None while that is not known.
        for_sale: Whether buyers can see it.
        shown: What its product says by hand to buyers; what is counted is shown by its level.
    """

    variant: str
    product: str
    title: str
    about: str
    level: Level | None
    sold: int | None = None
    for_sale: bool = True
    shown: Availability = Availability.MANY

    @property
    def days_left(self) -> float | None:
        """How long it lasts if it goes on being sold like that; None where that cannot be said."""
        if self.level is None or not self.sold:
            return None
        return max(0, self.level.available) / (self.sold / DAYS)


def _is_gone(item: Item) -> bool:
    return item.level is not None and item.level.available <= 0


def _is_low(item: Item) -> bool:
    return item.level is not None and item.level.is_low and not _is_gone(item)


def _ends_soon(item: Item) -> bool:
    left = item.days_left
    return left is not None and left < SOON_DAYS and not _is_gone(item)


KINDS: Final[Mapping[str, Callable[[Item], bool]]] = {
    "None left": _is_gone,
    "Low": _is_low,
    f"Gone within {SOON_DAYS} days": _ends_soon,
    "Reserved now": lambda item: item.level is not None and item.level.reserved > 0,
    "Not counted": lambda item: item.level is None,
}


def show() -> None:
    """Draw the page."""
    frame = shell.current_frame()
    if not current.viewer().may(frame.store.slug, Permission.READ_STOCK):
        st.info("Your role in this store does not include its stock.", icon=":material/lock:")
        return
    try:
        items = _items(frame)
    except Unavailable:
        st.warning(
            "**The stock cannot be read right now.** Nothing is lost. This page tries again.",
            icon=":material/cloud_off:",
        )
        return
    if frame.view.variant:
        variant.show(frame, next((item for item in items if item.variant == frame.view.variant), None))
        return
    show_said("stock-gone")
    if not items:
        st.info(
            "**No products yet.** Put them up one by one or as a CSV file with the REST API: "
            "`POST /v1/stores/{store}/products` and `POST /v1/stores/{store}/product-imports`. Each of their variants "
            "then stands here, and is counted from its first delivery on.",
            icon=":material/inventory:",
        )
        return
    _list(items)


def items_of(products: Sequence[Product], levels: Mapping[str, Level], sold: Mapping[str, int] | None) -> list[Item]:
    """All variants, what needs the seller first.

    Args:
        products: Of one store.
        levels: By variant; those without one are not counted.
        sold: By variant, in the last days; None while that is not known.
    """
    items = []
    for product in products:
        for each in product.variants:
            chosen = [
                f"{option.name}: {value}" for option, value in zip(product.options, each.values, strict=False)
            ]  # fmt: skip
            about = _DOT.join((*chosen, each.sku))
            level = levels.get(each.id)
            known = None if sold is None else sold.get(each.id, 0)
            seen = product.state is ProductState.ACTIVE
            items.append(Item(each.id, product.id, product.title, about, level, known, seen, each.availability))
    there = {item.variant for item in items}
    for own, level in levels.items():
        if own not in there:
            known = None if sold is None else sold.get(own, 0)
            title = "A product that is not in the list any more"
            items.append(Item(own, level.product, title, own, level, known, for_sale=False))
    return sorted(items, key=_urgency)


def _urgency(item: Item) -> tuple[int, float, str, str]:
    """What is not sold in any case comes last, and among the others what is gone first."""
    rank = next((at for at, is_so in enumerate((_is_gone, _is_low, _ends_soon)) if is_so(item)), 3)
    if item.level is None:
        rank = 4
    left = item.days_left
    return rank + (0 if item.for_sale else 10), inf if left is None else left, item.title.casefold(), item.about


def _items(frame: shell.Frame) -> list[Item]:
    slug = frame.store.slug
    # Of whole hours, so that all who look within one share the answer.
    since = frame.now.replace(minute=0, second=0, microsecond=0) - timedelta(days=DAYS)
    asked = backend.sold.submit(slug, int(since.timestamp() * 1_000))
    backend.stock_levels.submit(slug)
    products, levels = backend.products(slug), backend.stock_levels(slug)
    try:
        sold = asked.result(1.0)
    except (TimeoutError, Unavailable):
        sold = None
    return items_of(products, levels, sold)


def open_variant(own: str) -> None:
    """Go to a variant; empty to go back to the list."""
    change(partial(replace, variant=own))
    forget_said()
    st.session_state["redraw"] = True


def _list(items: Sequence[Item]) -> None:
    counted = [item.level for item in items if item.level is not None]
    tiles = {
        "Counted": (f"{len(counted):,} of {len(items):,}", "Variants whose stock is counted, of all that there are."),
        "None left": (formats.count(sum(map(_is_gone, items))), "Nobody can order them now."),
        "Low": (formats.count(sum(map(_is_low, items))), "At or below the number that you have set for each."),
        "Reserved now": (
            formats.count(sum(level.reserved for level in counted)),
            "Pieces of orders that wait for their payment, or are just being paid: others cannot order them.",
        ),
        "On hand": (formats.count(sum(level.on_hand for level in counted)), "Pieces, reserved ones too."),
    }
    with st.container(horizontal=True, key="tiles"):
        for label, (text, meaning) in tiles.items():
            st.metric(label, text, border=True, help=meaning)
    wanted = st.text_input(
        "Search", key="stock-search", placeholder="Product, option or SKU", icon=":material/search:",
        label_visibility="collapsed",
    )  # fmt: skip
    text = str(wanted or "").strip().casefold()
    found = [item for item in items if not text or text in f"{item.title} {item.about}".casefold()]
    labels = labels_of(found)
    chosen = st.pills(
        "Show", list(labels), default=_EVERYTHING, key="stock-kind", label_visibility="collapsed",
        format_func=labels.__getitem__,
    )  # fmt: skip
    kind = KINDS.get(str(chosen))
    shown = [item for item in found if kind is None or kind(item)]
    if not shown and text and not found:
        st.info(f"No variant is found by {plain(text)}.", icon=":material/search_off:")
        return
    if not shown:
        st.success("Nothing of that kind.", icon=":material/check_circle:")
        return
    asked = (str(chosen), text)
    if st.session_state.get("stock-asked") != asked:
        st.session_state["stock-asked"], st.session_state["stock-rows"] = asked, _ROWS
    rows = int(st.session_state["stock-rows"])
    with st.container(border=True):
        show_rows("stock", "Variants", [row_of(item) for item in shown[:rows]], open_variant)
    if len(shown) > rows:
        st.button(f"Show more ({len(shown) - rows:,})", key="stock-more", icon=":material/expand_more:", on_click=_more)
    limits = [f"of the newest {MAX_LISTED:,} products"] if len({item.product for item in items}) >= MAX_LISTED else []
    limits += [f"of {MAX_LEVELS:,} counted ones at most"] if len(counted) >= MAX_LEVELS else []
    how_many = ", ".join([formats.several(len(shown), "variant"), *limits])
    uncounted = " Of what is not counted buyers can order any number, until its product says that it is sold out."
    some = any(item.level is None for item in shown)
    st.caption(f"{how_many}; days left by sales of the last {DAYS} days.{uncounted if some else ''}")


def labels_of(items: Sequence[Item]) -> dict[str, str]:
    """What the kinds of variants are called, with how many of these are of each."""
    counts = {_EVERYTHING: len(items), **{name: sum(map(is_so, items)) for name, is_so in KINDS.items()}}
    return {name: f"{name} ({count:,})" for name, count in counts.items()}


def _more() -> None:
    st.session_state["stock-rows"] = int(st.session_state.get("stock-rows", _ROWS)) + 4 * _ROWS


def tags_of(item: Item) -> tuple[Tag, ...]:
    """How it is with a variant, in a word each."""
    if item.level is None:
        return (Tag("Not counted"),)
    tags = []
    if _is_gone(item):
        tags.append(Tag("None left", "bad" if item.for_sale else "quiet"))
    elif _is_low(item):
        tags.append(Tag("Low", "wait"))
    left = item.days_left
    if left is not None and not _is_gone(item):
        days = "Less than a day left" if left < 1 else f"{left:,.0f} {'day' if round(left) == 1 else 'days'} left"
        tags.append(Tag(days if left < 365 else "More than a year left", "wait" if left < SOON_DAYS else "good"))
    if not tags:
        tags.append(Tag("In stock", "good"))
    return tuple(tags)


def row_of(item: Item) -> ListRow:
    """A variant as a row of the list."""
    level = item.level
    hidden = "" if item.for_sale else "not for sale"
    about = _DOT.join(filter(None, (item.about, hidden)))
    if level is None:
        shown = f"buyers see {_SHOWN[item.shown]}" if item.for_sale else ""
        return ListRow(item.variant, item.title, about, tags_of(item), formats.NOTHING, shown)
    reserved = f", {level.reserved:,} reserved" if level.reserved else ""
    return ListRow(
        item.variant, item.title, about, tags_of(item), f"{level.available:,}", f"{level.on_hand:,} on hand{reserved}"
    )  # fmt: skip
