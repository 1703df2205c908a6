"""The routes of orders, for those who buy."""

from __future__ import annotations

import re
import secrets
from typing import Annotated, Final

from fastapi import Query, Request, Response

from api.access import Demand, caller_is_there, caller_of, is_there_still
from api.ordering import Ordering
from api.orders.bodies import checkout_body, order_body
from api.orders.examples import CHECKOUT, EVENT, ID, ORDER
from api.orders.following import follow
from api.orders.pages import cursor_of, place_after
from api.orders.schemas import (
    CheckoutBody,
    LineToRefund,
    NewOrder,
    NewRefund,
    OrderBody,
    OrderList,
    ReorderBody,
    SkippedBody,
)
from api.web.cursors import MAX_CHARS
from api.web.events import LAST_EVENT_ID, EventStream, last_seen
from api.web.idempotency import once, stored
from api.web.problems import INVALID, NOT_FOUND, FieldError, Problem
from api.web.routes import Links, Routes
from connectors.errors import Unavailable
from connectors.mongo.idempotency import Claim
from connectors.mongo.orders import Asked, Checkout, KeptOrder, Wish
from marketplace.idempotency import StoredAnswer
from marketplace.orders.checkout import Seen
from marketplace.orders.requests import Party

_TRACE: Final = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_THIS: Final = {"order": "$response.body#/orders/0/id"}
_MADE: Final[Links] = {
    "get_order": _THIS,
    "get_checkout": {"checkout": "$response.body#/id"},
    "cancel_order": _THIS,
    "reorder": _THIS,
}

Limit = Annotated[int, Query(ge=1, le=100, description="At most so many.")]
CursorText = Annotated[str, Query(alias="cursor", max_length=MAX_CHARS, description="`next` of the page before.")]

ORDERS: Final = Routes("/v1", "Orders", moves_value=True)


def ordering(request: Request) -> Ordering:
    """What knows orders."""
    found: Ordering = request.app.state.ordering
    return found


def trace_parent(request: Request) -> str:
    """The trace that a request belongs to, or a new one."""
    given = request.headers.get("traceparent", "")
    return given if _TRACE.fullmatch(given) else f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def _asked(request: Request, order: str) -> Asked:
    return Asked(order, Party.BUYER, caller_of(request).user.id, trace_parent=trace_parent(request))


@ORDERS.add("POST", "/orders", demand=Demand.SIGNED_IN, cost=5, status=201, changes_access=False, once=True,
            located=True, model=CheckoutBody, example=CHECKOUT, links=_MADE)  # fmt: skip
async def place_order(request: Request, body: NewOrder) -> Response:
    """Order what is in the caller's cart, all or nothing: one order for each store and currency, and the cart is empty.

    Its goods are reserved at once, and the payment is asked for; until `pay_by` an order waits for it. Prices are those
    of now. Where something costs more than the buyer saw, is something else or is gone, the answer is 409 with
    `changes` and `changes_id`: who sends that `changes_id` has seen them. Where there is less than is wanted it is 409
    with `lacking`, which says how many are left.
    """
    wish = Wish(
        Seen(body.cart_version, body.changes_id), body.delivery.address(), body.payment.method, trace_parent(request)
    )
    user, known = caller_of(request).user.id, ordering(request)

    def answer(done: Checkout) -> StoredAnswer:
        return stored(201, checkout_body(done), f"/v1/checkouts/{done.id}")

    async def work(claim: Claim) -> StoredAnswer:
        with caller_is_there():
            return answer(await known.orders.place(user, wish, claim, answer))

    return await once(request, known.keys, known.clock, work)


@ORDERS.add("GET", "/orders", demand=Demand.SIGNED_IN, example={"orders": [ORDER], "next": None},
            links=dict.fromkeys(("get_order", "cancel_order", "reorder"), _THIS))  # fmt: skip
async def list_orders(request: Request, limit: Limit = 20, cursor_text: CursorText = "") -> OrderList:
    """The caller's orders, the newest first."""
    user = caller_of(request).user.id
    kind = f"orders of the account {user}"
    page = await ordering(request).orders.of_buyer(user, place_after(kind, cursor_text), limit)
    return OrderList(orders=list(map(order_body, page.orders)), next=cursor_of(kind, page.next))


@ORDERS.add("GET", "/orders/{order}", demand=Demand.SIGNED_IN, problems=[NOT_FOUND], example=ORDER)
async def get_order(request: Request, order: str) -> OrderBody:
    """An order of the caller's."""
    return order_body(await ordering(request).orders.one(order, buyer=caller_of(request).user.id))


@ORDERS.add("GET", "/checkouts/{checkout}", demand=Demand.SIGNED_IN, problems=[NOT_FOUND], example=CHECKOUT)
async def get_checkout(request: Request, checkout: str) -> CheckoutBody:
    """The orders that the caller has placed together."""
    return checkout_body(await ordering(request).orders.checkout(checkout, caller_of(request).user.id))


@ORDERS.add("POST", "/orders/{order}/cancel", demand=Demand.SIGNED_IN, cost=2, changes_access=False, once=True,
            problems=[NOT_FOUND], model=OrderBody, example=ORDER)  # fmt: skip
async def cancel_order(request: Request, order: str) -> Response:
    """End a whole order: one that waits for its payment, or a confirmed one of which nothing is packed yet.

    What was paid goes back, and the goods are others' again. While an order is being paid for or deducted from stock
    the answer is 409: a moment later it can be cancelled.
    """
    known, asked = ordering(request), _asked(request, order)

    async def work(claim: Claim) -> StoredAnswer:
        with caller_is_there():
            return _changed(await known.orders.cancel(asked, claim, _changed))

    return await once(request, known.keys, known.clock, work)


@ORDERS.add("POST", "/orders/{order}/refunds", demand=Demand.SIGNED_IN, cost=2, changes_access=False, once=True,
            problems=[NOT_FOUND], model=OrderBody, example=ORDER)  # fmt: skip
async def refund_order(request: Request, order: str, body: NewRefund) -> Response:
    """Take lines of a confirmed order back, as long as nothing is packed: their money goes back at once."""
    known, asked = ordering(request), _asked(request, order)

    async def work(claim: Claim) -> StoredAnswer:
        with caller_is_there():
            return _changed(await known.orders.refund(asked, counts_of(body.lines), body.reason, None, claim, _changed))

    return await once(request, known.keys, known.clock, work)


@ORDERS.add("POST", "/orders/{order}/reorder", demand=Demand.SIGNED_IN, cost=2, changes_access=False, once=False,
            problems=[NOT_FOUND],
            example={"version": 4, "added": [ID], "skipped": [{"variant": ID, "reason": "out-of-stock"}]})  # fmt: skip
async def reorder(request: Request, order: str) -> ReorderBody:
    """Put what was ordered into the caller's cart once more, as far as it is sold still: sent twice it is done once."""
    with caller_is_there():
        done = await ordering(request).orders.reorder(caller_of(request).user.id, order)
    skipped = [SkippedBody.model_validate({"variant": key, "reason": why}) for key, why in done.skipped.items()]
    return ReorderBody(version=done.version, added=list(done.added), skipped=skipped)


@ORDERS.add("GET", "/orders/{order}/events", demand=Demand.SIGNED_IN, cost=2, problems=[NOT_FOUND], example=EVENT,
            gives=EventStream, ends=True, in_path=[LAST_EVENT_ID])  # fmt: skip
async def follow_order(request: Request, order: str) -> Response:
    """What becomes of an order, as server-sent events: `id` is the order's version, `data` the order as it is then.

    It begins with the order as it is, unless `Last-Event-ID` is its version. It ends when nothing is going to happen by
    itself any more, after ten minutes, and when the sign-in ends; whoever comes again with the last `id` misses
    nothing. Where that is the end of the order already, the answer is 204.
    """
    user, known = caller_of(request).user.id, ordering(request)
    kept = await known.orders.one(order, buyer=user)

    async def allowed() -> bool | None:
        try:
            return await is_there_still(request)
        except Unavailable:
            return None

    return await follow(request, known.progress, kept, user, last_seen(request), allowed, _said)


def _said(kept: KeptOrder) -> str:
    return order_body(kept).model_dump_json()


def counts_of(lines: list[LineToRefund] | None) -> dict[int, int]:
    """How many of which line, by its number; empty for all.

    Raises:
        Problem: A line stands twice.
    """
    counts = {line.number: line.quantity for line in lines or ()}
    if lines is not None and len(counts) < len(lines):
        raise Problem(INVALID, errors=[FieldError("/lines", "twice", "give each line once")])
    return counts


def _changed(kept: KeptOrder) -> StoredAnswer:
    return stored(200, order_body(kept))
