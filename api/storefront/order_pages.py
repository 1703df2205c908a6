"""The pages of somebody's orders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from fastapi import Request
from starlette.responses import Response

from api.access import Demand
from api.callers import Caller
from api.orders.routes import trace_parent
from api.storefront.addresses import with_query
from api.storefront.forms import FormRoute, form_of
from api.storefront.order_stream import stream
from api.storefront.orders import counts_of
from api.storefront.queries import query_of
from api.storefront.render import page, redirect
from api.storefront.shop import Refused
from api.storefront.visitors import Visitor, shop_of, visitor_of
from api.web.events import EventStream
from api.web.problems import INVALID, NOT_FOUND, UNAUTHENTICATED, FieldError, Problem
from api.web.routes import Routes
from connectors.mongo.orders import KeptOrder
from marketplace.inventory.levels import MAX_REASON_CHARS
from marketplace.orders.refusals import NoSuchOrder
from marketplace.sagas.order_state import OrderState

_ORDERS: Final = "/shop/orders"
_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_ONCE: Final = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)
_LINE: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]*")
_PLACED: Final[Mapping[str, str]] = {
    "1": "Thank you! Your order is placed.",
    "before": "This form was sent before: here is what it ordered then. Nothing was ordered once more.",
}
_DONE: Final[Mapping[str, str]] = {
    "refund": "It is cancelled, and its money is on the way back to you. The rest of the order goes on.",
}
"""What the page says after a form that leaves the order as it is, by what the form did; the end of one says it all."""

NOTES: Final[Mapping[str, str]] = {
    "some": "Some of what you ordered is not sold any more, or there is none of it now. The rest is in your cart.",
    "none": "Nothing of what you ordered can be had now: it is not sold any more, or there is none of it.",
}
"""What a cart says after an order was put into it once more, by how much of it that is."""

ORDER_PAGES: Final = Routes("/shop", "Storefront", FormRoute)


@ORDER_PAGES.add("GET", "/orders", demand=Demand.NOTHING, documented=False)
async def show_orders(request: Request) -> Response:
    """What somebody has ordered, the newest first."""
    visitor = await visitor_of(request)
    if visitor.caller is None:
        return redirect(with_query("/shop/sign-in", next=_ORDERS))
    listing = await shop_of(request).orders.listing(visitor.caller, query_of(request).get("after", ""))
    return page(request, "orders.html", visitor, listing=listing)


@ORDER_PAGES.add("GET", "/orders/{order}", demand=Demand.NOTHING, documented=False)
async def show_order(request: Request, order: str) -> Response:
    """Where an order is, and what can be done about it."""
    visitor = await visitor_of(request)
    if visitor.caller is None:
        return _sign_in(order)
    return await _order(request, visitor, await _found(request, visitor.caller, order))


@ORDER_PAGES.add("POST", "/orders/{order}", demand=Demand.NOTHING, cost=3, changes_access=False, documented=False)
async def change_order(request: Request, order: str) -> Response:
    """Cancel an order, have money of a line go back, or put what was ordered into the cart once more."""
    form, visitor = form_of(request), await visitor_of(request)
    caller, orders = visitor.caller, shop_of(request).orders
    if caller is None:
        return _sign_in(order)
    kept, do, once = await _found(request, caller, order), form.get("do", ""), form.get("once", "")
    try:
        if do in ("reorder", "reorder-declined"):
            much = await (orders.reorder(caller, order) if do == "reorder" else orders.reorder_declined(caller, kept))
            return redirect("/shop/checkout" if much == "all" else with_query("/shop/cart", reordered=much))
        if do not in ("cancel", "refund") or not _ONCE.fullmatch(once):
            raise Problem(INVALID, errors=[FieldError("/do", "unknown", "there is no such action")])
        if do == "cancel":
            await orders.cancel(caller, order, once, trace_parent(request))
        else:
            known = {line.number for line in kept.order.lines}
            counts = counts_of(form.get("line", ""), form.get("quantity", ""), known)
            await orders.refund(caller, order, counts, _reason(form), once, trace_parent(request))
    except NoSuchOrder as error:
        raise Problem(NOT_FOUND) from error
    except Refused as error:
        return await _order(request, visitor, await _found(request, caller, order), 409, error.message)
    except Problem as error:
        if error.type is not UNAUTHENTICATED:
            raise
        return _sign_in(order)
    return redirect(with_query(f"{_ORDERS}/{order}", done=do if do in _DONE else ""))


@ORDER_PAGES.add("GET", "/orders/{order}/events", demand=Demand.NOTHING, cost=2, documented=False,
                 gives=EventStream)  # fmt: skip
async def follow_here(request: Request, order: str) -> Response:
    """That an order has changed, for the script of its page, which shows it then."""
    visitor = await visitor_of(request, count=False)
    if visitor.caller is None:
        raise Problem(UNAUTHENTICATED)
    kept = await _found(request, visitor.caller, order)
    return await stream(request, visitor.caller, kept)


async def _found(request: Request, caller: Caller, order: str) -> KeptOrder:
    """An order of the caller's.

    Raises:
        Problem: There is none, or it is somebody else's: both are the same to whoever asks.
    """
    kept = await shop_of(request).orders.one(caller, order) if _ID.fullmatch(order) else None
    if kept is None:
        raise Problem(NOT_FOUND)
    return kept


async def _order(request: Request, visitor: Visitor, kept: KeptOrder, status: int = 200, message: str = "") -> Response:
    shown = await shop_of(request).orders.view(kept)
    query = query_of(request)
    placed = query.get("placed", "")
    return page(
        request, "order.html", visitor, status,
        order=shown,
        version=kept.order.version,
        message=message,
        note=_note(kept, placed, query.get("done", "")),
        # The browser that ordered says so to the store, once.
        just_placed=placed in _PLACED,
        shop=shown.card.shop,
    )  # fmt: skip


def _note(kept: KeptOrder, placed: str, done: str) -> str:
    """What the page says to whom a form has led here, for as long as it is so."""
    order = kept.order
    if done in _DONE:
        goes_on = order.state is OrderState.CONFIRMED and not all(refund.done for refund in order.refunds)
        return _DONE[done] if goes_on else ""
    ended = order.state in (OrderState.REFUNDING, OrderState.CANCELLED)
    return "" if ended and placed == "1" else _PLACED.get(placed, "")


def _reason(form: Mapping[str, str]) -> str:
    """Why money is to go back, as far as the store can be shown it."""
    text = " ".join(form.get("reason", "").split())
    if len(text) > MAX_REASON_CHARS or not _LINE.fullmatch(text):
        raise Refused(f"Say why in at most {MAX_REASON_CHARS} characters.")
    return text


def _sign_in(order: str) -> Response:
    return redirect(with_query("/shop/sign-in", next=f"{_ORDERS}/{order}" if _ID.fullmatch(order) else _ORDERS))
