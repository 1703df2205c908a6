"""Web pages of the demo's sample shops, with the snippet on them: clicks on them appear on the dashboard."""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ingest.samples.pictures import picture
from ingest.samples.shops import SampleProduct, SampleShop, SampleShops, decode_shops

_NOT_FOUND: Final = 404
_PLACEHOLDER: Final = re.compile(r"\{\{([a-z_]+)\}\}")
_log = logging.getLogger(__name__)


class SampleShopPages:
    """The endpoints ``/shop``, ``/shop/{slug}`` and ``/shop/{slug}/products/{product}``.

    Args:
        shops_file: The shops; read again whenever it changes. Without the file there are no pages.
        dashboard_port: The port of this machine's dashboard.
    """

    def __init__(self, shops_file: Path, dashboard_port: int) -> None:
        self._file, self._dashboard_port = shops_file, dashboard_port
        self._read: tuple[int, SampleShops] | None = None

    async def index(self, request: Request) -> Response:
        """All shops."""
        shops = self._shops().shops
        if not shops:
            raise HTTPException(_NOT_FOUND)
        cards = "".join(_shop_card(shop) for shop in shops)
        styles = "".join(f"#{_identity(shop)} {{ --hue: {shop.hue}; }}" for shop in shops)
        return _page(_INDEX, {"cards": cards, "styles": styles})

    async def shop(self, request: Request) -> Response:
        """One shop, or one of its products; the page shows the other products without reloading."""
        shop = self._shops().find(request.path_params["slug"])
        wanted = request.path_params.get("product")
        if shop is None:
            raise HTTPException(_NOT_FOUND)
        product = next((p for p in shop.products if p.slug == wanted), None)
        if wanted is not None and product is None:
            raise HTTPException(_NOT_FOUND)
        host = request.url.hostname or "127.0.0.1"
        name = f"[{host}]" if ":" in host else host
        port = f":{request.url.port}" if request.url.port else ""
        return _page(
            _SHOP,
            _values(
                shop,
                product,
                collector=f"{request.url.scheme}://{name}{port}",
                dashboard=f"{request.url.scheme}://{name}:{self._dashboard_port}/?store={shop.slug}",
            ),
        )

    def _shops(self) -> SampleShops:
        try:
            changed_at = self._file.stat().st_mtime_ns
            if self._read is None or self._read[0] != changed_at:
                self._read = changed_at, decode_shops(self._file.read_bytes())
        except FileNotFoundError:
            return SampleShops()
        except (OSError, msgspec.MsgspecError) as error:
            _log.warning("sample shops: %s", error)
            return SampleShops()
        return self._read[1]


def _values(shop: SampleShop, product: SampleProduct | None, *, collector: str, dashboard: str) -> dict[str, str]:
    snippet = f'<script async src="{escape(collector)}/m.js" data-key="{escape(shop.write_key)}"></script>'
    title = escape(shop.title)
    return {
        "product_attribute": f' data-product="{escape(product.slug)}"' if product else "",
        "page_title": f"{escape(product.title)} · {title}" if product else title,
        "title": title,
        "title_json": json.dumps(shop.title).replace("<", "\\u003c"),
        "tagline": escape(shop.tagline),
        "hue": str(shop.hue % 360),
        "home": _path(shop),
        "home_hidden": " hidden" if product else "",
        "cards": "".join(_card(shop, each) for each in shop.products),
        "pages": "".join(_product_page(shop, each, shown=each is product) for each in shop.products),
        "snippet": snippet,
        "snippet_shown": escape(snippet),
        "dashboard": escape(dashboard),
    }


def _page(template: str, values: Mapping[str, str]) -> Response:
    nonce = secrets.token_urlsafe(16)
    values = {**values, "nonce": nonce}
    # One pass over the template: a value that looks like a placeholder is not replaced.
    body = _PLACEHOLDER.sub(lambda found: values[found[1]], template)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'self' 'nonce-{nonce}'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {
        "content-security-policy": policy,
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
    }
    return Response(body, headers=headers, media_type="text/html")


def _path(shop: SampleShop, product: SampleProduct | None = None) -> str:
    home = f"/shop/{escape(shop.slug)}"
    return f"{home}/products/{escape(product.slug)}" if product else home


def _identity(shop: SampleShop) -> str:
    return "shop-" + re.sub("[^a-z0-9-]", "", shop.slug)


def _card(shop: SampleShop, product: SampleProduct) -> str:
    title, slug = escape(product.title), escape(product.slug)
    return (
        f'<article class="card" data-product="{slug}"><a href="{_path(shop, product)}" data-page>'
        f'<div class="art">{picture(shop.motif, product.slug, shop.hue, title)}</div></a>'
        f'<div class="text"><a class="name" href="{_path(shop, product)}" data-page>{title}</a><div class="row">'
        f'<span class="price">{escape(product.price)}</span><button class="buy" name="add-to-cart">Add to cart'
        "</button></div></div></article>"
    )


def _product_page(shop: SampleShop, product: SampleProduct, *, shown: bool) -> str:
    title, slug = escape(product.title), escape(product.slug)
    return (
        f'<section data-path="{_path(shop, product)}" data-name="{slug}" data-title="{title}"'
        f'{"" if shown else " hidden"}><a class="back" href="{_path(shop)}" data-page>← All of {escape(shop.title)}</a>'
        f'<div class="one" data-product="{slug}"><div class="art">'
        f'{picture(shop.motif, product.slug, shop.hue, title)}</div><div class="text"><h1>{title}</h1>'
        f'<div class="price">{escape(product.price)}</div><p>{escape(product.description)}</p><div class="buttons">'
        '<button class="buy" name="add-to-cart">Add to cart</button><button class="quiet" name="wishlist">'
        'Keep for later</button><button class="quiet" name="reviews">Reviews</button></div></div></div></section>'
    )


def _shop_card(shop: SampleShop) -> str:
    title = escape(shop.title)
    art = picture(shop.motif, shop.products[0].slug, shop.hue, title) if shop.products else ""
    return (
        f'<a class="card" id="{_identity(shop)}" href="{_path(shop)}"><div class="art">{art}</div>'
        f'<div class="text"><h2>{title}</h2><p>{escape(shop.tagline)}</p></div></a>'
    )


_SHOP: Final = files("ingest.samples").joinpath("shop.html").read_text(encoding="utf-8")
_INDEX: Final = files("ingest.samples").joinpath("shops.html").read_text(encoding="utf-8")
