"""The pages of the marketplace itself, and what all pages load."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from fastapi import Request
from starlette.responses import Response

from api.access import Demand
from api.storefront import assets
from api.storefront.forms import FormRoute
from api.storefront.pictures import MOTIFS, picture
from api.storefront.queries import query_of
from api.storefront.render import as_json, page
from api.storefront.shop import Refused
from api.storefront.visitors import shop_of, visitor_of
from api.web.problems import INVALID, NOT_FOUND, FieldError, Problem
from api.web.routes import Routes
from marketplace.stores import SLUG

_PICTURE: Final = re.compile(r"([a-z0-9-]{1,100})\.svg")
_HUE: Final = re.compile(r"[0-9]{1,3}", re.ASCII)

MARKET_PAGES: Final = Routes("/shop", "Storefront", FormRoute)


@MARKET_PAGES.add("GET", "", demand=Demand.NOTHING, documented=False)
async def show_front(request: Request) -> Response:
    """The front of the marketplace."""
    visitor, front = await asyncio.gather(visitor_of(request, surely=False), shop_of(request).market.front())
    return page(request, "front.html", visitor, front=front)


@MARKET_PAGES.add("GET", "/search", demand=Demand.NOTHING, cost=2, documented=False)
async def show_search(request: Request) -> Response:
    """Results of a search."""
    visitor = await visitor_of(request, surely=False)
    try:
        found = await shop_of(request).market.search(query_of(request))
    except Refused as error:
        raise Problem(INVALID, errors=[FieldError(f"query:{error.field}", "invalid", error.message)]) from error
    if found is None:
        raise Problem(NOT_FOUND)
    return page(request, "search.html", visitor, found=found, shop=found.shop)


@MARKET_PAGES.add("GET", "/suggest", demand=Demand.NOTHING, cost=0.5, documented=False)
async def suggest(request: Request) -> Response:
    """What somebody who types may mean, for the script of pages."""
    query = query_of(request)
    shop = query.get("shop", "")
    found = await shop_of(request).market.suggest(query.get("q", ""), shop if SLUG.fullmatch(shop) else "")
    said = [{"text": each.text, "url": each.url, "kind": each.kind, "detail": each.detail} for each in found]
    return as_json({"suggestions": said}, headers={"cache-control": "private, max-age=30"})


@MARKET_PAGES.add("GET", "/assets/{file}", demand=Demand.NOTHING, cost=0.02, documented=False)
async def show_asset(request: Request, file: str) -> Response:
    """What pages load."""
    return assets.answer(request, file)


@MARKET_PAGES.add("GET", "/pictures/{motif}/{hue}/{file}", demand=Demand.NOTHING, cost=0.02, documented=False)
async def show_picture(request: Request, motif: str, hue: str, file: str) -> Response:
    """A picture that is drawn of a product's name."""
    name = _PICTURE.fullmatch(file)
    if motif not in MOTIFS or not _HUE.fullmatch(hue) or name is None:
        raise Problem(NOT_FOUND)
    headers = {"cache-control": assets.FOREVER, "content-security-policy": "default-src 'none'; sandbox"}
    return Response(picture(motif, name[1], int(hue) % 360, ""), headers=headers, media_type="image/svg+xml")
