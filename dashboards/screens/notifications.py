"""The page Notifications: what a store was notified of, each leading to what it is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

import streamlit as st

from connectors.errors import Unavailable
from connectors.mongo.newest_pages import NewestPlace
from connectors.mongo.notifications import Notification
from dashboards.data import backend, current
from dashboards.ui import shell
from dashboards.ui.header import change
from dashboards.ui.rows import ListRow, Tag, show_rows
from dashboards.ui.sending import forget_said
from dashboards.ui.times import on_whose_clock, when
from marketplace.identity.roles import Permission
from marketplace.money import shown_amount
from marketplace.notifications.notices import Template
from marketplace.notifications.texts import text_of

_MAX_PAGES: Final = 200
_TAGS: Final[Mapping[Template, Tag]] = {
    Template.NEW_ORDER: Tag("New order", "act"),
    Template.STORE_ORDER_CANCELLED: Tag("Cancelled"),
    Template.STORE_REFUND_REVERSED: Tag("Refund came back", "bad"),
    Template.LOW_STOCK: Tag("Low stock", "wait"),
}


def show() -> None:
    """Draw the page."""
    frame = shell.current_frame()
    if not current.viewer().may(frame.store.slug, Permission.READ_ORDERS):
        st.info(
            "**Notifications are for managers and owners of the store.** They are about its orders. An owner of the "
            "store can change your role.",
            icon=":material/lock:",
        )
        return
    st.button("All orders", key="notices-back", icon=":material/arrow_back:", type="tertiary", on_click=_back)
    st.subheader("Notifications", anchor=False)
    pages = _pages(frame.store.slug)
    try:
        found = backend.notices(frame.store.slug, pages[-1])
    except Unavailable:
        st.warning(
            "**The notifications cannot be read right now.** Nothing is lost. This page tries again.",
            icon=":material/cloud_off:",
        )
        return
    if not found.rows:
        st.info(
            "**No notifications yet.** New orders, the end of one that was confirmed, refunds that came back and goods "
            "that run low stand here; the owners of the store get them by mail as well.",
            icon=":material/notifications:",
        )
        return
    known = {each.id: each for each in found.rows}
    at = partial(when, zone=frame.zone, now=frame.now)
    with st.container(border=True):
        show_rows("notices", "Notifications", [row_of(each, at) for each in found.rows], partial(_open, known))
    _turn(pages, found.next)
    st.caption(f"The newest first. {on_whose_clock(frame.store.timezone)}")


def row_of(found: Notification, at: Callable[[int], str]) -> ListRow:
    """A notification as a row of the list.

    Args:
        found: The notification.
        at: Says a moment.
    """
    said, facts = text_of(found.template, found.facts), found.facts
    is_stock = found.template is Template.LOW_STOCK
    amount = f"{max(0, facts.available):,}" if is_stock else ""
    if not is_stock and facts.currency:
        amount = shown_amount(facts.amount_minor or facts.total_minor, facts.currency)
    tags = (_TAGS[found.template],) if found.template in _TAGS else ()
    detail = f"{at(found.at_ms)} \N{MIDDLE DOT} {' '.join(said.sentences)}"
    note = "can be ordered" if is_stock else "went back" if facts.amount_minor else ""
    return ListRow(found.id, said.title, detail, tags, amount, note)


def page_of(found: Notification) -> tuple[str, str, str]:
    """Where a notification leads: the page, and the order and the variant that are open there."""
    if found.template is Template.LOW_STOCK:
        return "stock", "", found.facts.variant
    return "orders", found.facts.order, ""


def _back() -> None:
    st.session_state["go-to"] = "orders"
    st.session_state["redraw"] = True


def _open(known: Mapping[str, Notification], own: str) -> None:
    found = known.get(own)
    if found is None:
        return
    page, order, variant = page_of(found)
    change(partial(replace, order=order, variant=variant))
    forget_said()
    st.session_state["go-to"] = page
    st.session_state["redraw"] = True


def _pages(store: str) -> list[NewestPlace | None]:
    """The places behind which the pages up to the present one begin; another store begins at its first page."""
    kept = st.session_state.get("notice-pages")
    pages: list[NewestPlace | None] = [None] if kept is None or kept[0] != store else kept[1]
    st.session_state["notice-pages"] = (store, pages)
    return pages


def _turn(pages: list[NewestPlace | None], after: NewestPlace | None) -> None:
    def newer() -> None:
        pages.pop()

    def older() -> None:
        if after is not None and len(pages) < _MAX_PAGES:
            pages.append(after)

    with st.container(horizontal=True):
        if len(pages) > 1:
            st.button("Newer", key="notices-newer", icon=":material/chevron_left:", on_click=newer)
        if after is not None:
            st.button("Older", key="notices-older", icon=":material/chevron_right:", on_click=older)
