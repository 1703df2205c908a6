"""The stock of one variant: what is there, who has reserved it, how it came to be so, and forms to change it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from connectors.errors import Unavailable
from connectors.mongo.newest_pages import NewestPlace
from connectors.mongo.sagas.store_stock import Moved
from dashboards.data import backend, current
from dashboards.data.store_api import Change, Form
from dashboards.ui import formats, markup, sending, shell
from dashboards.ui.header import change, plain
from dashboards.ui.rows import ListRow, Tag, show_rows
from dashboards.ui.sending import Said, forget_said
from dashboards.ui.times import on_whose_clock, when
from marketplace.identity.roles import Permission
from marketplace.inventory.levels import MAX_ON_HAND, MAX_REASON_CHARS, Level
from marketplace.notifications.words import order_code
from marketplace.sagas.inventory import MovementKind, Reservation

if TYPE_CHECKING:
    from dashboards.screens.stock import Item

_RECEIVE, _ADJUST, _LOW, _STOP = "receive", "adjust", "low", "stop"
_LABELS: Final = {
    _RECEIVE: ("Receive goods …", ":material/add_box:"),
    _ADJUST: ("Correct the count …", ":material/exposure:"),
    _LOW: ("Warn me when low …", ":material/notifications:"),
    _STOP: ("Stop counting …", ":material/do_not_disturb_on:"),
}
_KINDS: Final = {
    MovementKind.RECEIVED: "Received",
    MovementKind.ADJUSTED: "Corrected",
    MovementKind.TRANSFERRED: "Moved to or from another variant",
    MovementKind.SOLD: "Sold",
    MovementKind.RETURNED: "Came back",
}
_OF_ORDERS: Final = frozenset({MovementKind.SOLD, MovementKind.RETURNED})


def show(frame: shell.Frame, item: Item | None) -> None:
    """Draw a variant; None where the store has none of that id."""
    st.button("All stock", key="stock-back", icon=":material/arrow_back:", type="tertiary", on_click=_back)
    if item is None:
        st.info("This store has no such variant any more.", icon=":material/search_off:")
        return
    st.subheader(plain(item.title), anchor=False)
    st.caption(plain(item.about))
    _actions(frame, item)
    if item.level is None:
        st.info(
            "**This variant is not counted.** Buyers can order it as long as its product says that there is some, "
            "however many they want. To begin, say how many you have: from then on each order takes from it, and "
            "buyers see whether many, few or none are left.",
            icon=":material/calculate:",
        )
        return
    _level(item, item.level)
    try:
        _reservations(frame, item)
        _movements(frame, item)
    except Unavailable:
        st.warning("**The rest cannot be read right now.** This page tries again.", icon=":material/cloud_off:")


def _back() -> None:
    change(partial(replace, variant=""))
    forget_said()
    st.session_state["redraw"] = True


def _level(item: Item, level: Level) -> None:
    left, sold = item.days_left, item.sold
    days = formats.NOTHING if left is None else "0" if left == 0 else "< 1" if left < 1 else f"{left:,.0f}"
    tiles = {
        "Available": (f"{level.available:,}", "What can be ordered: on hand, less what is reserved."),
        "On hand": (f"{level.on_hand:,}", "The sum of all movements below."),
        "Reserved": (f"{level.reserved:,}", "Of orders that wait for their payment."),
        "Sold, 28 days": (formats.NOTHING if sold is None else f"{sold:,}", "Less what came back."),
        "Days left": (days, "If it goes on being sold as in the last 28 days."),
        "Warned at": (
            formats.NOTHING if level.low_at is None else f"{level.low_at:,}",
            "You are warned when so many can be ordered still, or fewer.",
        ),
    }
    with st.container(horizontal=True, key="tiles"):
        for label, (text, meaning) in tiles.items():
            st.metric(label, text, border=True, help=meaning)
    if level.available <= 0 and item.for_sale:
        st.error("**None left.** Buyers see it as sold out.", icon=":material/production_quantity_limits:")
    elif level.is_low:
        st.warning(low_words(level), icon=":material/notifications_active:")


def low_words(level: Level) -> str:
    """That there is little of a variant, and why that is said; Markdown."""
    left = f"Only {level.available:,} can be ordered still" if level.available > 0 else "None can be ordered any more"
    asked = f"at {level.low_at:,} or fewer" if level.low_at else "when none is left"
    return f"**Low.** {left}: you asked to be warned {asked}."


def _reservations(frame: shell.Frame, item: Item) -> None:
    found = backend.reservations(frame.store.slug, item.variant)
    if not found:
        return
    with st.container(border=True):
        st.markdown("**Reserved now**")
        if current.viewer().may(frame.store.slug, Permission.READ_ORDERS):
            rows = [_reserved(frame, each, item.variant) for each in found]
            show_rows("reservations", "Orders that have reserved it", rows, _open_order)
        else:
            st.caption(f"{formats.several(len(found), 'order')} wait for their payment.")


def _reserved(frame: shell.Frame, reservation: Reservation, own: str) -> ListRow:
    count = sum(each.quantity for each in reservation.items if each.variant == own)
    until = when(reservation.expires_ms, frame.zone, frame.now)
    over = reservation.expires_ms <= int(frame.now.timestamp() * 1_000)
    mark = Tag("Over, is being released", "wait") if over else Tag(f"Until {until}", "wait")
    return ListRow(
        reservation.order, f"Order {order_code(reservation.order)}", "Not taken from stock yet", (mark,), f"{count:,}",
        "piece" if count == 1 else "pieces",
    )  # fmt: skip


def _open_order(order: str) -> None:
    change(partial(replace, order=order))
    st.session_state["go-to"] = "orders"
    st.session_state["redraw"] = True


def _movements(frame: shell.Frame, item: Item) -> None:
    kept = st.session_state.get("movements")
    pages: list[NewestPlace | None] = [None] if kept is None or kept[0] != item.variant else kept[1]
    st.session_state["movements"] = (item.variant, pages)
    found = backend.movements(frame.store.slug, item.variant, pages[-1])
    with st.container(border=True):
        st.markdown("**Movements**")
        if not found.rows:
            st.caption("There are none.")
            return
        markup.show_table(
            "Movements",
            ("What", "Change", "On hand"),
            [(_moved(frame, row), f"{row.quantity:+,}", f"{row.on_hand:,}") for row in found.rows],
            numbers=2,
        )
        st.caption(on_whose_clock(frame.store.timezone))

        def newer() -> None:
            pages.pop()

        def older() -> None:
            if found.next is not None:
                pages.append(found.next)

        with st.container(horizontal=True):
            if len(pages) > 1:
                st.button("Newer", key="moved-newer", icon=":material/chevron_left:", on_click=newer)
            if found.next is not None:
                st.button("Older", key="moved-older", icon=":material/chevron_right:", on_click=older)


def _moved(frame: shell.Frame, row: Moved) -> tuple[str, str]:
    what = _KINDS[row.kind] + (f", order {order_code(row.cause)}" if row.kind in _OF_ORDERS else "")
    who = f"by {row.by}" if row.by else ""
    at = when(row.at_ms, frame.zone, frame.now)
    return what + (f": {row.note}" if row.note else ""), " ".join(filter(None, (at, who)))


def _actions(frame: shell.Frame, item: Item) -> None:
    name = f"stock-{item.variant}"
    sending.show_said(name)
    if not sending.may_change(frame.store.slug, Permission.EDIT_STOCK):
        return
    found = [_RECEIVE] if item.level is None else [_RECEIVE, _ADJUST, _LOW, _STOP]
    chosen = st.session_state.get("stock-action")
    opened = chosen[1] if chosen is not None and chosen[0] == item.variant else ""
    if opened not in found:
        with st.container(horizontal=True, key="stock-actions"):
            for at, action in enumerate(found):
                label, icon = _LABELS[action]
                st.button(
                    "Begin to count …" if item.level is None else label, key=f"do-{action}", icon=icon,
                    type="primary" if at == 0 else "secondary", on_click=_open, args=(item.variant, action),
                )  # fmt: skip
        return
    with st.container(border=True, key="stock-form"):
        _FORMS[opened](frame, item, sending.form_of(name))


def _open(own: str, action: str) -> None:
    st.session_state["stock-action"] = (own, action)
    sending.forget_said()


def _close() -> None:
    st.session_state.pop("stock-action", None)


def _send(frame: shell.Frame, item: Item, form: Form, asked: Change, done: str) -> None:
    slug, own = frame.store.slug, item.variant

    def forget() -> None:
        backend.stock_levels.forget(slug)
        backend.products.forget(slug)
        backend.movements.forget(slug, own, None)

    if sending.send(slug, f"stock-{own}", form, asked, done, forget):
        _close()


def _buttons(form: Form, label: str, send: Callable[[], None]) -> None:
    with st.container(horizontal=True):
        st.button(label, key=f"send-{form.nonce}", type="primary", on_click=send)
        st.button("Do nothing", key=f"close-{form.nonce}", on_click=_close)


def _count(label: str, form: Form, least: int, value: int) -> int:
    return int(
        st.number_input(
            label, min_value=least, max_value=MAX_ON_HAND, value=value, step=1, key=f"count-{form.nonce}", width=260
        )
    )


def _reason(form: Form, example: str) -> str:
    return str(
        st.text_input(
            "Reason (needed)",
            max_chars=MAX_REASON_CHARS,
            key=f"reason-{form.nonce}",
            placeholder=f"For example: {example}",
        )
    ).strip()


def _without_reason(item: Item) -> None:
    text = "**Nothing was changed.** Give a reason: it stands in the movements."
    sending.say(f"stock-{item.variant}", Said("error", text))


def _receive(frame: shell.Frame, item: Item, form: Form) -> None:
    st.markdown("**What has come?**" if item.level is not None else "**How many do you have?**")
    count = _count("Pieces", form, 1, 1)
    reason = _reason(form, "delivery of Monday" if item.level is not None else "first count")

    def send() -> None:
        if not reason:
            _without_reason(item)
            return
        body = {"product": item.product, "quantity": count, "reason": reason}
        _send(frame, item, form, Change("POST", f"stock/{item.variant}/receive", body), f"{count:,} received.")

    _buttons(form, "Receive", send)


def _adjust(frame: shell.Frame, item: Item, form: Form) -> None:
    level = item.level
    st.markdown("**How many are there really?**")
    on_hand = 0 if level is None else level.on_hand
    count = _count("Pieces on hand, reserved ones too", form, 0, on_hand)
    reason = _reason(form, "two broke")
    difference = count - on_hand
    st.caption(f"That is {difference:+,}." if difference else "That is what is counted now.")

    def send() -> None:
        if not reason:
            _without_reason(item)
            return
        if not difference:
            sending.say(f"stock-{item.variant}", Said("warning", "That is what is counted now: nothing was changed."))
            return
        body: dict[str, Any] = {"product": item.product, "quantity": difference, "reason": reason}
        _send(frame, item, form, Change("POST", f"stock/{item.variant}/adjust", body), f"Corrected by {difference:+,}.")

    _buttons(form, "Correct", send)


def _low(frame: shell.Frame, item: Item, form: Form) -> None:
    before = None if item.level is None else item.level.low_at
    st.markdown("**When is it low?**")
    wanted = st.checkbox("Warn me", value=True, key=f"warn-{form.nonce}")
    count = _count("When so many can be ordered still, or fewer", form, 0, 5 if before is None else before)

    def send() -> None:
        body = {"low_at": count if wanted else None}
        asked = f"at {count:,} or fewer" if count else "when none is left"
        done = f"You are warned {asked}." if wanted else "You are not warned of it any more."
        _send(frame, item, form, Change("PUT", f"stock/{item.variant}/threshold", body), done)

    _buttons(form, "Save", send)


def _stop(frame: shell.Frame, item: Item, form: Form) -> None:
    st.markdown("**Count this variant no more?** Then its product says by hand whether there is some. Movements stay.")

    def send() -> None:
        _send(frame, item, form, Change("DELETE", f"stock/{item.variant}"), "It is not counted any more.")

    _buttons(form, "Stop counting", send)


_FORMS: Final[dict[str, Callable[[shell.Frame, Any, Form], None]]] = {
    _RECEIVE: _receive,
    _ADJUST: _adjust,
    _LOW: _low,
    _STOP: _stop,
}
