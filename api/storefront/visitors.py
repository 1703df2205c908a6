"""Who looks at a page: a buyer who is signed in, or a guest who may have a cart."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from fastapi import Request

from api.callers import Caller
from api.storefront.cookies import CART, SESSION, value_of
from api.storefront.service import Shop
from api.storefront.shop import CartOwner
from api.web.problems import Problem
from connectors.errors import Unavailable


@dataclass(frozen=True)
class Visitor:
    """Who looks at a page.

    Attributes:
        caller: Who is signed in; None for a guest.
        guest: The secret of a guest's cart; empty where there is none.
        in_cart: Pieces in the cart; None where nobody can say now.
        unsure: Whether nobody can say now who is signed in.
        unread: How many notifications are new to who is signed in, for people; empty where there are none, or nobody
            can say now.
    """

    caller: Caller | None = None
    guest: str = ""
    in_cart: int | None = 0
    unsure: bool = False
    unread: str = ""

    @property
    def owner(self) -> CartOwner:
        """Of the cart."""
        return CartOwner(self.caller, "" if self.caller else self.guest)


async def visitor_of(request: Request, *, surely: bool = True, count: bool = True) -> Visitor:
    """Who looks.

    Args:
        request: Of a page.
        surely: Whether the page is nothing without knowing who looks: one that shows what everybody sees is.
        count: Whether the page says how much is in the cart.

    Raises:
        Unavailable: Nobody can say now.
    """
    session = value_of(request.scope, SESSION)
    try:
        caller = await request.app.state.identities.caller_of_cookie(session) if session else None
    except Unavailable:
        if surely:
            raise
        return visitor_now(request)
    found = Visitor(caller, value_of(request.scope, CART))
    request.state.visitor = found
    in_cart, unread = await asyncio.gather(_in_cart(request, found, count), _unread(request, found))
    found = replace(found, in_cart=in_cart, unread=unread)
    request.state.visitor = found
    return found


async def _in_cart(request: Request, visitor: Visitor, count: bool) -> int | None:
    if not count or visitor.owner.nobody:
        return visitor.in_cart
    try:
        return await shop_of(request).carts.count(visitor.owner)
    except (Unavailable, Problem):
        # A page is of more use than the number on its cart.
        return None


async def _unread(request: Request, visitor: Visitor) -> str:
    if visitor.caller is None or request.method != "GET":
        return ""
    try:
        return await shop_of(request).notices.unread(visitor.caller)
    except Unavailable:
        return ""


def visitor_now(request: Request) -> Visitor:
    """Who looks, as far as it was found out: for the page of an error, which asks nobody."""
    found: Visitor | None = getattr(request.state, "visitor", None)
    return found or Visitor(None, "", None, unsure=True)


def shop_of(request: Request) -> Shop:
    """What answers the storefront."""
    found: Shop = request.app.state.shop
    return found
