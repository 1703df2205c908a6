"""The page Orders: what was ordered in a store, and what of it needs the seller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

import streamlit as st

from connectors.errors import Unavailable
from connectors.mongo.newest_pages import NewestPlace
from connectors.mongo.sagas.sold_orders import Group, Only, SoldOrder
from connectors.mongo.sagas.store_orders import MAX_SEARCH_CHARS, TooMuch
from dashboards.data import backend, current
from dashboards.data.periods import Range
from dashboards.screens import order
from dashboards.ui import formats, shell
from dashboards.ui.header import change, plain
from dashboards.ui.order_words import tags_of
from dashboards.ui.rows import ListRow, show_rows
from dashboards.ui.sending import forget_said
from dashboards.ui.times import on_whose_clock, when
from marketplace.identity.roles import Permission
from marketplace.money import shown_amount
from marketplace.notifications.words import order_code
from marketplace.sagas.order_state import OrderState

_EVERYTHING: Final = "All"
STUCK: Final = "Stuck"
TO_SEND: Final = "To send"
_SINCE_EVER: Final = 0
_MAX_PAGES: Final = 200
_SUMS_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Kind:
    """Orders that are shown together.

    Attributes:
        state: Their state.
        gone: Whether their goods were sent; None where that does not matter.
    """

    state: OrderState
    gone: bool | None = None

    def count(self, groups: Sequence[Group]) -> int:
        """How many there are."""
        return sum(
            group.count for group in groups if group.state is self.state and self.gone in (None, group.gone)
        )  # fmt: skip


KINDS: Final[Mapping[str, Kind]] = {
    TO_SEND: Kind(OrderState.CONFIRMED, gone=False),
    "Sent": Kind(OrderState.CONFIRMED, gone=True),
    "Waiting for payment": Kind(OrderState.PENDING),
    "In progress": Kind(OrderState.PAID),
    "Money on its way back": Kind(OrderState.REFUNDING),
    "Cancelled": Kind(OrderState.CANCELLED),
}
"""Every order is of exactly one of these."""


def show() -> None:
    """Draw the page."""
    frame = shell.current_frame()
    if not current.viewer().may(frame.store.slug, Permission.READ_ORDERS):
        st.info(
            "**Orders are for managers and owners of the store.** They say who has bought what, and where people live. "
            "An owner of the store can change your role.",
            icon=":material/lock:",
        )
    elif frame.view.order:
        order.show(frame, frame.view.order)
    else:
        _list(frame)


def open_order(order_id: str) -> None:
    """Go to an order; empty to go back to the list."""
    change(partial(replace, order=order_id))
    forget_said()
    st.session_state["redraw"] = True


def _open_notices() -> None:
    st.session_state["go-to"] = "notifications"
    st.session_state["redraw"] = True


def days_of(frame: shell.Frame) -> tuple[int, int]:
    """When the chosen days begin and end, epoch milliseconds; all time begins with the first order."""
    chosen: Range = frame.view.range(frame.today, frame.first_ever)
    since = _SINCE_EVER if frame.view.period == "all" else _milliseconds(chosen.since, frame)
    return since, _milliseconds(chosen.until, frame)


def _milliseconds(wall: datetime, frame: shell.Frame) -> int:
    return int(wall.replace(tzinfo=frame.zone).astimezone(UTC).timestamp() * 1_000)


def _list(frame: shell.Frame) -> None:
    slug, (since_ms, until_ms) = frame.store.slug, days_of(frame)
    st.button(
        "Notifications", key="to-notices", icon=":material/notifications:", type="tertiary", on_click=_open_notices
    )
    try:
        summed = backend.order_groups.submit(slug, since_ms, until_ms)
        stuck = backend.stuck_orders(slug)
        groups = _soon(summed)
        _tiles(groups)
        text = _search()
        chosen = _choose(groups, stuck, text)
        only = _only(since_ms, until_ms, chosen, text, stuck)
        pages = _pages(only)
        found = backend.orders_page(slug, only, pages[-1])
    except TooMuch:
        st.info("That are too many orders to look through. Choose fewer days, or search for the number of an order.",
                icon=":material/search_off:")  # fmt: skip
        return
    except Unavailable:
        st.warning(
            "**The orders cannot be read right now.** Nothing is lost: orders go on as soon as the database answers. "
            "This page tries again.",
            icon=":material/cloud_off:",
        )
        return
    if not found.orders:
        _empty(groups, text, chosen)
        return
    now_ms = int(frame.now.timestamp() * 1_000)
    with st.container(border=True):
        show_rows("orders", "Orders", [row_of(sold, frame, now_ms) for sold in found.orders], open_order)
    _turn(pages, found.next)
    st.caption(on_whose_clock(frame.store.timezone))


def _soon(summed: Future[tuple[Group, ...]]) -> tuple[Group, ...] | None:
    """The sums, if they are there soon: the orders themselves do not wait for them."""
    try:
        return summed.result(_SUMS_SECONDS)
    except (TimeoutError, Unavailable):
        return None


def row_of(sold: SoldOrder, frame: shell.Frame, now_ms: int) -> ListRow:
    """An order as a row of the list."""
    made = sold.order
    goods = sum(line.quantity for line in made.lines)
    first = made.lines[0].title if made.lines else ""
    more = f" and {formats.several(len(made.lines) - 1, 'other')}" if len(made.lines) > 1 else ""
    back = f"{shown_amount(made.refunded_minor, made.currency)} back" if made.refunded_minor else ""
    return ListRow(
        made.id,
        f"{sold.delivery.name or 'No name'} \N{MIDDLE DOT} {first}{more}",
        f"{when(sold.placed_at_ms, frame.zone, frame.now)} \N{MIDDLE DOT} {order_code(made.id)}",
        tags_of(sold, now_ms),
        shown_amount(made.total_minor, made.currency),
        back or formats.several(goods, "piece"),
    )


def _tiles(known: Sequence[Group] | None) -> None:
    groups = known or ()
    tiles = {
        "Orders": (
            formats.count(sum(group.count for group in groups)),
            "Placed in these days.",
        ),
        TO_SEND: (f"{KINDS[TO_SEND].count(groups):,}", "Confirmed, and not sent yet."),
    }
    if known is None:
        tiles = {label: (formats.NOTHING, f"{meaning} Still being counted.") for label, (_, meaning) in tiles.items()}
    currencies = sorted({group.currency for group in groups if group.paid_minor}) or sorted(
        {group.currency for group in groups}
    )
    for currency in currencies:
        paid = sum(group.paid_minor for group in groups if group.currency == currency)
        back = sum(group.refunded_minor for group in groups if group.currency == currency)
        name = f" in {currency}" if len(currencies) > 1 else ""
        tiles[f"Paid{name}"] = shown_amount(paid, currency), "What buyers paid of these orders."
        tiles[f"Refunded{name}"] = shown_amount(back, currency), "What of it went back. The rest is yours."
    with st.container(horizontal=True, key="tiles"):
        for label, (text, meaning) in tiles.items():
            st.metric(label, text, border=True, help=meaning)


def _search() -> str:
    return str(
        st.text_input(
            "Search",
            key="orders-search",
            max_chars=MAX_SEARCH_CHARS,
            placeholder="Number of an order, name, address of a buyer, product or SKU",
            icon=":material/search:",
            label_visibility="collapsed",
        )
    ).strip()


def _choose(known: Sequence[Group] | None, stuck: Sequence[str], text: str) -> str:
    labels = labels_of(known, stuck, text, keeps_stuck=st.session_state.get("orders-kind") == STUCK)
    chosen = st.pills(
        "Show", list(labels), default=_EVERYTHING, key="orders-kind", label_visibility="collapsed",
        format_func=labels.__getitem__,
    )  # fmt: skip
    return str(chosen or _EVERYTHING)


def labels_of(
    known: Sequence[Group] | None, stuck: Sequence[str], text: str, *, keeps_stuck: bool = False
) -> dict[str, str]:
    """What the kinds of orders are called, with how many there are of each where that is known.

    Args:
        known: Counts of the chosen days; None while they are not there.
        stuck: Orders that are.
        text: What is searched for: the counts are not of what is found, so that none is shown then.
        keeps_stuck: Whether that kind is chosen, and stays to be chosen where none is stuck any more.
    """
    groups = known or ()
    counts = {_EVERYTHING: sum(group.count for group in groups)}
    counts |= {name: kind.count(groups) for name, kind in KINDS.items()}
    counted = set() if known is None else set(counts)
    if stuck or keeps_stuck:
        counts[STUCK] = len(stuck)
        counted.add(STUCK)
    return {name: f"{name} ({count:,})" if name in counted and not text else name for name, count in counts.items()}


def _only(since_ms: int, until_ms: int, chosen: str, text: str, stuck: tuple[str, ...]) -> Only:
    if chosen == STUCK:
        return Only(since_ms, until_ms, text=text, ids=stuck)
    kind = KINDS.get(chosen)
    if kind is None:
        return Only(since_ms, until_ms, text=text)
    return Only(since_ms, until_ms, kind.state, kind.gone, text)


def _pages(only: Only) -> list[NewestPlace | None]:
    """The places behind which the pages up to the present one begin; another question begins at its first page."""
    asked = (replace(only, ids=None), only.ids is not None)
    kept = st.session_state.get("orders-pages")
    pages: list[NewestPlace | None] = [None] if kept is None or kept[0] != asked else kept[1]
    st.session_state["orders-pages"] = (asked, pages)
    return pages


def _turn(pages: list[NewestPlace | None], after: NewestPlace | None) -> None:
    if after is None and len(pages) == 1:
        return

    def newest() -> None:
        del pages[1:]

    def newer() -> None:
        pages.pop()

    def older() -> None:
        if after is not None and len(pages) < _MAX_PAGES:
            pages.append(after)

    with st.container(horizontal=True, vertical_alignment="center"):
        if len(pages) > 1:
            st.button("Newest", key="orders-newest", icon=":material/first_page:", on_click=newest)
            st.button("Newer", key="orders-newer", icon=":material/chevron_left:", on_click=newer)
        if after is not None:
            st.button("Older", key="orders-older", icon=":material/chevron_right:", on_click=older)
        st.caption(f"Page {len(pages)}, the newest first.")


def _empty(groups: Sequence[Group] | None, text: str, chosen: str) -> None:
    if text:
        st.info(
            f"No order is found by {plain(text)}. Names and products are looked for among the orders of these days; "
            "numbers of orders and e-mail addresses among all.",
            icon=":material/search_off:",
        )
    elif groups or chosen != _EVERYTHING:
        st.success("Nothing of that kind.", icon=":material/check_circle:")
    else:
        st.info(
            "**No orders in these days.** Buyers order in your shop's storefront, or by the REST API "
            "(`POST /v1/orders`). An order appears here the moment it is placed. For earlier ones choose other days "
            "above. What can be ordered is on the page Catalog.",
            icon=":material/receipt_long:",
        )
