"""A buyer's whole way in a browser on all real parts, from a campaign to a refund; the seller looks on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import pytest
from playwright.sync_api import Browser, expect

from marketplace.settings import ALL_PARTS
from ops.demo.orders.buyers import Buyer, ensure_buyers
from ops.demo.services.served import service_settings, service_url
from ops.stack import Stack, StackError
from ops.stack.parts.kafka_jars import ensure_jars, find_java
from ops.stack.registry import REGISTRY, SERVICES
from tests.e2e.test_storefront_browser import order, pay, sign_in, window
from tests.kits.dashboard import tab
from tests.kits.depth import LONG
from tests.kits.order_market import OrderMarket
from tests.kits.stack import command, eventually

DECLINED: Final = "4000000000000028"
GOOD: Final = "4242424242424242"
SECONDS: Final = 30_000
MAIL: Final = "import typer; from ops.commands.mail import mail; typer.run(mail)"


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrderMarket]:
    try:
        find_java()
        ensure_jars()
    except StackError as error:
        pytest.skip(str(error))
    folder, names = tmp_path_factory.mktemp("way"), REGISTRY.needed_by((*ALL_PARTS, *SERVICES))
    with Stack(folder, ports="auto", parts=names, external={}, service_settings=service_settings()) as stack:
        yield OrderMarket(stack)


@pytest.fixture(scope="module")
def buyer(market: OrderMarket) -> Buyer:
    return ensure_buyers(market.settings, datetime.now(UTC), ("Noor",))[0]


def subjects(market: OrderMarket) -> list[str]:
    """Of the mails that `marketplace mail` shows."""
    code, said = command(market.stack.data_dir, "--json", cli=MAIL)
    assert code == 0, said
    return [each["subject"] for each in json.loads(said)["mails"]]


@LONG
@pytest.mark.timeout(240)
def test_from_a_campaigns_link_to_a_refund_and_the_seller_sees_the_same_order(
    market: OrderMarket, buyer: Buyer, browser: Browser
) -> None:
    # In this order: the browser's event loop is this thread's, and accounts are made in one of their own.
    with window(browser) as page:
        page.goto(f"{market.api}/shop/{market.slug}?utm_source=letter&utm_campaign=spring")
        page.get_by_role("searchbox").or_(page.get_by_role("combobox")).first.fill("coffee")
        page.keyboard.press("Enter")
        page.locator("main a[href*='/shop/" + market.slug + "/']").first.click()
        page.locator("form.buy").get_by_role("button").click()
        expect(page.locator("#in-cart")).to_have_text("1")
        page.goto(f"{market.api}/shop/cart")
        page.get_by_role("button", name="Go to checkout").click()
        sign_in(page, buyer.email, buyer.password)
        order(page, DECLINED)
        expect(page.get_by_role("heading", name="Your card was declined")).to_be_visible(timeout=SECONDS)
        page.get_by_role("button", name="Try another card").click()
        pay(page, GOOD)
        expect(page.get_by_role("heading", name="Your order is confirmed")).to_be_visible(timeout=SECONDS)
        own = page.url.partition("/shop/orders/")[2].partition("?")[0]
        assert eventually(lambda: any(re.search("confirmed", each) for each in subjects(market)), 30)
        page.reload()
        page.get_by_text("Cancel this item").first.click()
        page.get_by_role("button", name="Cancel and refund").first.click()
        expect(page.locator("#live-amounts")).to_contain_text("Refunded", timeout=SECONDS)
        page.goto(f"{market.api}/shop/notifications")
        expect(page.locator("main")).to_contain_text("confirmed")

    dashboard = service_url(market.stack.data_dir, "dashboard")
    with tab(browser, dashboard) as seller:
        seller.page.goto(f"{dashboard}/?store={market.slug}")
        seller.send_sign_in(market.owner.email, market.owner.password)
        seller.wait_drawn()
        seller.open("orders", f"store={market.slug}")
        seller.page.get_by_role("textbox", name="Search").fill(own)
        seller.page.keyboard.press("Enter")
        rows = seller.page.locator(".rows .row")
        expect(rows).to_have_count(1, timeout=SECONDS)
        rows.first.click()
        shown = seller.page.get_by_test_id("stMainBlockContainer")
        for said in ("Placed, for", "The payment provider took", "Confirmed", "went back to the buyer"):
            expect(shown).to_contain_text(said, timeout=SECONDS)
        shown.get_by_text("Technical details").click()
        for said in ("ORDER_CREATED", "PAYMENT_COMPLETED", "STOCK_COUNT_UPDATED", "PAYMENT_REFUNDED"):
            expect(shown).to_contain_text(said, timeout=SECONDS)
