"""The sample shop pages of a demo: only where asked for, safe, and with the snippet as a seller would have it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ingest.config import CollectorConfig
from ingest.samples.pictures import MOTIFS, picture
from ingest.samples.shops import SampleProduct, SampleShop, SampleShops, decode_shops, encode_shops
from ops.demo.traffic.catalogue import SHOWN, shops_file, write_shops
from ops.demo.traffic.shops import SHOPS, DemoStore, store_of, write_key
from runtime.settings import InvalidSettings
from tests.kits.collector import Collector, running_collector, with_limits

EVIL = "</script><script>alert('x')</script>{{nonce}}\"&"
SHOP = SHOPS[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_shops(
        tmp_path, [DemoStore(shop, store_of(shop, shop.name, 1), write_key(shop.name, 1), "") for shop in SHOPS]
    )
    return tmp_path


@pytest.fixture
def collector(folder: Path) -> Iterator[Collector]:
    with running_collector(with_limits(shops_file=str(shops_file(folder)), dashboard_port=8599)) as running:
        yield running


class Tags(HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def page_of(collector: Collector, path: str) -> str:
    response = collector.http.get(path)
    assert response.status_code == 200, response.text
    return response.text


@pytest.mark.parametrize("path", ["/shop", "/shop/brooklyn-coffee", "/shop/brooklyn-coffee/products/x"])
def test_without_the_setting_there_is_no_shop(path: str) -> None:
    with running_collector() as plain:
        assert plain.http.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/shop/nobody", "/shop/brooklyn-coffee/products/nothing", "/shop/nobody/products/x"])
def test_what_is_not_sold_is_not_there(collector: Collector, path: str) -> None:
    response = collector.http.get(path)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")


def test_the_index_leads_to_every_shop(collector: Collector) -> None:
    links = {attributes.get("href") for tag, attributes in Tags(page_of(collector, "/shop")).found if tag == "a"}
    assert links == {f"/shop/{shop.name}" for shop in SHOPS}


@pytest.mark.parametrize("shop", SHOPS, ids=lambda shop: shop.name)
def test_a_shop_shows_its_best_sellers_and_each_has_a_page(collector: Collector, shop: object) -> None:
    assert isinstance(shop, type(SHOP))
    links = {a.get("href") for tag, a in Tags(page_of(collector, f"/shop/{shop.name}")).found if tag == "a"}
    wanted = {f"/shop/{shop.name}/products/{slug}" for _, slug in shop.products()[:SHOWN]}
    assert wanted <= links
    for path in wanted:
        assert f'<html lang="en" data-product="{path.rpartition("/")[2]}">' in page_of(collector, path)


def test_the_snippet_is_installed_and_shown_as_a_seller_would_copy_it(collector: Collector) -> None:
    page = page_of(collector, f"/shop/{SHOP.name}")
    installed = f'<script async src="{collector.url}/m.js" data-key="{write_key(SHOP.name, 1)}"></script>'
    assert page.count(installed) == 1
    shown = re.search('<pre id="snippet">(.*?)</pre>', page, re.DOTALL)
    assert shown is not None
    assert unescape(shown[1]) == installed


def test_the_page_leads_to_its_stores_dashboard(collector: Collector) -> None:
    assert 'href="http://127.0.0.1:8599/?store=brooklyn-coffee"' in page_of(collector, f"/shop/{SHOP.name}")


def test_nothing_is_loaded_from_elsewhere_and_only_marked_scripts_run(collector: Collector) -> None:
    response = collector.http.get(f"/shop/{SHOP.name}")
    policy = response.headers["content-security-policy"]
    nonce = re.search("script-src 'self' 'nonce-([^']+)'", policy)
    assert nonce is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag, attributes in Tags(response.text).found:
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        if tag in ("script", "style"):
            assert attributes.get("nonce") == nonce[1] or str(attributes["src"]).startswith(collector.url)
        for name in ("src", "href"):
            address = str(attributes.get(name) or "")
            assert address.startswith(("/", "data:,", "http://127.0.0.1:")) or not address


def test_every_answer_has_a_nonce_of_its_own(collector: Collector) -> None:
    policies = {collector.http.get("/shop").headers["content-security-policy"] for _ in range(3)}
    assert len(policies) == 3


def test_whatever_stands_in_the_file_is_only_text_on_the_page(tmp_path: Path) -> None:
    path = tmp_path / "shops.json"
    product = SampleProduct("evil", EVIL, EVIL, EVIL)
    path.write_bytes(encode_shops(SampleShops((SampleShop("evil", "evil", EVIL, EVIL, 999, EVIL, (product,), EVIL),))))
    with running_collector(with_limits(shops_file=str(path))) as collector:
        for where in ("/shop", "/shop/evil", "/shop/evil/products/evil"):
            page = page_of(collector, where)
            assert "<script>alert" not in page
            assert "{{nonce}}" in page, "a value that looks like a placeholder stays what it is"


def test_a_file_that_changes_is_read_again_and_a_broken_or_missing_one_shows_nothing(
    collector: Collector, folder: Path
) -> None:
    path = shops_file(folder)
    shops = decode_shops(path.read_bytes())
    path.write_bytes(encode_shops(SampleShops(shops.shops[:1])))
    assert collector.http.get("/shop/berlin-bikes").status_code == 404
    assert collector.http.get("/shop/brooklyn-coffee").status_code == 200
    path.write_bytes(b"{")
    assert collector.http.get("/shop").status_code == 404
    path.unlink()
    assert collector.http.get("/shop").status_code == 404


@pytest.mark.parametrize("motif", [*MOTIFS, "something else"])
def test_a_picture_is_well_formed_and_always_the_same(motif: str) -> None:
    names = [slug for shop in SHOPS for _, slug in shop.products()]
    pictures = {name: picture(motif, name, 200, "label") for name in names}
    for name, drawn in pictures.items():
        ET.fromstring(drawn)
        assert picture(motif, name, 200, "label") == drawn
    assert len(set(pictures.values())) > len(names) / 2


def test_a_dashboard_port_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="MARKETPLACE_DASHBOARD_PORT"):
        CollectorConfig.load({"MARKETPLACE_DASHBOARD_PORT": "seven"})
    assert CollectorConfig.load({"MARKETPLACE_DASHBOARD_PORT": "8601"}).dashboard_port == 8601
