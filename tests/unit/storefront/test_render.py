"""What pages are made of: nothing that somebody has written becomes markup."""

from __future__ import annotations

import gzip
import json
import re
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st

from api.storefront import assets, render
from api.storefront.cart_views import CartLine, CartPage, CartShop
from api.storefront.pictures import MOTIFS, picture
from api.storefront.render import StorefrontConfig, error_page, page
from api.storefront.structured import structured
from api.storefront.views import Card, Front, Link, ProductPage, Reviews, ReviewView, ShopName
from api.storefront.visitors import Visitor
from api.web.problems import PROBLEM_TYPES, Problem, ProblemType
from marketplace.catalog.products import Image, Option, Variant
from tests.kits.buyers import PageReader
from tests.kits.products import product

MARK = "\x02"
"""Stands in every text that somebody has written; no template has it."""

HOSTILE = st.text(max_size=60).map(lambda text: f"{MARK}<b a='\"{text}</script>")


def request_for(path: str = "/shop") -> Request:
    app = SimpleNamespace(
        state=SimpleNamespace(storefront=StorefrontConfig("https://market.example", "https://c.example"))
    )
    return Request(
        {
            "type": "http", "method": "GET", "path": path, "query_string": b"", "scheme": "https", "app": app,
            "headers": [(b"host", b"market.example")], "state": {"request_id": "r" * 32},
        }
    )  # fmt: skip


def tags_of(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Elements and the names of their attributes, in order."""
    return [(tag, tuple(sorted(attributes))) for tag, attributes in PageReader(text).tags]


def page_of(text: str) -> str:
    """A page of each kind, with a text in every place that somebody writes."""
    shop, visitor = ShopName("tea", text, "key"), Visitor(in_cart=1)
    card = Card("1" * 32, shop, "mug", text, "EUR", 100, 200, 150, "/x.svg", text, 4.5, 2, "few")
    sold = product(
        text, description=text, options=(Option(text, ("a",)),), images=(Image("/x.svg", text), Image("/y.svg", text)),
        variants=(Variant("1" * 32, text, (text,), 100), Variant("2" * 32, "b", (text,), 200)), stars=(0, 0, 0, 0, 1),
    )  # fmt: skip
    review = ReviewView("3" * 32, text, 5, text, 0, reply=text)
    found = ProductPage(sold, shop, [Link(text, "/shop/tea")], Reviews([review]))
    line = CartLine("l", "1" * 32, "/shop/tea/mug", text, text, "/x.svg", 2, 100, "EUR", [text])
    cart = CartPage([CartShop(shop, [line], [(200, "EUR")])], [(200, "EUR")], 2, "c")
    request, ld = request_for(), structured(found, "https://market.example")
    pages = (
        page(request, "front.html", visitor, front=Front([shop], [Link(text, "/shop")], [card], [card])),
        page(request, "product.html", visitor, found=found, shop=shop, chosen=sold.variants[0], json_ld=ld),
        page(request, "cart.html", visitor, cart=cart, notes=[text], message=text, shop=shop, is_open=True),
        page(
            request, "register.html", visitor, next="/shop", form={"email": text}, problems={"name": text}, sent=False
        ),
    )
    return "".join(bytes(each.body).decode("utf-8", "surrogatepass") for each in pages)


@given(HOSTILE.filter(lambda text: not re.search(r"[\ud800-\udfff\r\n]", text)))
def test_a_text_changes_no_element_of_a_page(text: str) -> None:
    plain = page_of("plain")
    hostile = page_of(text)
    assert tags_of(hostile) == tags_of(plain)
    assert f"{MARK}<b" not in hostile
    assert f"{MARK}&lt;b" in hostile


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_data_in_a_page_ends_no_element_and_is_read_as_it_was(value: Any) -> None:
    written = str(render._json_ld(value))
    assert not set("<>&") & set(written)
    assert json.loads(written) == value


@pytest.mark.parametrize("kind", PROBLEM_TYPES, ids=lambda kind: kind.name)
def test_every_problem_is_a_page_with_a_way_on(kind: ProblemType) -> None:
    answer = error_page(request_for("/shop/cart"), Problem(kind, retry_after_seconds=3))
    text = bytes(answer.body).decode()
    assert answer.status_code == kind.status
    assert "/shop" in PageReader(text).links
    assert "Try again in 3 seconds" in text
    assert (f"<code>{'r' * 32}</code>" in text) is (kind.status >= 500)


@pytest.mark.parametrize("asset", [assets.STYLE, assets.SCRIPT], ids=lambda asset: asset.name.partition(".")[0])
def test_a_file_is_named_by_its_bytes_and_is_small(asset: assets.Asset) -> None:
    assert gzip.decompress(asset.packed) == asset.body
    assert len(asset.packed) < 10_000
    assert re.fullmatch(r"shop\.[0-9a-f]{16}\.(css|js)", asset.name)


@pytest.mark.parametrize("motif", MOTIFS)
@given(name=st.from_regex(r"[a-z0-9-]{1,100}", fullmatch=True), hue=st.integers(0, 359))
def test_a_picture_is_an_image_and_the_same_whenever_it_is_drawn(motif: str, name: str, hue: int) -> None:
    drawn = picture(motif, name, hue, "")
    assert ElementTree.fromstring(drawn).tag == "{http://www.w3.org/2000/svg}svg"
    assert picture(motif, name, hue, "") == drawn
    assert len(drawn) < 12_000
