"""What a seller can do with an order now: each asks once more before it does anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import streamlit as st

from connectors.mongo.sagas.sold_orders import WholeOrder
from dashboards.data import backend
from dashboards.data.store_api import Change, Form
from dashboards.ui import sending, shell
from dashboards.ui.header import plain
from dashboards.ui.order_words import pieces, returned_words, to_send
from marketplace.identity.roles import Permission
from marketplace.inventory.levels import MAX_REASON_CHARS
from marketplace.money import shown_amount
from marketplace.orders.delivery import GONE, MAX_CARRIER_CHARS, MAX_TRACKING_CHARS, FulfilmentState
from marketplace.orders.requests import Party, can_cancel
from marketplace.sagas.order_state import Order, OrderLine, OrderState

Draw = Callable[[shell.Frame, WholeOrder, Form], None]

_PACK, _UNPACK, _SHIP, _DELIVER, _REFUND, _CANCEL = "pack", "unpack", "ship", "deliver", "refund", "cancel"
_DOT: Final = " \N{MIDDLE DOT} "
_ALL, _SOME = "Everything that is left", "Some of it"
_LABELS: Final = {
    _PACK: ("Mark as packed …", ":material/package_2:"),
    _UNPACK: ("Not packed after all …", ":material/undo:"),
    _SHIP: ("Mark as sent …", ":material/local_shipping:"),
    _DELIVER: ("Mark as delivered …", ":material/home_pin:"),
    _REFUND: ("Refund …", ":material/currency_exchange:"),
    _CANCEL: ("Cancel the order …", ":material/cancel:"),
}


def actions_of(whole: WholeOrder) -> list[str]:
    """What can be done with an order now, what comes next first."""
    sold = whole.sold
    goods, confirmed = sold.fulfilment.state, sold.order.state is OrderState.CONFIRMED
    found = []
    if confirmed:
        found += {
            FulfilmentState.UNFULFILLED: [_PACK, _SHIP],
            FulfilmentState.PACKED: [_SHIP, _UNPACK],
            FulfilmentState.SHIPPED: [_DELIVER],
            FulfilmentState.DELIVERED: [],
        }[goods]
        found.append(_REFUND)
    if can_cancel(sold.order, sold.fulfilment, Party.SELLER):
        found.append(_CANCEL)
    return found


def show(frame: shell.Frame, whole: WholeOrder) -> None:
    """Draw what can be done; nothing to those who may only read."""
    name = f"order-{whole.sold.order.id}"
    sending.show_said(name)
    if not sending.may_change(frame.store.slug, Permission.MANAGE_ORDERS):
        return
    found = actions_of(whole)
    chosen = st.session_state.get("order-action")
    opened = chosen[1] if chosen is not None and chosen[0] == whole.sold.order.id else ""
    if not found:
        return
    if opened not in found:
        with st.container(horizontal=True, key="order-actions"):
            for at, action in enumerate(found):
                label, icon = _LABELS[action]
                first: Literal["primary", "secondary"] = (
                    "primary" if at == 0 and action not in (_REFUND, _CANCEL) else "secondary"
                )
                st.button(
                    label, key=f"do-{action}", icon=icon, type=first, on_click=_open, args=(whole.sold.order.id, action)
                )
        return
    form = sending.form_of(name)
    with st.container(border=True, key="order-form"):
        _FORMS[opened](frame, whole, form)


def _open(order: str, action: str) -> None:
    st.session_state["order-action"] = (order, action)
    sending.forget_said()


def _close() -> None:
    st.session_state.pop("order-action", None)


def _send(frame: shell.Frame, whole: WholeOrder, form: Form, path: str, body: dict[str, Any] | None, done: str) -> None:
    slug, order = frame.store.slug, whole.sold.order.id
    method = "PUT" if path == "fulfilment" else "POST"
    change = Change(method, f"orders/{order}/{path}", body)

    def forget() -> None:
        backend.order.forget(slug, order)

    if sending.send(slug, f"order-{order}", form, change, done, forget):
        _close()


def _buttons(
    form: Form, label: str, send: Callable[[], None], *, disabled: bool = False, keep: str = "Do nothing"
) -> None:
    with st.container(horizontal=True):
        st.button(label, key=f"send-{form.nonce}", type="primary", on_click=send, disabled=disabled)
        st.button(keep, key=f"close-{form.nonce}", on_click=_close)


def _cancel(frame: shell.Frame, whole: WholeOrder, form: Form) -> None:
    made = whole.sold.order
    st.markdown("**Cancel the whole order?**")
    if made.state is OrderState.PENDING:
        st.markdown("Nobody is charged, and its goods can be bought by others at once.")
    else:
        left = made.paid_minor - sum(refund.amount_minor for refund in made.refunds)
        st.markdown(
            f"{plain(shown_amount(left, made.currency))} go back to the buyer, and the goods come back into stock. "
            "This cannot be undone."
        )

    def send() -> None:
        _send(frame, whole, form, "cancel", None, "The order is being cancelled.")

    _buttons(form, "Cancel the order", send, keep="Keep the order")


def _refund(frame: shell.Frame, whole: WholeOrder, form: Form) -> None:
    made = whole.sold.order
    counts = {line.number: line.quantity - line.returned for line in made.lines}
    how = st.segmented_control(
        "Refund what?", (_SOME, _ALL), default=_SOME, key=f"what-{form.nonce}", required=True
    )  # fmt: skip
    if how == _SOME:
        counts = {line.number: _count(line, made.currency, form) for line in made.lines if counts[line.number]}
    reason = str(
        st.text_input("Reason, for the history of the order", max_chars=MAX_REASON_CHARS, key=f"reason-{form.nonce}")
    ).strip()
    sent = whole.sold.fulfilment.state in GONE
    restock = st.checkbox(
        "The goods are back, or were never sent: count them in stock again", value=not sent, key=f"restock-{form.nonce}"
    )
    amount = refund_amount(made, counts)
    st.markdown(refund_words(made, counts))
    body = {"lines": [{"number": number, "quantity": count} for number, count in counts.items() if count]}
    more = {"reason": reason} if reason else {}

    def send() -> None:
        ended = " The order ends with it." if ends_with(made, counts) else ""
        text = f"{plain(shown_amount(amount, made.currency))} are on the way back.{ended}"
        _send(frame, whole, form, "refunds", {**body, **more, "restock": restock}, text)

    label = f"Refund {plain(shown_amount(amount, made.currency))}"
    _buttons(form, f"{label} and end the order" if ends_with(made, counts) else label, send, disabled=not amount)


def _count(line: OrderLine, currency: str, form: Form) -> int:
    left = line.quantity - line.returned
    about = plain(f"{line.title} {line.options}".strip()[:120])
    each = plain(shown_amount(line.unit_minor, currency))
    label = f"{about}: {left:,} {'is' if left == 1 else 'are'} left, {each} each"
    return int(st.number_input(label, 0, left, 0, 1, key=f"refund-{line.number}-{form.nonce}"))


def refund_amount(order: Order, counts: Mapping[int, int]) -> int:
    """What goes back for so many of each line."""
    return sum(line.unit_minor * counts.get(line.number, 0) for line in order.lines)


def ends_with(order: Order, counts: Mapping[int, int]) -> bool:
    """Whether nothing of an order is left after so many of each line went back, so that it ends."""
    return all(line.returned + counts.get(line.number, 0) == line.quantity for line in order.lines)


def refund_words(order: Order, counts: Mapping[int, int]) -> str:
    """What becomes of an order when so many of each line go back; Markdown."""
    amount = refund_amount(order, counts)
    if not amount:
        return "Say how many of what."
    words = f"**{plain(shown_amount(amount, order.currency))}** go back to the buyer. This cannot be undone."
    if not ends_with(order, counts):
        return words
    return f"{words} Nothing of the order is left then: **it ends, and is called cancelled by the store.**"


def parcel_words(order: Order) -> str:
    """What goes into the parcel, without what was refunded; Markdown."""
    found = to_send(order)
    count = sum(left for left, _ in found)
    rows = [f"**Into the parcel: {pieces(count)}**", ""]
    for left, line in found:
        about = filter(None, (line.title, line.options, line.sku, returned_words(line)))
        rows.append(f"- {left:,} \N{MULTIPLICATION SIGN} {_DOT.join(map(plain, about))}")
    return "\n".join(rows)


def _goods(state: FulfilmentState, question: str, label: str, done: str) -> Draw:
    def draw(frame: shell.Frame, whole: WholeOrder, form: Form) -> None:
        st.markdown(f"**{question}**")
        if state in (FulfilmentState.PACKED, FulfilmentState.SHIPPED):
            st.markdown(parcel_words(whole.sold.order))
        body: dict[str, Any] = {"state": state.value}
        goods = whole.sold.fulfilment
        if state in GONE:
            carrier = st.text_input("Carrier", goods.carrier, max_chars=MAX_CARRIER_CHARS, key=f"carrier-{form.nonce}")
            tracking = st.text_input(
                "Tracking number", goods.tracking, max_chars=MAX_TRACKING_CHARS, key=f"tracking-{form.nonce}"
            )
            body |= {
                name: text.strip() for name, text in (("carrier", carrier), ("tracking", tracking)) if text.strip()
            }

        def send() -> None:
            _send(frame, whole, form, "fulfilment", body, done)

        _buttons(form, label, send, keep="Not yet")

    return draw


_FORMS: Final[dict[str, Draw]] = {
    _PACK: _goods(FulfilmentState.PACKED, "Are the goods packed?", "They are packed", "Packed."),
    _UNPACK: _goods(
        FulfilmentState.UNFULFILLED, "Are the goods not packed after all?", "They are not packed",
        "Not packed any more.",
    ),
    _SHIP: _goods(
        FulfilmentState.SHIPPED, "Are the goods with the carrier? Then the order cannot be cancelled any more.",
        "They are sent", "Sent.",
    ),
    _DELIVER: _goods(FulfilmentState.DELIVERED, "Does the buyer have the goods?", "They are delivered", "Delivered."),
    _REFUND: _refund,
    _CANCEL: _cancel,
}  # fmt: skip
