"""The routes of a store's stock, for those who work in it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from fastapi import Query, Request, Response

from api.access import access_of, caller_of
from api.ordering import Ordering
from api.stock.schemas import (
    Adjustment,
    GoodsToReceive,
    LevelBody,
    MovedBody,
    MovementBody,
    MovementList,
    StockList,
    Threshold,
    Transfer,
)
from api.stock.service import Levels
from api.web.cursors import MAX_CHARS, cursor, match_of
from api.web.idempotency import once, stored
from api.web.problems import CONFLICT, INVALID, FieldError, Problem
from api.web.routes import Routes
from api.web.times import rfc3339
from connectors.mongo.idempotency import Claim
from connectors.mongo.stock_changes import By, Change, KeptMovement
from marketplace.carts.cart import seen_of
from marketplace.carts.changes import options_text
from marketplace.catalog.products import Product
from marketplace.idempotency import StoredAnswer
from marketplace.identity.roles import Permission
from marketplace.inventory.levels import Level
from marketplace.sagas.inventory import MovementKind

_ID: Final = "5c0a1f7e6d8b4a3f9e2d1c0b5a694837"
_VARIANT: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_LINE: Final = re.compile(r"([0-9]{1,15}):([\x21-\x7e]{1,200})", re.ASCII)
_OF_AN_ORDER: Final = frozenset({MovementKind.SOLD, MovementKind.RETURNED})
_LEVEL: Final[dict[str, Any]] = {
    "variant": _ID, "product": _ID, "title": "Blue mug", "sku": "MUG-BLUE", "options": "Size: L", "on_hand": 12,
    "reserved": 2, "available": 10, "low_at": 3, "low": False, "availability": "many",
    "changed_at": "2026-11-29T12:00:00.000Z",
}  # fmt: skip
_MOVED: Final[dict[str, Any]] = {"levels": [_LEVEL]}
_MOVEMENT: Final[dict[str, Any]] = {
    "id": f"{_ID}:0", "quantity": 12, "kind": "received", "order": None, "by": _ID, "reason": "Delivery of Monday",
    "on_hand": 12, "at": "2026-11-29T12:00:00.000Z",
}  # fmt: skip
_THIS: Final = {"store": "$request.path.store", "variant": "$response.body#/levels/0/variant"}

Limit = Annotated[int, Query(ge=1, le=100, description="At most so many.")]
CursorText = Annotated[str, Query(alias="cursor", max_length=MAX_CHARS, description="`next` of the page before.")]

STOCK: Final = Routes("/v1/stores/{store}/stock", "Stock", moves_value=True)


def _ordering(request: Request) -> Ordering:
    found: Ordering = request.app.state.ordering
    return found


def _by(request: Request, reason: str = "") -> By:
    return By(access_of(request).slug, caller_of(request).user.id, reason)


@STOCK.add("GET", "", demand=Permission.READ_STOCK, cost=2, example={"levels": [_LEVEL], "next": None},
           links={"list_stock_movements": _THIS, "put_stock_threshold": _THIS, "stop_counting": _THIS})  # fmt: skip
async def list_stock(request: Request, limit: Limit = 20, cursor_text: CursorText = "") -> StockList:
    """What is there of the store's variants that are counted. A variant that was never received is not counted."""
    slug = access_of(request).slug
    kind = f"stock of the store {slug}"
    after = match_of(kind, cursor_text, _VARIANT)[0] if cursor_text else ""
    page = await _ordering(request).stock.page(slug, after, limit)
    return StockList(levels=_levels(page), next=cursor(kind, page.next) if page.next else None)


@STOCK.add("POST", "/transfer", demand=Permission.EDIT_STOCK, cost=2, changes_access=False, once=True, model=MovedBody,
           example=_MOVED)  # fmt: skip
async def transfer_stock(request: Request, body: Transfer) -> Response:
    """Let goods be another variant's: packed otherwise, or labelled wrongly. What orders have reserved stays."""
    if body.source.variant == body.target.variant:
        raise Problem(INVALID, errors=[FieldError("/target/variant", "same", "give another variant than the source")])
    kind = MovementKind.TRANSFERRED
    changes = [
        Change(body.source.product, body.source.variant, -body.quantity, kind),
        Change(body.target.product, body.target.variant, body.quantity, kind),
    ]
    return await _move(request, changes, body.reason)


@STOCK.add("POST", "/{variant}/receive", demand=Permission.EDIT_STOCK, cost=2, changes_access=False, once=True,
           model=MovedBody, example=_MOVED)  # fmt: skip
async def receive_stock(request: Request, variant: str, body: GoodsToReceive) -> Response:
    """Goods came. From the first ones on the variant is counted, and buyers are shown what stock says of it."""
    return await _move(request, [Change(body.product, variant, body.quantity, MovementKind.RECEIVED)], body.reason)


@STOCK.add("POST", "/{variant}/adjust", demand=Permission.EDIT_STOCK, cost=2, changes_access=False, once=True,
           model=MovedBody, example=_MOVED)  # fmt: skip
async def adjust_stock(request: Request, variant: str, body: Adjustment) -> Response:
    """There are more or fewer than was thought. What orders have reserved cannot be missing: the answer is 409 then."""
    if body.quantity == 0:
        raise Problem(INVALID, errors=[FieldError("/quantity", "zero", "give how many more or fewer there are")])
    return await _move(request, [Change(body.product, variant, body.quantity, MovementKind.ADJUSTED)], body.reason)


@STOCK.add("PUT", "/{variant}/threshold", demand=Permission.EDIT_STOCK, cost=2, changes_access=False,
           problems=[CONFLICT], example=_LEVEL)  # fmt: skip
async def put_stock_threshold(request: Request, variant: str, body: Threshold) -> LevelBody:
    """Say from when on there is too little of a variant."""
    return _levels(await _ordering(request).stock.set_low(_by(request), variant, body.low_at))[0]


@STOCK.add("DELETE", "/{variant}", demand=Permission.EDIT_STOCK, cost=2, status=204, changes_access=False,
           problems=[CONFLICT])  # fmt: skip
async def stop_counting(request: Request, variant: str) -> None:
    """Count a variant no more: its seller says by hand how much there is. Of what is reserved the answer is 409."""
    await _ordering(request).stock.stop(_by(request, "not counted any more"), variant)


@STOCK.add("GET", "/{variant}/movements", demand=Permission.READ_STOCK, cost=2,
           example={"movements": [_MOVEMENT], "next": None})  # fmt: skip
async def list_stock_movements(
    request: Request, variant: str, limit: Limit = 20, cursor_text: CursorText = ""
) -> MovementList:
    """The ledger of a variant, the newest line first. Lines are only added."""
    slug = access_of(request).slug
    kind = f"movements of {variant} of the store {slug}"
    found = match_of(kind, cursor_text, _LINE) if cursor_text else None
    before = None if found is None else (int(found[1]), found[2])
    page, more = await _ordering(request).stock.history(slug, variant, before, limit)
    place = f"{page[-1].at_ms}:{page[-1].movement.id}" if more else ""
    return MovementList(movements=list(map(_movement, page)), next=cursor(kind, place) if place else None)


async def _move(request: Request, changes: list[Change], reason: str) -> Response:
    known, by = _ordering(request), _by(request, reason)

    async def work(claim: Claim) -> StoredAnswer:
        return _moved(await known.stock.move(by, changes, claim, _moved))

    return await once(request, known.keys, known.clock, work)


def _moved(levels: Levels) -> StoredAnswer:
    return stored(200, MovedBody(levels=_levels(levels)))


def _levels(levels: Levels) -> list[LevelBody]:
    return [_level(level, levels.products.get(level.product)) for level in levels.levels]


def _level(level: Level, product: Product | None) -> LevelBody:
    variant = None if product is None else product.variant(level.variant)
    return LevelBody(
        variant=level.variant,
        product=level.product,
        title=None if product is None else product.title,
        sku=None if variant is None else variant.sku,
        options=None if product is None or variant is None else options_text(seen_of(product, variant)),
        on_hand=level.on_hand,
        reserved=level.reserved,
        available=level.available,
        low_at=level.low_at,
        low=level.is_low,
        availability=level.availability.value,
        changed_at=rfc3339(level.changed_at_ms),
    )


def _movement(kept: KeptMovement) -> MovementBody:
    movement = kept.movement
    return MovementBody(
        id=movement.id,
        quantity=movement.quantity,
        kind=movement.kind.value,
        order=movement.cause if movement.kind in _OF_AN_ORDER else None,
        by=kept.by or None,
        reason=kept.note,
        on_hand=kept.on_hand,
        at=rfc3339(kept.at_ms),
    )
