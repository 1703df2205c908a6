"""Who looks at a page: a buyer who is signed in, or a guest who may have a cart."""

from __future__ import annotations

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
    """

    caller: Caller | None = None
    guest: str = ""
    in_cart: int | None = 0
    unsure: bool = False

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
    if not count or found.owner.nobody:
        return found
    try:
        in_cart = await shop_of(request).carts.count(found.owner)
    except (Unavailable, Problem):
        # A page is of more use than the number on its cart.
        return replace(found, in_cart=None)
    found = replace(found, in_cart=in_cart)
    request.state.visitor = found
    return found


def visitor_now(request: Request) -> Visitor:
    """Who looks, as far as it was found out: for the page of an error, which asks nobody."""
    found: Visitor | None = getattr(request.state, "visitor", None)
    return found or Visitor(None, "", None, unsure=True)


def shop_of(request: Request) -> Shop:
    """What answers the storefront."""
    found: Shop = request.app.state.shop
    return found
