"""A click in a shop's window moves the numbers in the seller's: snippet, collector, Kafka, flow, tables, dashboard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import pytest
from playwright.sync_api import Browser, expect

from flows.delivery.process_set import FlowOptions, FlowProcessSet
from ingest.samples.shops import SampleProduct, SampleShop, SampleShops, encode_shops
from marketplace.flows import CLICKS_FLOW
from marketplace.stores import hash_write_key
from ops.provision import ensure_provisioned
from ops.stack import Stack
from runtime.ports import free_ports
from runtime.sections import Settings
from tests.kits.clicks import make_store
from tests.kits.dashboard import dashboard, environment_of, save_stores, service, tab

KEY = "corner-key"
CORNER = replace(make_store("corner", "Europe/Berlin"), domains=("127.0.0.1",), write_key_hash=hash_write_key(KEY))
PRODUCTS = (SampleProduct("lamp", "Lamp", "20 €"), SampleProduct("chair", "Chair", "40 €"))
SAMPLE = SampleShop("corner", "corner", "Corner shop", "Light and seats", 200, KEY, PRODUCTS)
FIRST_MS = 60_000
"""For the first click: the flow reads the whole topic before, with all that other tests wrote."""


@dataclass
class Alive:
    """Everything that a click passes through, running."""

    shop_url: str
    dashboard_url: str


@pytest.fixture
def alive(browser: Browser, stack: Stack, database: str, tmp_path: Path) -> Iterator[Alive]:
    urls = stack.urls
    settings = Settings(urls, PurePosixPath(tmp_path), database)
    ensure_provisioned(settings)
    save_stores(stack, database, {CORNER.slug: CORNER})
    (tmp_path / "shops.json").write_bytes(encode_shops(SampleShops((SAMPLE,))))
    port, admin_port = free_ports(2)
    ports = {"MARKETPLACE_COLLECTOR_PORT": str(port), "MARKETPLACE_COLLECTOR_ADMIN_PORT": str(admin_port)}
    shops = {"MARKETPLACE_COLLECTOR_SHOPS_FILE": str(tmp_path / "shops.json")}
    environment = environment_of(stack, database)
    runner = FlowProcessSet(CLICKS_FLOW, settings, FlowOptions(), tmp_path / "flow.log")
    with ExitStack() as running:
        running.callback(runner.stop)
        runner.start()
        ready = f"http://127.0.0.1:{admin_port}/readyz"
        running.enter_context(service("ingest", {**environment, **ports, **shops}, tmp_path / "collector.log", ready))
        url = running.enter_context(dashboard(environment, tmp_path))
        yield Alive(f"http://127.0.0.1:{port}/shop/corner", url)
    assert runner.restarts == 0


def test_a_click_in_the_shop_appears_on_the_live_page_and_in_the_overview(browser: Browser, alive: Alive) -> None:
    with (
        tab(browser, alive.dashboard_url) as live,
        tab(browser, alive.dashboard_url) as overview,
        tab(browser, alive.shop_url) as shop,
    ):
        live.open("live", "store=corner")
        overview.open("", "store=corner")
        expect(live.page.get_by_text("Nothing in the last 30 minutes")).to_be_visible()
        expect(overview.metric("Clicks")).to_have_text("0")

        shop.page.goto(alive.shop_url)
        expect(live.metric("Visitors in the last 5 minutes")).to_have_text("1", timeout=FIRST_MS)
        expect(live.page.get_by_test_id("stDataFrame")).to_contain_text("/shop/corner")
        expect(overview.metric("Clicks")).to_have_text("1")
        expect(overview.metric("Visitors")).to_have_text("1")

        shop.page.get_by_text("Lamp").first.click()
        expect(overview.bar("lamp")).to_be_visible()
        expect(live.page.get_by_test_id("stDataFrame")).to_contain_text("/shop/corner/products/lamp")
        expect(overview.metric("Visitors")).to_have_text("1")
        expect(overview.metric("Live now")).to_have_text("1")
        for window in (live, overview, shop):
            assert window.problems == []
