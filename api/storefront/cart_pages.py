"""The page of the cart."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from fastapi import Request
from starlette.responses import Response

from api.access import Demand
from api.storefront.cookies import CART, FORM, setting, value_of
from api.storefront.forms import FormRoute, form_of, guest_secret
from api.storefront.order_pages import NOTES
from api.storefront.queries import query_of
from api.storefront.render import as_json, page, redirect, wants_json
from api.storefront.shop import ChoiceNeeded, Refused
from api.storefront.visitors import Visitor, shop_of, visitor_of
from api.web.problems import INVALID, FieldError, Problem
from api.web.routes import Routes

_CART: Final = "/shop/cart"
_ID: Final = re.compile(r"[0-9a-f]{32}")
_ID_OR_NONE: Final = re.compile(r"(?:[0-9a-f]{32})?")
_ONCE: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")
_MAX_LINE_CHARS: Final = 200
_QUANTITY_CHARS: Final = 4
_MERGED: Final = {
    "capped": "Of some products there are fewer than before and in this cart together: no more fit into one.",
    "later": "What you had put in before you signed in joins your cart when you put something in.",
    "full": "Your cart was full, so what you had put in before you signed in did not fit. Remove something first.",
}

CART_PAGES: Final = Routes("/shop", "Storefront", FormRoute)


@CART_PAGES.add("GET", "/cart", demand=Demand.NOTHING, documented=False)
async def show_cart(request: Request) -> Response:
    """The cart."""
    return await _cart(request, await visitor_of(request, count=False))


@CART_PAGES.add("POST", "/cart", demand=Demand.NOTHING, cost=2, changes_access=False, documented=False)
async def change_cart(request: Request) -> Response:
    """Put something into the cart, change a line, remove one, or take the cart as it is now."""
    form, visitor = form_of(request), await visitor_of(request, count=False)
    do, carts = form.get("do", ""), shop_of(request).carts
    try:
        if do == "add":
            return await _add(request, visitor, form)
        if do in ("set", "remove"):
            quantity = _quantity(form.get("quantity", "")) if do == "set" else 0
            await carts.set_quantity(visitor.owner, form.get("line", "")[:_MAX_LINE_CHARS], quantity)
            return redirect(_CART)
        if do == "accept":
            await carts.accept(visitor.owner, form.get("changes", "")[:_MAX_LINE_CHARS])
            return redirect(_CART)
    except ChoiceNeeded as error:
        if wants_json(request):
            return as_json({"message": error.message, "added": False, "url": error.url})
        return redirect(error.url)
    except Refused as error:
        if wants_json(request):
            return as_json({"message": error.message, "added": False, "once": _new_once()}, 422)
        return await _cart(request, visitor, 422, error.message)
    raise Problem(INVALID, errors=[FieldError("/do", "unknown", "there is no such action")])


async def _add(request: Request, visitor: Visitor, form: Mapping[str, str]) -> Response:
    product, variant, once = form.get("product", ""), form.get("variant", ""), form.get("once", "")
    if not _ID.fullmatch(product) or not _ID_OR_NONE.fullmatch(variant) or not _ONCE.fullmatch(once):
        raise Refused("There is no such product.", "variant")
    quantity = _quantity(form.get("quantity", "1"))
    if quantity < 1:
        raise Refused("Add at least one.", "quantity")
    carts = shop_of(request).carts
    if visitor.caller is not None and visitor.guest:
        # It was left when they signed in, because a part did not answer or the cart was full.
        await carts.merge(visitor.caller, visitor.guest)
    new_secret = guest_secret(value_of(request.scope, FORM), once)
    guest = await carts.add(visitor.owner, product, variant, quantity, once, new_secret)
    cookies = [setting(request.scope, CART, guest)] if guest else []
    if not wants_json(request):
        return redirect(_CART, *cookies)
    count = await carts.count(visitor.owner if visitor.caller else Visitor(None, guest).owner)
    answer = as_json({"message": "Added to the cart", "added": True, "count": count, "once": _new_once()})
    for cookie in cookies:
        answer.headers.append("set-cookie", cookie)
    return answer


async def _cart(request: Request, visitor: Visitor, status: int = 200, message: str = "") -> Response:
    cart = await shop_of(request).carts.cart(visitor.owner)
    visitor = replace(visitor, in_cart=cart.count)
    said = query_of(request)
    notes = [note for name, note in _MERGED.items() if said.get("merged") == name]
    notes += [note for name, note in NOTES.items() if said.get("reordered") == name]
    stores = {part.shop.slug: part.shop for part in cart.shops}
    # What is done in a cart is counted for a store where it is all of that one.
    of_one = next(iter(stores.values())) if len(stores) == 1 else None
    return page(
        request, "cart.html", visitor, status, cart=cart, notes=notes, message=message, shop=of_one,
        is_open=shop_of(request).checkout.is_open,
    )  # fmt: skip


def _quantity(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > _QUANTITY_CHARS:
        raise Refused("Give a whole number.", "quantity")
    return int(text)


def _new_once() -> str:
    return secrets.token_urlsafe(12)
