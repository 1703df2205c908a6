"""The sample shop page in a real browser: what it sends, what it shows of it, and how it looks on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from marketplace.clicks.events import CollectedClick
from marketplace.stores import Store
from ops.demo.traffic.catalogue import shops_file, write_shops
from ops.demo.traffic.shops import SHOPS, DemoStore, store_of, write_key
from tests.kits.collector import Collector, eventually, running_collector, with_limits

SHOP = SHOPS[0]
STORE: Store = store_of(SHOP, SHOP.name, 1)
HOME = f"/shop/{SHOP.name}"


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    write_shops(tmp_path, [DemoStore(SHOP, STORE, write_key(SHOP.name, 1), "")])
    with running_collector(with_limits(shops_file=str(shops_file(tmp_path))), STORE) as running:
        yield running


@contextmanager
def window(browser: Browser, collector: Collector, path: str = HOME, **options: object) -> Iterator[Page]:
    """A window on the shop; nothing may complain in it."""
    context = browser.new_context(**options)  # type: ignore[arg-type]  # the options of each test are right
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    try:
        page.goto(f"{collector.url}{path}")
        yield page
        assert problems == []
    finally:
        context.close()


def sent(collector: Collector, events: int) -> list[CollectedClick]:
    eventually(lambda: len(collector.clicks()) >= events, f"{events} events")
    return collector.clicks()


def test_a_view_is_sent_and_shown_with_its_answer(browser: Browser, collector: Collector) -> None:
    with window(browser, collector) as page:
        expect(page.locator("#log li")).to_have_count(1)
        expect(page.locator("#log .answer.good")).to_contain_text("202 in")
    (view,) = sent(collector, 1)
    assert (view.store, view.type, view.url) == (SHOP.name, "view", f"{collector.url}{HOME}")


def test_a_product_is_put_into_the_cart_and_looked_at(browser: Browser, collector: Collector) -> None:
    slugs = [slug for _, slug in SHOP.products()]
    with window(browser, collector) as page:
        expect(page.locator("#log .answer.good")).to_have_count(1)
        page.locator("button[name=add-to-cart]").first.click()
        expect(page.locator("#cart")).to_have_text("1")
        page.locator("a.name").nth(1).click()
        expect(page).to_have_url(f"{collector.url}{HOME}/products/{slugs[1]}")
        expect(page.locator("#home")).to_be_hidden()
        expect(page.locator("#log .answer.good")).to_have_count(4)
        page.go_back()
        expect(page.locator("#home")).to_be_visible()
        expect(page.locator("#log .answer.good")).to_have_count(5)
    told = [(click.type, click.product, click.url.removeprefix(collector.url + HOME)) for click in sent(collector, 5)]
    assert told == [
        ("view", "", ""),
        ("click", slugs[0], ""),
        ("click", slugs[1], ""),
        ("view", slugs[1], f"/products/{slugs[1]}"),
        ("view", "", ""),
    ]


def test_a_products_own_address_shows_it(browser: Browser, collector: Collector) -> None:
    slug = SHOP.products()[2][1]
    with window(browser, collector, f"{HOME}/products/{slug}") as page:
        expect(page.locator("h1:visible")).to_have_count(1)
        expect(page.locator("#home")).to_be_hidden()
        expect(page.locator("#log .answer.good")).to_have_count(1)
    assert [click.product for click in sent(collector, 1)] == [slug]


def test_nothing_is_sent_for_somebody_who_does_not_want_it_and_the_page_says_so(
    browser: Browser, collector: Collector
) -> None:
    with window(browser, collector) as page:
        page.add_init_script("Object.defineProperty(navigator, 'doNotTrack', { get: () => '1' })")
        page.reload()
        expect(page.locator("#waiting")).to_contain_text("asks not to be tracked")
    assert len(collector.clicks()) <= 1, "only what was sent before"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/shop", HOME, f"{HOME}/products/{SHOP.products()[0][1]}"])
def test_nothing_is_wider_than_a_phone(browser: Browser, collector: Collector, path: str, scheme: str) -> None:
    with window(browser, collector, path, viewport={"width": 360, "height": 740}, color_scheme=scheme) as page:
        expect(page.locator("h1:visible").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        light = sum(int(part) for part in ground.removeprefix("rgb(").removesuffix(")").split(",")) > 3 * 128
        assert light == (scheme == "light")


def test_the_snippet_is_copied(browser: Browser, collector: Collector) -> None:
    with window(browser, collector, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.locator("#copy").click()
        expect(page.locator("#copy")).to_have_text("Copied")
        copied = page.evaluate("navigator.clipboard.readText()")
    key = write_key(SHOP.name, 1)
    assert copied == f'<script async src="{collector.url}/m.js" data-key="{key}"></script>'
