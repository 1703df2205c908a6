"""The pages Orders and Stock in a real browser: what an owner does in them, and what an analyst does not see."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, expect

from connectors.mongo.client import Client, connect
from connectors.mongo.product_reads import product_document
from connectors.mongo.sagas.notifications import notification_document
from connectors.mongo.sagas.store_orders import StoreOrders
from connectors.mongo.sagas.store_stock import StoreStock
from marketplace.catalog.products import Option, Variant
from marketplace.collections import MEMBERSHIPS, NOTIFICATIONS, PRODUCTS
from marketplace.notifications.notices import Notice, Template
from ops.stack import Stack
from tests.e2e.test_dashboard_sign_in import numbers_of
from tests.kits.api import PASSWORD, running_api
from tests.kits.dashboard import Tab, dashboard, environment_of
from tests.kits.notifications import facts
from tests.kits.processes import wait_until
from tests.kits.products import product
from tests.kits.store_orders import documents_of, line, placed, put_buyer, put_orders, put_stock
from tests.kits.used_pages import cleared_tab

OWNER, ANALYST, BUYER = "owner@shop.example", "analyst@shop.example", "buyer@buyer.example"
PHONE = {"width": 390, "height": 844}
NOW_MS = int(time.time() * 1_000)
MUG = product(
    "Stoneware mug, a title that goes on for longer than any screen is wide " * 3,
    store="teahouse",
    options=(Option("Size", ("S", "L")),),
    variants=(Variant("mug-s", "MUG-S", ("S",), 1_250), Variant("mug-l", "MUG-L", ("L",), 1_450)),
)
PAID = placed("teahouse", line(1, "Mug", 1_250, 3, variant="mug-s"), placed_ms=NOW_MS - 60_000, buyer="bea").pays()
ENDED = placed("teahouse", line(1, "Bowl"), placed_ms=NOW_MS - 120_000, currency="JPY").unpaid()
LATE = placed("teahouse", line(1, "Pot"), placed_ms=NOW_MS - 3_600_000)
OLD = [placed("teahouse", line(1, "Tea"), placed_ms=NOW_MS - 10**7 - number).unpaid() for number in range(60)]


@dataclass
class Shop:
    """A dashboard of a store with orders and stock.

    Attributes:
        url: The dashboard's.
        client: To its database.
        database: Its name.
    """

    url: str
    client: Client
    database: str


@pytest.fixture(scope="module")
def shop(browser: Browser, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder, database = tmp_path_factory.mktemp("orders"), f"orders_{NOW_MS}"
    with ExitStack() as opened:
        client = opened.enter_context(connect(stack.urls.mongo))
        opened.callback(client.drop_database, database)
        api = opened.enter_context(running_api(stack, folder, database, **numbers_of(stack)))
        owner, analyst = api.make_account(OWNER, "Olive"), api.make_account(ANALYST, "Ann")
        assert owner.post("/v1/stores", {"title": "Teahouse", "slug": "teahouse"}).status_code == 201
        user = analyst.ask("GET", "/v1/identity/me").json()["id"]
        mongo = client[database]
        template = mongo[MEMBERSHIPS.name].find_one({"store": "teahouse"}) or {}
        mongo[MEMBERSHIPS.name].insert_one({**template, "_id": f"teahouse:{user}", "user": user, "role": "analyst"})
        mongo[PRODUCTS.name].insert_one(product_document(MUG))
        put_buyer(client, database, "bea", BUYER)
        put_stock(client, database, MUG, 2, low_at=5, at_ms=NOW_MS)
        put_orders(client, database, [documents_of(each, "Bea Buyer") for each in (PAID, ENDED, LATE, *OLD)])
        environment = environment_of(stack, database, MARKETPLACE_DASHBOARD_API_URL=api.url)
        url = opened.enter_context(dashboard(environment, folder))
        yield Shop(url, client, database)
        log = (folder / "dashboard.log").read_text()
        assert BUYER not in log
        assert "Bea Buyer" not in log


@contextmanager
def signed_in(browser: Browser, shop: Shop, email: str, path: str) -> Iterator[Tab]:
    """A browser in which somebody has signed in and looks at a page."""
    with cleared_tab(browser, shop.url) as window:
        window.page.goto(f"{shop.url}/sign-in?next=/{path}")
        window.send_sign_in(email, PASSWORD)
        window.wait_drawn()
        yield window
        window.assert_sound()


def button(window: Tab, name: str) -> Locator:
    return window.page.get_by_role("button", name=name, exact=True)


def rows(window: Tab) -> Locator:
    """Rows of a list."""
    return window.page.locator(".rows .row")


def serious(window: Tab) -> list[tuple[str, str]]:
    """What keeps somebody from using what is drawn of a page, by axe's rules: the rule, and an element."""
    include = {"include": [["[data-testid=stMainBlockContainer]"]]}
    found = Axe().run(window.page, context=include, options={"resultTypes": ["violations"]}).response["violations"]
    return [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")]


def check_looks(window: Tab, *, dark: bool = False) -> None:
    """A page can be read by everybody, and fits on a phone."""
    assert serious(window) == []
    if dark:
        window.page.emulate_media(color_scheme="dark")
        expect(window.page.get_by_test_id("stApp")).to_have_css("background-color", "rgb(15, 17, 23)")
        assert serious(window) == []
        window.page.emulate_media(color_scheme="light")
    before = window.page.viewport_size
    assert before is not None
    window.page.set_viewport_size(PHONE)  # type: ignore[arg-type]  # a dictionary of two numbers
    window.wait_fits()
    window.page.set_viewport_size(before)


def test_an_owner_finds_an_order_packs_it_and_refunds_a_piece_once_with_two_clicks(
    browser: Browser, shop: Shop
) -> None:
    with signed_in(browser, shop, OWNER, "orders") as window:
        page = window.page
        expect(rows(window)).to_have_count(50)
        expect(rows(window).first).to_contain_text("Bea Buyer · Mug")
        expect(window.page.get_by_role("radio", name="Stuck (1)")).to_be_visible()
        expect(window.metric("Paid in EUR").or_(window.metric("Paid"))).to_have_text("€37.50")
        check_looks(window)
        button(window, "Notifications").click()
        expect(page.get_by_text("No notifications yet.")).to_be_visible()
        button(window, "All orders").click()
        expect(rows(window)).to_have_count(50)
        button(window, "Older").click()
        expect(rows(window)).to_have_count(13)
        page.get_by_role("textbox", name="Search").fill(BUYER)
        page.keyboard.press("Enter")
        expect(rows(window)).to_have_count(1)
        rows(window).first.click()
        expect(page.get_by_role("heading", name="€37.50 from Bea Buyer")).to_be_visible()
        expect(page).to_have_url(re.compile(f"order={PAID.order.id}"))
        expect(page.get_by_text("The payment provider took €37.50")).to_be_visible()
        expect(page.get_by_text("PAYMENT_COMPLETED")).to_have_count(0)
        page.get_by_text("Technical details").click()
        expect(page.get_by_text("PAYMENT_COMPLETED · said by payments")).to_be_visible()
        button(window, "Mark as packed …").click()
        expect(page.get_by_text("Into the parcel: 3 pieces")).to_be_visible()
        button(window, "They are packed").click()
        expect(page.get_by_text("Packed.", exact=True)).to_be_visible()
        button(window, "Refund …").click()
        page.get_by_role("spinbutton").fill("1")
        page.keyboard.press("Enter")
        check_looks(window, dark=True)
        button(window, "Refund €12.50").dblclick()
        expect(page.get_by_text("€12.50 are on the way back.")).to_be_visible()
    found = StoreOrders(shop.client, shop.database).one("teahouse", PAID.order.id)
    assert found is not None
    assert [refund.amount_minor for refund in found.sold.order.refunds] == [1_250]
    assert found.sold.fulfilment.state.value == "packed"


def test_an_order_that_waits_too_long_is_shown_as_stuck_and_is_cancelled_after_a_question(
    browser: Browser, shop: Shop
) -> None:
    with signed_in(browser, shop, OWNER, f"orders?order={LATE.order.id}") as window:
        expect(window.page.get_by_text("Stuck for")).to_be_visible()
        button(window, "Cancel the order …").click()
        button(window, "Keep the order").click()
        button(window, "Cancel the order …").click()
        expect(window.page.get_by_text("Nobody is charged")).to_be_visible()
        button(window, "Cancel the order").click()
        expect(window.page.get_by_text("Cancelled: by the store").first).to_be_visible()
        expect(button(window, "Cancel the order …")).to_have_count(0)


def test_goods_are_received_once_with_two_clicks_and_never_without_a_reason(browser: Browser, shop: Shop) -> None:
    with signed_in(browser, shop, OWNER, "stock") as window:
        page, stock = window.page, StoreStock(shop.client, shop.database)
        expect(rows(window)).to_have_count(2)
        expect(rows(window).first).to_contain_text("Low")
        check_looks(window, dark=True)
        rows(window).filter(has_text="Not counted").click()
        expect(page.get_by_text("This variant is not counted.")).to_be_visible()
        button(window, "Begin to count …").click()
        button(window, "Receive").click()
        expect(page.get_by_text("Give a reason")).to_be_visible()
        assert "mug-l" not in stock.levels("teahouse")
        page.get_by_role("spinbutton").fill("7")
        page.get_by_role("textbox", name="Reason (needed)").fill("First count")
        page.keyboard.press("Enter")
        button(window, "Receive").dblclick()
        expect(page.get_by_text("7 received.")).to_be_visible()
        expect(window.metric("Available")).to_have_text("7")
        expect(page.get_by_text("Received: First count")).to_have_count(1)
        check_looks(window)
    wait_until(lambda: stock.levels("teahouse")["mug-l"].on_hand == 7, 5, "the level")
    assert [row.quantity for row in stock.movements("teahouse", "mug-l").rows] == [7]


def test_an_analyst_sees_stock_without_a_button_and_nothing_of_buyers(browser: Browser, shop: Shop) -> None:
    with signed_in(browser, shop, ANALYST, f"orders?order={PAID.order.id}") as window:
        expect(window.page.get_by_text("Orders are for managers and owners of the store.")).to_be_visible()
        expect(window.page.get_by_text("Bea")).to_have_count(0)
        window.open("stock", "store=teahouse&variant=mug-s")
        expect(window.metric("On hand")).to_have_text("2")
        expect(button(window, "Receive goods …")).to_have_count(0)


def test_notifications_are_seen_by_who_comes_by_a_link_and_not_from_another_page(browser: Browser, shop: Shop) -> None:
    notice = Notice("store:teahouse", Template.NEW_ORDER, "of a link")
    row = notification_document(notice, facts(store="teahouse"), NOW_MS)
    shop.client[shop.database][NOTIFICATIONS.name].insert_one(row)
    with signed_in(browser, shop, OWNER, "notifications") as window:
        expect(rows(window)).to_have_count(1)
        expect(window.page.get_by_role("heading", name="Notifications")).to_be_visible()
        expect(window.page.locator("#waiting")).to_be_hidden()
        check_looks(window)
