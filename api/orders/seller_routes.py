"""The routes of a store's orders, for those who work in it."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

from fastapi import Query, Request, Response

from api.access import access_of, caller_of
from api.orders.bodies import Names, case_body, store_order_body
from api.orders.examples import CASE, STORE_ORDER
from api.orders.pages import cursor_of, place_after
from api.orders.routes import CursorText, Limit, counts_of, ordering, trace_parent
from api.orders.schemas import (
    FulfilmentToPut,
    NewSellerRefund,
    StateName,
    StoreOrderBody,
    StoreOrderCase,
    StoreOrderList,
)
from api.web.idempotency import Fill, once, stored
from api.web.problems import CONFLICT
from api.web.routes import Routes
from connectors.mongo.idempotency import Claim
from connectors.mongo.orders import Asked, KeptOrder
from marketplace.idempotency import StoredAnswer
from marketplace.identity.roles import Permission
from marketplace.orders.delivery import FulfilmentState
from marketplace.orders.requests import Party
from marketplace.sagas.order_state import OrderState
from marketplace.texts import NOT_IN_LINES

_OF_THE_BUYER: Final = {"buyer", "delivery"}
_MAX_SEARCH_CHARS: Final = 254
_LINE: Final = rf"^[^{NOT_IN_LINES}]*$"
_THIS: Final[dict[str, Any]] = {"store": "$request.path.store", "order": "$response.body#/orders/0/id"}

STORE_ORDERS: Final = Routes("/v1/stores/{store}/orders", "Orders", moves_value=True)


def _asked(request: Request, order: str) -> Asked:
    slug, actor = access_of(request).slug, caller_of(request).user.id
    return Asked(order, Party.SELLER, actor, slug, trace_parent(request))


@STORE_ORDERS.add("GET", "", demand=Permission.READ_ORDERS, cost=2, example={"orders": [STORE_ORDER], "next": None},
                  links=dict.fromkeys(("get_store_order", "cancel_store_order", "put_fulfilment"), _THIS))  # fmt: skip
async def list_store_orders(
    request: Request,
    state: Annotated[StateName | None, Query(description="Only those in this one.")] = None,
    q: Annotated[
        str,
        Query(
            max_length=_MAX_SEARCH_CHARS,
            pattern=_LINE,
            description="The id of an order, of a checkout or of a buyer, or a buyer's address.",
        ),
    ] = "",
    limit: Limit = 20,
    cursor_text: CursorText = "",
) -> StoreOrderList:
    """The orders of a store, the newest first."""
    slug, service = access_of(request).slug, ordering(request).orders
    kind = f"orders of the store {slug} in {state} with {q}"
    wanted = None if state is None else OrderState(state)
    page = await service.of_store(slug, wanted, q, place_after(kind, cursor_text), limit)
    names = await service.names(page.orders)
    return StoreOrderList(
        orders=[store_order_body(each, names) for each in page.orders], next=cursor_of(kind, page.next)
    )


@STORE_ORDERS.add("GET", "/{order}", demand=Permission.READ_ORDERS, cost=2, example=CASE)
async def get_store_order(request: Request, order: str) -> StoreOrderCase:
    """An order of the store with its payment and all that has happened, and which service has handled what."""
    service = ordering(request).orders
    case = await service.case(order, access_of(request).slug)
    return case_body(case.order, await service.names([case.order]), case.payment, case.timeline)


@STORE_ORDERS.add("POST", "/{order}/cancel", demand=Permission.MANAGE_ORDERS, cost=2, works_frozen=True,
                  changes_access=False, once=True, model=StoreOrderBody, example=STORE_ORDER)  # fmt: skip
async def cancel_store_order(request: Request, order: str) -> Response:
    """End a whole order whose goods are there still; what was paid goes back.

    What is shipped is not cancelled but refunded. While an order is being paid for or deducted from stock the answer is
    409: a moment later it can be cancelled.
    """
    known, asked = ordering(request), _asked(request, order)
    names = await _names(request, order)

    async def work(claim: Claim) -> StoredAnswer:
        return stored(200, store_order_body(await known.orders.cancel(asked, claim, _kept_answer), names))

    return await once(request, known.keys, known.clock, work, _fill(request, order))


@STORE_ORDERS.add("POST", "/{order}/refunds", demand=Permission.MANAGE_ORDERS, cost=2, works_frozen=True,
                  changes_access=False, once=True, model=StoreOrderBody, example=STORE_ORDER)  # fmt: skip
async def refund_store_order(request: Request, order: str, body: NewSellerRefund) -> Response:
    """Give back money of a confirmed order, for all that is left of it or for some lines.

    The goods come back into stock where they were not shipped, or as `restock` says.
    """
    known, asked = ordering(request), _asked(request, order)
    names, counts = await _names(request, order), counts_of(body.lines)

    async def work(claim: Claim) -> StoredAnswer:
        kept = await known.orders.refund(asked, counts, body.reason, body.restock, claim, _kept_answer)
        return stored(200, store_order_body(kept, names))

    return await once(request, known.keys, known.clock, work, _fill(request, order))


@STORE_ORDERS.add("PUT", "/{order}/fulfilment", demand=Permission.MANAGE_ORDERS, cost=2, works_frozen=True,
                  changes_access=False, problems=[CONFLICT], example=STORE_ORDER)  # fmt: skip
async def put_fulfilment(request: Request, order: str, body: FulfilmentToPut) -> StoreOrderBody:
    """Say where the goods of a confirmed order are: `unfulfilled`, `packed`, `shipped` or `delivered`.

    They follow each other; what is packed can be unpacked, and what is shipped does not come back. Carrier and tracking
    number can be corrected. Said twice it is noted once.
    """
    service = ordering(request).orders
    state = FulfilmentState(body.state)
    kept = await service.fulfil(_asked(request, order), state, body.carrier, body.tracking)
    return store_order_body(kept, await service.names([kept]))


async def _names(request: Request, order: str) -> Names:
    """Who the buyer of an order is, before the transaction that keeps an answer with it."""
    service = ordering(request).orders
    return await service.names([await service.one(order, store=access_of(request).slug)])


def _kept_answer(kept: KeptOrder) -> StoredAnswer:
    """What is kept of an answer to a seller: not who the buyer is, who may delete the account before it expires."""
    return StoredAnswer(200, store_order_body(kept, {}).model_dump_json(exclude=_OF_THE_BUYER))


def _fill(request: Request, order: str) -> Fill:
    """Puts the buyer back, as far as there is one still."""

    async def fill(answer: StoredAnswer) -> StoredAnswer:
        service = ordering(request).orders
        kept = await service.one(order, store=access_of(request).slug)
        now = store_order_body(kept, await service.names([kept])).model_dump(include=_OF_THE_BUYER)
        return stored(answer.status, StoreOrderBody.model_validate({**json.loads(answer.body), **now}), answer.location)

    return fill
