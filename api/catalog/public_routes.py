"""The routes of shops that everybody may ask; their answers are kept in Redis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import Request, Response

from api.access import Demand
from api.catalog.answers import Answer
from api.catalog.public import PublicCatalog
from api.catalog.schemas import CategoryList, PublicProduct, ShopView
from api.web.conditions import is_unchanged
from api.web.problems import NOT_FOUND, Problem
from api.web.routes import Routes

_ID: Final = "3f2a9c51d06e4b7fa8c1e2d3b4a59687"
_COST: Final = 0.2
"""A visitor of a shop reads many of them."""

_SHOP: Final = {"slug": "anns-shop", "title": "Ann's shop"}
_CATEGORY: Final[dict[str, Any]] = {"id": _ID, "slug": "mugs", "name": "Mugs", "parent": None}
_PRODUCT: Final[dict[str, Any]] = {
    "id": _ID, "slug": "blue-mug", "shop": _SHOP, "title": "Blue mug", "description": "Of stoneware.",
    "currency": "EUR", "options": [],
    "variants": [
        {
            "id": _ID, "sku": "MUG-BLUE", "values": [], "price_minor": 1250, "compare_at_minor": None,
            "availability": "many",
        }
    ],
    "images": [{"url": "https://shop.example/mug.jpg", "alt": "A blue mug"}], "categories": [_CATEGORY],
    "rating": 4.5, "reviews": 2, "stars": {"1": 0, "2": 0, "3": 0, "4": 1, "5": 1}, "version": 1,
    "changed_at": "2026-11-29T12:00:00.000Z",
}  # fmt: skip
_SHOP_PATH: Final[dict[str, Any]] = {
    "name": "shop", "in": "path", "required": True, "schema": {"type": "string", "title": "Shop"},
    "description": "The slug of the shop's store.", "example": "anns-shop",
}  # fmt: skip
_PRODUCT_PATH: Final[dict[str, Any]] = {
    "name": "slug", "in": "path", "required": True, "schema": {"type": "string", "title": "Slug"},
    "description": "The product's, or an earlier one.", "example": "blue-mug",
}  # fmt: skip
_HEADERS: Final[Mapping[str, str]] = {"cache-control": "public, no-cache"}

SHOPS: Final = Routes("/v1/shops", "Shops")


def _public(request: Request) -> PublicCatalog:
    found: PublicCatalog = request.app.state.catalog.public
    return found


@SHOPS.add("GET", "/{shop}", demand=Demand.NOTHING, cost=_COST, problems=[NOT_FOUND], model=ShopView, example=_SHOP,
           revalidates=True, in_path=[_SHOP_PATH])  # fmt: skip
async def get_shop(request: Request) -> Response:
    """A shop."""
    return _response(request, await _public(request).shop(request.path_params["shop"]))


@SHOPS.add("GET", "/{shop}/categories", demand=Demand.NOTHING, cost=_COST, problems=[NOT_FOUND], model=CategoryList,
           example={"categories": [_CATEGORY]}, revalidates=True, in_path=[_SHOP_PATH])  # fmt: skip
async def list_shop_categories(request: Request) -> Response:
    """All categories of a shop; of one level in the order in which they are shown."""
    return _response(request, await _public(request).categories(request.path_params["shop"]))


@SHOPS.add("GET", "/{shop}/products/{slug}", demand=Demand.NOTHING, cost=_COST, problems=[NOT_FOUND],
           model=PublicProduct, example=_PRODUCT, revalidates=True, moves=True,
           in_path=[_SHOP_PATH, _PRODUCT_PATH])  # fmt: skip
async def get_shop_product(request: Request) -> Response:
    """A product that is active, by its slug; an earlier slug leads to the present one with 301."""
    path = request.path_params
    return _response(request, await _public(request).product(path["shop"], path["slug"]))


def _response(request: Request, answer: Answer | None) -> Response:
    if answer is None:
        raise Problem(NOT_FOUND)
    if answer.location:
        return Response(status_code=301, headers={**_HEADERS, "location": answer.location})
    headers = {**_HEADERS, "etag": answer.etag}
    if is_unchanged(request, answer.etag):
        return Response(status_code=304, headers=headers)
    return Response(answer.body, headers=headers, media_type="application/json")
