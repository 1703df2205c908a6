"""Addresses of the storefront: where a browser may be sent, and which names no store and no product can have."""

from __future__ import annotations

from urllib.parse import unquote, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.storefront.addresses import is_page, safe_path
from api.storefront.routes import STOREFRONT
from api.storefront.views import ShopName
from marketplace.catalog import slugs as product_slugs
from marketplace.identity.slugs import is_reserved

PATHS = sorted({path for feature in STOREFRONT for _, path in feature.rules})
FIRST = sorted({path.split("/")[2] for path in PATHS if path.count("/") > 1 and "{" not in path.split("/")[2]})
SECOND = sorted({parts[3] for path in PATHS if len(parts := path.split("/")) > 4 and parts[2] == "{shop}"})


def test_whatever_an_address_of_a_shop_begins_with_it_is_one_address_to_write_to() -> None:
    link = urlsplit(ShopName("shop", "Shop", contact="a?subject=x&b#c%41@shop.example").mail_url)
    assert (link.scheme, unquote(link.path), link.query, link.fragment) == (
        "mailto", "a?subject=x&b#c%41@shop.example", "", "",
    )  # fmt: skip
    assert ShopName("shop", "Shop").mail_url == ""


@given(st.one_of(st.text(), st.text(alphabet="/\\:.?#@ \t\nshopevil").map(lambda text: f"/shop{text}")))
def test_a_target_that_a_form_names_is_a_page_of_the_storefront(target: str) -> None:
    found = safe_path(target)
    parts = urlsplit(urljoin("https://market.example/shop/sign-in", found))
    assert parts.netloc == "market.example"
    assert is_page(parts.path)
    assert found.isprintable()


@pytest.mark.parametrize("target", ["/shop/..", "/shop/../v1", "/shop/%2E%2e/v1", "/shop/.%2e", "/shop/./../x?a#b"])
def test_a_target_that_climbs_out_of_the_storefront_is_none_of_it(target: str) -> None:
    assert safe_path(target) == "/shop"


@pytest.mark.parametrize("target", ["/shop", "/shop/cart", "/shop/tea/mug?variant=1#reviews", "/shop/search?q=a//b"])
def test_a_target_of_the_storefront_is_kept(target: str) -> None:
    assert safe_path(target) == target


@pytest.mark.parametrize("name", FIRST)
def test_no_store_has_the_name_of_a_page(name: str) -> None:
    assert is_reserved(name)


@pytest.mark.parametrize("name", SECOND)
def test_no_product_has_the_name_of_a_page_of_its_store(name: str) -> None:
    assert product_slugs.is_reserved(name)


def test_there_are_such_names() -> None:
    assert {"cart", "search", "sign-in", "pictures"} <= set(FIRST)
    assert SECOND == ["category", "reviews"]
