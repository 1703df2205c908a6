"""The routes of search."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated, Any, Final

import msgspec
from fastapi import Depends, Query, Request, Response
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from api.access import Demand
from api.identity.schemas import ONE_LINE, SLUG_FORM
from api.search.pages import cursor_of, place_after
from api.search.schemas import SearchPage, SuggestionList
from api.search.service import SearchService
from api.web.cursors import MAX_CHARS as CURSOR_CHARS
from api.web.problems import INVALID, NOT_FOUND, FieldError, Problem
from api.web.routes import Routes
from marketplace.money import EXPONENTS, MAX_MINOR
from marketplace.search.answers import Found, Hit, NoSuchShop
from marketplace.search.queries import MAX_CHARS, Filters, Sort
from marketplace.search.queries import Query as Asked

MAX_SUGGESTIONS: Final = 10
_ID: Final = "3f2a9c51d06e4b7fa8c1e2d3b4a59687"
_PAGE: Final[dict[str, Any]] = {
    "hits": [
        {
            "id": _ID, "store": "anns-shop", "store_title": "Ann's shop", "slug": "blue-mug", "title": "Blue mug",
            "currency": "EUR", "price_minor": 1250, "highest_price_minor": 1450, "compare_at_minor": 1500,
            "image": "https://shop.example/mug.webp", "image_alt": "A blue mug", "rating": 4.5, "reviews": 12,
            "availability": "many",
        }
    ],
    "total": 1,
    "facets": {
        "categories": [{"slug": "mugs", "name": "Mugs", "parent": "kitchen", "count": 1}],
        "currencies": [{"currency": "EUR", "count": 1}],
        "prices": [{"currency": "EUR", "price_min": 1000, "price_max": 2499, "count": 1}],
        "in_stock": 1,
        "ratings": [{"rating": 4, "count": 1}],
    },
    "lenient": False, "complete": True, "next": None,
}  # fmt: skip
_SUGGESTIONS: Final = {
    "suggestions": [
        {"text": "Mugs", "kind": "category", "slug": "mugs", "store": None},
        {"text": "Blue mug", "kind": "product", "slug": "blue-mug", "store": "anns-shop"},
    ]
}
_NEXT: Final = {"cursor": "$response.body#/next"}

SEARCH: Final = Routes("/v1", "Search")


def _currency(code: str) -> str:
    if code not in EXPONENTS:
        raise PydanticCustomError("currency", "give a code of ISO 4217, such as EUR")
    return code


Text = Annotated[
    str,
    Query(
        min_length=1,
        max_length=MAX_CHARS,
        pattern=ONE_LINE,
        description="What is looked for, as plain text: no character means anything. Each of its first ten words has "
        "to be there; the last one may be the beginning of a word.",
    ),
]
_Price = Annotated[int | None, Query(ge=0, le=MAX_MINOR, description="In minor units; needs `currency`.")]


async def _asked(
    q: Text | None = None,
    category: Annotated[
        str | None,
        Query(
            max_length=63,
            pattern=SLUG_FORM,
            description="The slug of a category; those below it count, too.",
        ),
    ] = None,
    currency: Annotated[
        str | None,
        Query(pattern="^[A-Z]{3}$", description="Of prices.", json_schema_extra={"enum": sorted(EXPONENTS)}),
        AfterValidator(lambda code: code if code is None else _currency(code)),
    ] = None,
    price_min: _Price = None,
    price_max: _Price = None,
    in_stock: Annotated[bool, Query(description="Only what there is some of.")] = False,
    rating: Annotated[int | None, Query(ge=1, le=5, description="The mean of stars, at least.")] = None,
    sort: Annotated[
        Sort, Query(description="Prices of several currencies are compared as numbers, and not by value.")
    ] = Sort.RELEVANCE,
) -> Asked:
    if currency is None and (price_min is not None or price_max is not None):
        raise Problem(INVALID, errors=[FieldError("query:currency", "missing", "a price needs its currency")])
    return Asked(q or "", None, Filters(category, currency, price_min, price_max, in_stock, rating), sort)


_Asked = Annotated[Asked, Depends(_asked)]
_Limit = Annotated[int, Query(ge=1, le=100, description="At most so many.")]
_Cursor = Annotated[
    str, Query(alias="cursor", max_length=CURSOR_CHARS, description="`next` of the page before, of the same question.")
]


def _service(request: Request) -> SearchService:
    found: SearchService = request.app.state.search
    return found


@SEARCH.add("GET", "/search", demand=Demand.NOTHING, cost=2, model=SearchPage, example=_PAGE,
            links={"search_products": _NEXT})  # fmt: skip
async def search_products(request: Request, asked: _Asked, limit: _Limit = 24, cursor_text: _Cursor = "") -> Response:
    """Products of all stores that match a text and filters, page by page, with counts for further filters.

    Pages neither skip nor repeat a product that stays as it is, whatever is added and deleted meanwhile. A change of a
    product is found a second later as a rule.
    """
    return _found(request, asked, limit, cursor_text)


@SEARCH.add("GET", "/search/suggestions", demand=Demand.NOTHING, model=SuggestionList, example=_SUGGESTIONS)
async def suggest_products(request: Request, q: Text) -> Response:
    """What a text that is being typed may go on to, in all stores: at most three categories, and titles of products."""
    return _suggested(request, q, None)


@SEARCH.add("GET", "/shops/{shop}/search", demand=Demand.NOTHING, cost=2, model=SearchPage, example=_PAGE,
            problems=[NOT_FOUND],
            links={"search_shop": {"shop": "$request.path.shop", **_NEXT}})  # fmt: skip
async def search_shop(
    request: Request, shop: str, asked: _Asked, limit: _Limit = 24, cursor_text: _Cursor = ""
) -> Response:
    """The same in one store."""
    return _found(request, replace(asked, shop=shop), limit, cursor_text)


@SEARCH.add("GET", "/shops/{shop}/search/suggestions", demand=Demand.NOTHING, model=SuggestionList,
            problems=[NOT_FOUND], example=_SUGGESTIONS)  # fmt: skip
async def suggest_in_shop(request: Request, shop: str, q: Text) -> Response:
    """The same in one store."""
    return _suggested(request, q, shop)


def _found(request: Request, asked: Asked, limit: int, cursor_text: str) -> Response:
    after = place_after(asked, cursor_text)
    try:
        found = _service(request).search(asked, after, limit)
    except NoSuchShop as error:
        raise Problem(NOT_FOUND) from error
    return _json(page_body(found, cursor_of(asked, found.next) if found.next else None))


def _suggested(request: Request, text: str, shop: str | None) -> Response:
    try:
        found = _service(request).suggest(text, shop, MAX_SUGGESTIONS)
    except NoSuchShop as error:
        raise Problem(NOT_FOUND) from error
    return _json({"suggestions": [asdict(each) for each in found]})


def page_body(found: Found, next_cursor: str | None) -> dict[str, Any]:
    """A page as JSON has it."""
    facets = found.facets
    return {
        "hits": [_hit(hit) for hit in found.hits],
        "total": found.total,
        "facets": {
            "categories": [asdict(each) for each in facets.categories],
            "currencies": [{"currency": code, "count": count} for code, count in facets.currencies],
            "prices": [asdict(each) for each in facets.prices],
            "in_stock": facets.in_stock,
            "ratings": [{"rating": least, "count": count} for least, count in facets.ratings],
        },
        "lenient": found.lenient,
        "complete": found.complete,
        "next": next_cursor,
    }


def _hit(hit: Hit) -> dict[str, Any]:
    card = hit.card
    return {
        "id": card.id,
        "store": card.store,
        "store_title": hit.store_title,
        "slug": card.slug,
        "title": card.title,
        "currency": card.currency,
        "price_minor": card.lowest_minor,
        "highest_price_minor": card.highest_minor,
        "compare_at_minor": card.compare_at_minor,
        "image": card.image,
        "image_alt": card.image_alt,
        "rating": card.rating,
        "reviews": card.reviews,
        "availability": card.availability,
    }


def _json(body: Any) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")
