"""The routes of carts."""

from __future__ import annotations

from typing import Any, Final

from fastapi import Request

from api.access import CART_HEADER, Demand, caller_is_there, caller_of
from api.carts.schemas import (
    CappedBody,
    CartBody,
    ChangeBody,
    GuestCart,
    LineBody,
    LineToPut,
    MergedCart,
    NewCart,
    NewLine,
    NewQuantity,
    OptionBody,
    Shown,
    TotalBody,
)
from api.carts.service import CartService, CartView
from api.web.problems import CONFLICT, NOT_FOUND
from api.web.routes import Links, Routes
from api.web.times import rfc3339
from connectors.mongo.carts import Holder
from marketplace.carts.cart import Line
from marketplace.carts.changes import Change

_ID: Final = "5c0a1f7e6d8b4a3f9e2d1c0b5a694837"
_CART: Final[dict[str, Any]] = {
    "version": 3, "pieces": 2,
    "lines": [
        {
            "product": _ID, "variant": _ID, "store": "anns-shop", "store_title": "Ann's shop", "slug": "blue-mug",
            "title": "Blue mug", "options": [{"name": "Size", "value": "L"}], "quantity": 2, "price_minor": 1250,
            "currency": "EUR", "total_minor": 2500, "availability": "many", "image": "https://shop.example/mug.jpg",
            "image_alt": "A blue mug", "product_version": 4, "added_at": "2026-11-29T12:00:00.000Z",
            "changes": [{"kind": "price", "before": 1250, "after": 1100}],
        }
    ],
    "totals": [{"store": "anns-shop", "currency": "EUR", "quantity": 2, "total_minor": 2500}],
    "changes_id": "0" * 32, "expires_at": None,
}  # fmt: skip
_NEW: Final[dict[str, Any]] = {
    "secret": "q3Zk8n0S5v1J2r7XwT4yLmPbHdFcGaUe6iOoKsVt9xA",
    "cart": {
        "version": 1, "pieces": 0, "lines": [], "totals": [], "changes_id": None,
        "expires_at": "2026-11-30T12:00:00.000Z",
    },
}  # fmt: skip
_MERGED: Final[dict[str, Any]] = {
    "cart": _CART,
    "merged": True,
    "capped": [{"variant": _ID, "wanted": 120, "kept": 99}],
}
_THIS_LINE: Final = {"variant": "$response.body#/lines/0/variant"}
_AFTER: Final[Links] = {
    "set_cart_line": _THIS_LINE,
    "remove_cart_line": _THIS_LINE,
    "accept_cart_changes": {"body.changes_id": "$response.body#/changes_id"},
}

CARTS: Final = Routes("/v1", "Cart")


def _service(request: Request) -> CartService:
    found: CartService = request.app.state.shopping.carts
    return found


def _holder(request: Request) -> Holder:
    caller = request.state.caller
    given = request.headers.getlist(CART_HEADER)
    return CartService.holder(caller.user.id if caller else None, given[0] if len(given) == 1 else "")


@CARTS.add("POST", "/carts", demand=Demand.NOTHING, cost=2, status=201, changes_access=False, example=_NEW,
           links={"merge_cart": {"body.secret": "$response.body#/secret"}})  # fmt: skip
async def create_cart(request: Request) -> NewCart:
    """Make an empty cart for somebody who is not signed in.

    Its secret is shown this once and is sent as `X-Cart`. The cart is kept for a day, and for 30 days after a
    change once there is something in it.
    """
    secret, view = await _service(request).create_guest()
    return NewCart(secret=secret, cart=_body(view))


@CARTS.add("GET", "/cart", demand=Demand.CART, problems=[NOT_FOUND], example=_CART, links=_AFTER)
async def get_cart(request: Request) -> CartBody:
    """The caller's cart, or that of `X-Cart` where nobody is signed in, with all that is different now."""
    return _body(await _service(request).get(_holder(request)))


@CARTS.add("DELETE", "/cart", demand=Demand.CART, cost=2, status=204, changes_access=False, problems=[NOT_FOUND])
async def delete_cart(request: Request) -> None:
    """Delete the cart. The secret of a guest's is worth nothing any more; an account has an empty one then."""
    with caller_is_there():
        await _service(request).delete(_holder(request))


@CARTS.add("POST", "/cart/lines", demand=Demand.CART, cost=2, changes_access=False, problems=[NOT_FOUND, CONFLICT],
           example=_CART, links=_AFTER)  # fmt: skip
async def add_cart_line(request: Request, body: NewLine) -> CartBody:
    """Put further pieces of a variant in. Sent twice it adds twice: `PUT` of the line says how many there are to be.

    What is not for sale is not there (404). Of what there is none now, and beyond the limits of a line and of the cart,
    nothing is put in (409; the error's `code` is `out-of-stock`, `limit` or `cart-full`).
    """
    with caller_is_there():
        return _body(await _service(request).add(_holder(request), body.product, body.variant, body.quantity))


@CARTS.add("PUT", "/cart/lines/{variant}", demand=Demand.CART, cost=2, changes_access=False,
           problems=[NOT_FOUND, CONFLICT], example=_CART, links=_AFTER)  # fmt: skip
async def put_cart_line(request: Request, variant: str, body: LineToPut) -> CartBody:
    """Let the cart have so many pieces of a variant, whether it had some or none: sent twice it is done once."""
    with caller_is_there():
        return _body(await _service(request).put(_holder(request), body.product, variant, body.quantity))


@CARTS.add("PATCH", "/cart/lines/{variant}", demand=Demand.CART, cost=2, changes_access=False, problems=[NOT_FOUND],
           example=_CART, links=_AFTER)  # fmt: skip
async def set_cart_line(request: Request, variant: str, body: NewQuantity) -> CartBody:
    """Change how many pieces a line has, whatever became of its product."""
    with caller_is_there():
        return _body(await _service(request).set_quantity(_holder(request), variant, body.quantity))


@CARTS.add("DELETE", "/cart/lines/{variant}", demand=Demand.CART, cost=2, changes_access=False, problems=[NOT_FOUND],
           example=_CART)  # fmt: skip
async def remove_cart_line(request: Request, variant: str) -> CartBody:
    """Take a line out."""
    with caller_is_there():
        return _body(await _service(request).remove(_holder(request), variant))


@CARTS.add("POST", "/cart/seen", demand=Demand.CART, cost=2, changes_access=False, problems=[NOT_FOUND, CONFLICT],
           example=_CART)  # fmt: skip
async def accept_cart_changes(request: Request, body: Shown) -> CartBody:
    """Take over what is different now: prices and titles become those of now, and lines that are gone are removed.

    `changes_id` is the cart's: where something else is different by now, the answer is 409 and nothing changes.
    """
    with caller_is_there():
        return _body(await _service(request).accept(_holder(request), body.changes_id))


@CARTS.add("POST", "/cart/merge", demand=Demand.SIGNED_IN, cost=2, changes_access=False, problems=[CONFLICT],
           example=_MERGED)  # fmt: skip
async def merge_cart(request: Request, body: GuestCart) -> MergedCart:
    """Put a guest's cart into the caller's. It is done once, however often it is asked for: the guest's is gone then.

    A variant that both have becomes one line, with at most as many pieces as a line may have. No line is lost: the cart
    may have more lines than it may have otherwise, and as long as it has, nothing is put in and nothing is merged.
    """
    with caller_is_there():
        merged = await _service(request).merge(caller_of(request).user.id, body.secret)
    return MergedCart(
        cart=_body(merged.view),
        merged=merged.merged,
        capped=[CappedBody(variant=each.variant, wanted=each.wanted, kept=each.kept) for each in merged.capped],
    )


def _body(view: CartView) -> CartBody:
    return CartBody(
        version=view.version,
        pieces=view.pieces,
        lines=[_line(view, line) for line in view.cart.lines],
        totals=[
            TotalBody(store=each.store, currency=each.currency, quantity=each.quantity, total_minor=each.total_minor)
            for each in view.totals
        ],
        changes_id=view.changes_id,
        expires_at=None if view.expires_at is None else rfc3339(view.expires_at),
    )


def _line(view: CartView, line: Line) -> LineBody:
    seen = line.seen
    return LineBody(
        product=line.product,
        variant=line.variant,
        store=line.store,
        store_title=view.store_titles.get(line.store),
        slug=seen.slug,
        title=seen.title,
        options=[OptionBody(name=name, value=value) for name, value in seen.options],
        quantity=line.quantity,
        price_minor=seen.price_minor,
        currency=seen.currency,
        total_minor=line.quantity * seen.price_minor,
        availability=seen.availability.value,
        image=seen.image or None,
        image_alt=seen.image_alt,
        product_version=seen.version,
        added_at=rfc3339(line.added_at),
        changes=[_change(each) for each in view.changes_of(line)],
    )


def _change(change: Change) -> ChangeBody:
    return ChangeBody(kind=change.kind.value, before=change.before, after=change.after)
