"""The pages of a store: its front, categories, products and their reviews."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

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
from api.storefront.views import Moved, ProductPage
from api.storefront.visitors import Visitor, shop_of, visitor_of
from api.web.problems import INVALID, NOT_FOUND, FieldError, Problem
from api.web.routes import Routes
from marketplace.catalog.products import Availability

_MAX_PRODUCT_SLUG_CHARS: Final = 200
_MAX_TEXT_CHARS: Final = 5_000
_MAX_ID_CHARS: Final = 200
_REASONS: Final = ("spam", "offensive", "off-topic", "private", "false")

SHOP_PAGES: Final = Routes("/shop", "Storefront", FormRoute)
"""Registered after the other pages: their paths are written out, and a path that is written out is no store's."""


@SHOP_PAGES.add("GET", "/{shop}", demand=Demand.NOTHING, documented=False)
async def show_shop(request: Request, shop: str) -> Response:
    """The front of a store."""
    visitor = await visitor_of(request)
    found = await shop_of(request).market.shop_front(checked_slug(shop))
    if found is None:
        raise Problem(NOT_FOUND)
    return page(request, "shop.html", visitor, front=found, shop=found.shop)


@SHOP_PAGES.add("GET", "/{shop}/category/{category}", demand=Demand.NOTHING, documented=False)
async def show_category(request: Request, shop: str, category: str) -> Response:
    """A category of a store."""
    visitor = await visitor_of(request)
    try:
        found = await shop_of(request).market.category(checked_slug(shop), category, query_of(request))
    except Refused as error:
        raise Problem(INVALID, errors=[FieldError(f"query:{error.field}", "invalid", error.message)]) from error
    if found is None:
        raise Problem(NOT_FOUND)
    return page(request, "category.html", visitor, category=found, shop=found.shop)


@SHOP_PAGES.add("GET", "/{shop}/{product}", demand=Demand.NOTHING, documented=False)
async def show_product(request: Request, shop: str, product: str) -> Response:
    """A product."""
    visitor = await visitor_of(request)
    found = await product_of(request, shop, product, visitor)
    if isinstance(found, Moved):
        return redirect(found.url, status=301)
    return product_answer(request, found, visitor)


async def product_of(request: Request, shop: str, product: str, visitor: Visitor) -> ProductPage | Moved:
    """A product that can be seen.

    Raises:
        Problem: There is none.
    """
    found = await shop_of(request).market.product(
        checked_slug(shop), checked_slug(product, _MAX_PRODUCT_SLUG_CHARS), visitor.caller
    )
    if found is None:
        raise Problem(NOT_FOUND)
    return found


def product_answer(request: Request, found: ProductPage, visitor: Visitor, status: int = 200, **more: Any) -> Response:
    """The page of a product."""
    product, wanted = found.product, query_of(request).get("variant", "")
    buyable = [each for each in product.variants if each.availability is not Availability.NONE]
    chosen = product.variant(wanted) or (buyable or product.variants)[0]
    return page(
        request, "product.html", visitor, status,
        found=found, shop=found.shop, chosen=chosen, json_ld=structured(found, origin_of(request)), **more,
    )  # fmt: skip


@SHOP_PAGES.add("GET", "/{shop}/reviews/{product}", demand=Demand.NOTHING, documented=False)
async def show_reviews(request: Request, shop: str, product: str) -> Response:
    """More reviews of a product."""
    visitor = await visitor_of(request)
    found = await product_of(request, shop, product, visitor)
    if isinstance(found, Moved):
        return redirect(found.url, status=301)
    return await _reviews(request, found, visitor)


@SHOP_PAGES.add(
    "POST", "/{shop}/reviews/{product}", demand=Demand.NOTHING, cost=5, changes_access=False, documented=False
)
async def change_review(request: Request, shop: str, product: str) -> Response:
    """Write a review, remove the own one, say that one is helpful, or report one."""
    form, visitor = form_of(request), await visitor_of(request)
    found = await product_of(request, shop, product, visitor)
    if isinstance(found, Moved):
        raise Problem(NOT_FOUND)
    back = f"{found.url}#reviews"
    if visitor.caller is None:
        return redirect(with_query("/shop/sign-in", next=back))
    try:
        await _review(request, found, visitor.caller, form)
    except Refused as error:
        problems = {error.field: error.message} if error.field else {}
        kept = form if form.get("do") == "write" else {}
        return await _reviews(request, found, visitor, 422, "" if problems else error.message, kept, problems)
    return redirect(back)


async def _review(request: Request, found: ProductPage, caller: Caller, form: Mapping[str, str]) -> None:
    do, review, opinions = form.get("do", ""), form.get("review", ""), shop_of(request).opinions
    if do == "write":
        stars, text = form.get("stars", ""), form.get("text", "").replace("\r\n", "\n").strip()
        if not re.fullmatch("[1-5]", stars):
            raise Refused("Choose one to five stars.", "stars")
        if len(text) > _MAX_TEXT_CHARS:
            raise Refused(f"Write at most {_MAX_TEXT_CHARS:,} characters.", "text")
        await opinions.write(found, caller, int(stars), text)
    elif do == "remove":
        await opinions.remove(found, caller)
    elif do in ("helpful", "unhelpful") and len(review) <= _MAX_ID_CHARS:
        await opinions.vote(caller, review, helpful=do == "helpful")
    elif do == "report" and form.get("reason") in _REASONS and len(review) <= _MAX_ID_CHARS:
        await opinions.report(caller, review, form["reason"])
    else:
        raise Problem(INVALID, errors=[FieldError("/do", "unknown", "there is no such action")])


async def _reviews(
    request: Request,
    found: ProductPage,
    visitor: Visitor,
    status: int = 200,
    message: str = "",
    form: Mapping[str, str] | None = None,
    problems: Mapping[str, str] | None = None,
) -> Response:
    after = query_of(request).get("after", "")
    reviews = await shop_of(request).opinions.more(found, visitor.caller, after)
    shown = replace(found, reviews=reviews)
    return page(
        request, "reviews.html", visitor, status,
        found=shown, shop=found.shop, message=message, form=form or {}, problems=problems or {},
    )  # fmt: skip
