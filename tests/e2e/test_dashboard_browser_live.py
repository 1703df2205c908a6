"""A click in a shop moves the numbers of its seller: page, snippet, collector, Kafka, flow, tables, dashboard."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import pytest
from playwright.sync_api import Browser, expect

from flows.delivery.process_set import FlowOptions, FlowProcessSet
from marketplace.collections import STORES, USERS
from marketplace.flows import CLICKS_FLOW
from ops.provision import ensure_provisioned
from ops.stack import Stack
from runtime.ports import free_ports
from runtime.sections import Settings
from tests.kits.api import PASSWORD
from tests.kits.api_people import password_hash
from tests.kits.dashboard import dashboard, environment_of, service, tab
from tests.kits.storefront import COFFEE, Market, market
from tests.kits.tenancy import World

PRODUCT = f"/shop/{COFFEE}/yirgacheffe"
TITLE = "Ethiopia Yirgacheffe"
FIRST_MS = 60_000
"""For the first click: the flow reads the whole topic before, with all that other tests wrote."""


@dataclass
class Alive:
    """Everything that a click passes through, running."""

    market: Market
    dashboard_url: str


@pytest.fixture
def alive(browser: Browser, stack: Stack, tmp_path: Path) -> Iterator[Alive]:
    port, admin_port = free_ports(2)
    ports = {"MARKETPLACE_COLLECTOR_PORT": str(port), "MARKETPLACE_COLLECTOR_ADMIN_PORT": str(admin_port)}
    pages = {"MARKETPLACE_API_COLLECTOR_URL": f"http://127.0.0.1:{port}"}
    with ExitStack() as running:
        shop = running.enter_context(market(stack, tmp_path, **pages))
        # The browser's event loop is this thread's.
        with ThreadPoolExecutor(1) as thread:
            hashed = thread.submit(password_hash).result()
        shop.do(partial(_owned_by_ann, hashed))
        settings = Settings(stack.urls, PurePosixPath(tmp_path), shop.database)
        ensure_provisioned(settings)
        environment = environment_of(stack, shop.database, MARKETPLACE_DASHBOARD_API_URL=shop.url)
        runner = FlowProcessSet(CLICKS_FLOW, settings, FlowOptions(), tmp_path / "flow.log")
        running.callback(runner.stop)
        runner.start()
        ready = f"http://127.0.0.1:{admin_port}/readyz"
        running.enter_context(service("ingest", {**environment, **ports}, tmp_path / "collector.log", ready))
        url = running.enter_context(dashboard(environment, tmp_path))
        yield Alive(shop, url)
    assert runner.restarts == 0


async def _owned_by_ann(hashed: str, world: World) -> None:
    """The password that is everybody's, and a store whose own pages are on this machine."""
    mongo = world.client[world.database]
    await mongo[USERS.name].update_one({"_id": "ann"}, {"$set": {"password_hash": hashed}})
    await mongo[STORES.name].update_one({"_id": COFFEE}, {"$set": {"domains": ["127.0.0.1"]}})


def test_what_somebody_puts_into_a_cart_is_counted_for_its_seller_under_the_products_title(
    browser: Browser, alive: Alive
) -> None:
    with tab(browser, alive.dashboard_url) as seller, tab(browser, alive.market.url) as buyer:
        seller.page.goto(f"{alive.dashboard_url}/?store={COFFEE}")
        seller.send_sign_in("ann@shop.example", PASSWORD)
        seller.wait_drawn()
        seller.open("live", f"store={COFFEE}")
        expect(seller.page.get_by_role("heading", name="We have not seen an event of")).to_be_visible()

        buyer.page.goto(f"{alive.market.url}{PRODUCT}?utm_source=letter&utm_campaign=spring")
        expect(seller.metric("Visitors in the last 5 minutes")).to_have_text("1", timeout=FIRST_MS)
        feed = seller.page.get_by_test_id("stDataFrame")
        expect(feed).to_contain_text(TITLE)
        buyer.page.locator("form.buy").get_by_role("button").click()
        expect(buyer.page.locator("#in-cart")).to_have_text("1")
        expect(feed).to_contain_text("clicked add-to-cart")

        buyer.page.goto(f"{alive.market.url}/shop/sign-in")
        buyer.send_sign_in(alive.market.account(), PASSWORD)
        expect(buyer.page.locator("#in-cart")).to_have_text("1")
        buyer.page.goto(f"{alive.market.url}/shop/cart")
        expect(buyer.page.get_by_role("link", name=TITLE).first).to_be_visible()

        seller.open("products", f"store={COFFEE}")
        expect(seller.page.get_by_test_id("stDataFrame").first).to_contain_text(TITLE)
        for table, named in (("target", "add-to-cart"), ("event", "add_to_cart")):
            seller.open("products", f"store={COFFEE}&table={table}")
            expect(seller.page.get_by_test_id("stDataFrame").first).to_contain_text(named)
        seller.open("catalog", f"store={COFFEE}")
        expect(seller.page.locator(".st-key-catalog")).to_contain_text(TITLE)
        for window in (seller, buyer):
            assert window.problems == []
