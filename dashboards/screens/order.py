"""One order: what was bought, where it goes, how it came to be what it is, and what its seller can do now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import streamlit as st

from connectors.errors import Unavailable
from connectors.mongo.sagas.audit import Step
from connectors.mongo.sagas.sold_orders import WholeOrder
from dashboards.data import backend
from dashboards.screens import order_actions
from dashboards.ui import formats, markup, shell
from dashboards.ui.header import as_code, change, plain
from dashboards.ui.markup import Moment
from dashboards.ui.order_words import (
    goods_line,
    payment_lines,
    pieces,
    quantity_of,
    returned_words,
    said_in_words,
    stock_lines,
    tags_of,
    waits_for,
)
from dashboards.ui.rows import Tag
from dashboards.ui.sending import forget_said
from dashboards.ui.times import lasting, on_whose_clock, when
from marketplace.collections import OUTBOX_SECONDS
from marketplace.money import shown_amount
from marketplace.notifications.words import order_code
from marketplace.orders.delivery import Address
from marketplace.sagas.declaration import listeners
from marketplace.sagas.events import EventType
from marketplace.sagas.payment_state import RefundState

_REFRESH_SECONDS = 2
_DOT = " \N{MIDDLE DOT} "


def show(frame: shell.Frame, order: str) -> None:
    """Draw an order; its content is refreshed every two seconds."""
    st.button("All orders", key="order-back", icon=":material/arrow_back:", type="tertiary", on_click=_back)
    st.fragment(shell.guarded(partial(_moment, order)), run_every=_REFRESH_SECONDS)()


def _back() -> None:
    change(partial(replace, order=""))
    forget_said()
    st.session_state["redraw"] = True


def _moment(order: str) -> None:
    frame = shell.current_frame()
    try:
        whole = backend.order(frame.store.slug, order)
    except Unavailable:
        st.warning(
            "**The order cannot be read right now.** Nothing is lost: it goes on as soon as the database answers. This "
            "page tries again.",
            icon=":material/cloud_off:",
        )
        return
    if whole is None:
        st.info(f"This store has no order {as_code(order_code(order))}.", icon=":material/search_off:")
        return
    _head(frame, whole)
    order_actions.show(frame, whole)
    with st.container(border=True):
        _lines(whole)
    left, right = st.columns(2)
    with left, st.container(border=True):
        st.markdown("**Delivery**")
        _delivery(frame, whole)
    with right, st.container(border=True):
        st.markdown("**Payment and stock**")
        stock = stock_lines(whole.reservation, whole.came_back, int(frame.now.timestamp() * 1_000), _moment_in(frame))
        own = f"{whole.sold.order.id}, for the REST API"
        markup.show_facts([("Money", payment_lines(whole.payment)), ("Stock", stock), ("Whole id", own)])
    with st.container(border=True):
        st.markdown("**What has happened**")
        _timeline(frame, whole)


def _head(frame: shell.Frame, whole: WholeOrder) -> None:
    sold, made = whole.sold, whole.sold.order
    now_ms = int(frame.now.timestamp() * 1_000)
    amount, name = shown_amount(made.total_minor, made.currency), sold.delivery.name or "a buyer"
    st.subheader(plain(f"{amount} from {name}"), anchor=False)
    parked = (Tag("Parked", "bad"),) if whole.parked else ()
    markup.show_tags([*tags_of(sold, now_ms), *parked])
    at = when(sold.placed_at_ms, frame.zone, frame.now, seconds=True)
    st.caption(f"Order {as_code(order_code(made.id))}, placed {at}. {on_whose_clock(frame.store.timezone)}")
    for text in troubles(whole, now_ms):
        st.error(text, icon=":material/error:")
    waits = waits_for(made.state)
    if waits and sold.due_ms is not None and not sold.is_stuck(now_ms):
        until = when(sold.due_ms, frame.zone, frame.now)
        st.info(f"Waits for {waits}. That takes until **{until}** at most.", icon=":material/schedule:")


def troubles(whole: WholeOrder, now_ms: int) -> list[str]:
    """What is not as it should be with an order, in sentences."""
    found = []
    sold = whole.sold
    if sold.is_stuck(now_ms) and sold.due_ms is not None:
        since = lasting(now_ms - sold.due_ms)
        found.append(
            f"**Stuck for {since}.** It still waits for {waits_for(sold.order.state)}. No money and no goods are lost, "
            "and it goes on by itself when that part works. If it does not, report it to the operator: "
            f"`marketplace saga trace {sold.order.id}` says more."
        )
    if whole.parked:
        names = " and ".join(sorted(whole.parked))
        found.append(
            f"**Parked.** An event of this order could not be handled by {names}, and later ones wait behind it so "
            "that nothing is done in the wrong order. The operator has to let it go on."
        )
    refunds = () if whole.payment is None else whole.payment.refunds
    if any(refund.state is RefundState.STUCK for refund in refunds):
        found.append(
            "**A refund could not be made.** The payment provider refuses it again and again, or the money did not "
            "reach the buyer: the operator has to settle it."
        )
    return found


def _lines(whole: WholeOrder) -> None:
    made = whole.sold.order
    markup.show_table(
        "Lines of the order",
        ("Product", "Quantity", "Price", "Sum"),
        [
            (
                (line.title, _DOT.join(filter(None, (line.options, line.sku, returned_words(line))))),
                quantity_of(line, whole.sold),
                shown_amount(line.unit_minor, made.currency),
                shown_amount(line.total_minor, made.currency),
            )
            for line in made.lines
        ],
        numbers=3,
    )
    sums = [("Total", shown_amount(made.total_minor, made.currency))]
    sums.append(("Paid", shown_amount(made.paid_minor, made.currency) if made.paid_minor else "Nothing yet"))
    if made.refunded_minor:
        sums.append(("Refunded", shown_amount(made.refunded_minor, made.currency)))
    asked = sum(refund.amount_minor for refund in made.refunds if not refund.done)
    if asked:
        sums.append(("On its way back", shown_amount(asked, made.currency)))
    markup.show_facts(sums)


def _delivery(frame: shell.Frame, whole: WholeOrder) -> None:
    sold, buyer = whole.sold, whole.buyer
    goods = sold.fulfilment
    state = goods_line(sold, _moment_in(frame)(goods.changed_at_ms) if goods.changed_at_ms else "")
    orders = whole.orders_of_buyer
    markup.show_facts(
        [
            ("To", address_lines(sold.delivery) or ["No address is kept"]),
            ("Goods", [state, goods.carrier, goods.tracking and f"Tracking {goods.tracking}"]),
            ("Buyer", [buyer.email or "The account was deleted",
                       "The first order here" if orders <= 1 else f"{orders:,} orders here"]),
        ]
    )  # fmt: skip


def address_lines(address: Address) -> list[str]:
    """An address as it stands on a parcel."""
    country = formats.country_names().get(address.country, address.country)
    town = " ".join(filter(None, (address.postcode, address.city)))
    return list(filter(None, (address.name, address.street, address.extra, town, country)))


def _moment_in(frame: shell.Frame) -> Callable[[int], str]:
    return lambda at_ms: when(at_ms, frame.zone, frame.now)


def _timeline(frame: shell.Frame, whole: WholeOrder) -> None:
    if not whole.steps:
        st.caption(
            f"Events are kept for {OUTBOX_SECONDS // 86_400} days, and this order is older. How it ended is above."
        )
        return
    technical = st.toggle(
        "Technical details", key="order-technical",
        help="The event behind each line, who said it, and how long each service took to handle it: for the operator.",
    )  # fmt: skip
    now_ms = int(frame.now.timestamp() * 1_000)
    said = partial(when, zone=frame.zone, now=frame.now, seconds=True)
    markup.show_timeline("What has happened", moments_of(whole, said, now_ms, technical=technical))
    st.caption(on_whose_clock(frame.store.timezone))


def moments_of(whole: WholeOrder, at: Callable[[int], str], now_ms: int, *, technical: bool = False) -> list[Moment]:
    """What has happened to an order, the oldest first.

    Args:
        whole: The order.
        at: Says a moment.
        now_ms: The time.
        technical: Whether each line says which event it is, and by whom that is handled.
    """
    currency = whole.sold.order.currency
    found = [
        (
            step.at_ms,
            said_in_words(step, currency),
            detail_of(step) if technical else "",
            _under_way(step, now_ms, technical=technical),
        )
        for step in whole.steps
    ]
    # Of these no service says anything: what came back is in the ledger of stock alone.
    found += [
        (back.at_ms, f"{pieces(back.quantity)} came back into stock", "A movement of stock" if technical else "", None)
        for back in whole.came_back
    ]
    return [
        Moment(at(at_ms), text, detail, tag) for at_ms, text, detail, tag in sorted(found, key=lambda each: each[0])
    ]  # fmt: skip


def detail_of(step: Step) -> str:
    """An event in the system's own words: its name, who said it, and after how long each service had handled it."""
    handled = [
        f"{service} after {lasting(at_ms - step.written_ms)}" for service, at_ms in sorted(step.handled_ms.items())
    ]
    waits = [f"{service} not yet" for service in missing_of(step)]
    source = step.source.rpartition("/")[2]
    by = ", ".join([*handled, *waits])
    return _DOT.join((step.type, f"said by {source}", *([f"handled by {by}"] if by else [])))


def missing_of(step: Step) -> Sequence[str]:
    """Services that react to an event and have not handled it."""
    try:
        wanted = listeners(EventType(step.type))
    except ValueError:
        return ()
    return sorted(service.value for service in wanted if service.value not in step.handled_ms)


def _under_way(step: Step, now_ms: int, *, technical: bool) -> Tag | None:
    missing = missing_of(step)
    if not missing:
        return None
    late = now_ms - step.written_ms > 60_000
    text = f"{' and '.join(missing)} not yet" if technical else "Takes longer than it should" if late else "Under way"
    return Tag(text, "bad" if late else "wait")
