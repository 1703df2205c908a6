"""The pages of a store: its front, categories, products and their reviews."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Final

from fastapi import Request
from starlette.responses import Response

from api.access import Demand
from api.callers import Caller
from api.storefront.addresses import with_query
from api.storefront.forms import FormRoute, form_of
from api.storefront.queries import checked_slug, query_of
from api.storefront.render import origin_of, page, redirect
from api.storefront.shop import Refused
from api.storefront.structured import structured
from api.storefront.views import Moved, ProductPage, ShopName
from api.storefront.visitors import Visitor, shop_of, visitor_of
from api.web.problems import INVALID, NOT_FOUND, FieldError, Problem
from api.web.routes import Routes
from marketplace.catalog.products import Availability, Product
from marketplace.reviews.reviews import MAX_TEXT_CHARS, ReportReason
from marketplace.texts import with_plain_ends

_MAX_ID_CHARS: Final = 200
_REASONS: Final = frozenset(ReportReason)

SHOP_PAGES: Final = Routes("/shop", "Storefront", FormRoute)
"""Registered after the other pages: their paths are written out, and a path that is written out is no store's."""


@SHOP_PAGES.add("GET", "/{shop}", demand=Demand.NOTHING, documented=False)
async def show_shop(request: Request, shop: str) -> Response:
    """The front of a store."""
    slug = checked_slug(shop)
    visitor, found = await asyncio.gather(visitor_of(request, surely=False), shop_of(request).market.shop_front(slug))
    if found is None:
        raise Problem(NOT_FOUND)
    return page(request, "shop.html", visitor, front=found, shop=found.shop)


@SHOP_PAGES.add("GET", "/{shop}/category/{category}", demand=Demand.NOTHING, documented=False)
async def show_category(request: Request, shop: str, category: str) -> Response:
    """A category of a store."""
    slug, query = checked_slug(shop), query_of(request)
    try:
        visitor, found = await asyncio.gather(
            visitor_of(request, surely=False), shop_of(request).market.category(slug, category, query)
        )
    except Refused as error:
        raise Problem(INVALID, errors=[FieldError(f"query:{error.field}", "invalid", error.message)]) from error
    if found is None:
        raise Problem(NOT_FOUND)
    return page(request, "category.html", visitor, category=found, shop=found.shop)


@SHOP_PAGES.add("GET", "/{shop}/{product}", demand=Demand.NOTHING, documented=False)
async def show_product(request: Request, shop: str, product: str) -> Response:
    """A product."""
    visitor, found = await _find(request, shop, product, surely=False)
    if isinstance(found, Moved):
        return redirect(found.url, status=301)
    store, sold = found
    services = shop_of(request)
    trail, reviews = await asyncio.gather(
        services.market.trail(store, sold), services.reviews.first(store, sold, visitor.caller)
    )
    shown, wanted = ProductPage(sold, store, trail, reviews), query_of(request).get("variant", "")
    buyable = [each for each in sold.variants if each.availability is not Availability.NONE]
    return page(
        request, "product.html", visitor, found=shown, shop=store,
        chosen=sold.variant(wanted) or (buyable or sold.variants)[0], json_ld=structured(shown, origin_of(request)),
        writing=query_of(request).get("write") == "1",
    )  # fmt: skip


@SHOP_PAGES.add("GET", "/{shop}/reviews/{product}", demand=Demand.NOTHING, documented=False)
async def show_reviews(request: Request, shop: str, product: str) -> Response:
    """Reviews of a product, as many as there are."""
    visitor, found = await _find(request, shop, product, surely=False)
    if isinstance(found, Moved):
        return redirect(found.url, status=301)
    return await _reviews(request, *found, visitor)


@SHOP_PAGES.add(
    "POST", "/{shop}/reviews/{product}", demand=Demand.NOTHING, cost=5, changes_access=False, documented=False
)
async def change_review(request: Request, shop: str, product: str) -> Response:
    """Write a review, remove the own one, say that one is helpful, or report one."""
    form = form_of(request)
    visitor, found = await _find(request, shop, product, surely=True)
    if isinstance(found, Moved):
        raise Problem(NOT_FOUND)
    store, sold = found
    back = f"{store.url}/{sold.slug}#reviews"
    if visitor.caller is None:
        return redirect(with_query("/shop/sign-in", next=back))
    try:
        await _review(request, sold, visitor.caller, form)
    except Refused as error:
        problems = {error.field: error.message} if error.field else {}
        kept = form if form.get("do") == "write" else {}
        return await _reviews(request, *found, visitor, 422, "" if problems else error.message, kept, problems)
    return redirect(back)


async def _find(
    request: Request, shop: str, product: str, *, surely: bool
) -> tuple[Visitor, tuple[ShopName, Product] | Moved]:
    """Who looks, and a product that can be seen.

    Raises:
        Problem: There is none; who looks is known to its page.
    """
    slugs = checked_slug(shop), checked_slug(product)
    visitor, found = await asyncio.gather(visitor_of(request, surely=surely), shop_of(request).market.find(*slugs))
    if found is None:
        raise Problem(NOT_FOUND)
    return visitor, found


async def _review(request: Request, product: Product, caller: Caller, form: Mapping[str, str]) -> None:
    do, review, reviews = form.get("do", ""), form.get("review", ""), shop_of(request).reviews
    if do == "write":
        stars, text = form.get("stars", ""), with_plain_ends(form.get("text", "")).strip()
        if not re.fullmatch("[1-5]", stars):
            raise Refused("Choose one to five stars.", "stars")
        if len(text) > MAX_TEXT_CHARS:
            raise Refused(f"Write at most {MAX_TEXT_CHARS:,} characters.", "text")
        await reviews.write(product, caller, int(stars), text)
    elif do == "remove":
        await reviews.remove(product, caller)
    elif do in ("helpful", "unhelpful") and len(review) <= _MAX_ID_CHARS:
        await reviews.vote(caller, review, helpful=do == "helpful")
    elif do == "report" and form.get("reason") in _REASONS and len(review) <= _MAX_ID_CHARS:
        await reviews.report(caller, review, form["reason"])
    else:
        raise Problem(INVALID, errors=[FieldError("/do", "unknown", "there is no such action")])


async def _reviews(
    request: Request,
    shop: ShopName,
    product: Product,
    visitor: Visitor,
    status: int = 200,
    message: str = "",
    form: Mapping[str, str] | None = None,
    problems: Mapping[str, str] | None = None,
) -> Response:
    after = query_of(request).get("after", "")
    services = shop_of(request)
    trail, reviews = await asyncio.gather(
        services.market.trail(shop, product), services.reviews.more(shop, product, visitor.caller, after)
    )
    return page(
        request, "reviews.html", visitor, status,
        found=ProductPage(product, shop, trail, reviews), shop=shop, message=message, form=form or {},
        problems=problems or {},
    )  # fmt: skip
