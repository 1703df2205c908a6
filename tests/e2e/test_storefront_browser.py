"""The storefront in a real browser: with its script and without, on a phone, in the dark, for readers of screens."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from marketplace.notifications.notices import Template
from marketplace.stores import Store, hash_write_key
from ops.stack import Stack
from tests.kits.api import PASSWORD, any_address
from tests.kits.buyers import Buyer
from tests.kits.checkout import ADDRESS, DECLINED, GOOD, Till, till
from tests.kits.clicks import CHROME
from tests.kits.collector import Collector, eventually, running_collector
from tests.kits.dashboard import PATIENCE_MS
from tests.kits.depth import LONG
from tests.kits.storefront import BIKES, COFFEE, NEW, TITLES, Market, id_of

STORE = Store(COFFEE, TITLES[COFFEE], "UTC", ("127.0.0.1",), hash_write_key(COFFEE), "0" * 64)
PRODUCT = f"/shop/{COFFEE}/yirgacheffe"
KINDS = (
    "/shop", f"/shop/{COFFEE}/category/beans", "/shop/search?q=blend", "/shop/search?q=zzzz", PRODUCT, "/shop/cart",
    "/shop/sign-in", "/shop/register", "/shop/account", "/shop/notifications", "/shop/nobody",
    "/shop/checkout", "/shop/orders", "/shop/orders/{own}",
)  # fmt: skip
"""A page of each kind."""

OTHERS = (
    f"/shop/{COFFEE}", f"/shop/{NEW}", f"/shop/{COFFEE}/category/light", f"/shop/{COFFEE}/hostile",
    f"/shop/{COFFEE}/long", f"/shop/{COFFEE}/arabic", f"/shop/{COFFEE}/sampler",
    f"/shop/{COFFEE}/reviews/yirgacheffe", "/shop/unsubscribe/x",
)  # fmt: skip
LOOKS = (
    pytest.param({}, KINDS, id="light"),
    pytest.param({}, OTHERS, id="light, more pages", marks=pytest.mark.long),
    pytest.param({"color_scheme": "dark"}, KINDS + OTHERS, id="dark", marks=pytest.mark.long),
)
SMALL_PHONE = {"width": 320, "height": 640}


@dataclass
class Shown:
    """A storefront, the collector that its pages send events to, and what pays its orders."""

    till: Till
    collector: Collector

    @property
    def market(self) -> Market:
        return self.till.market

    @property
    def url(self) -> str:
        return self.market.url


@pytest.fixture(scope="module")
def shop(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    with running_collector(store=STORE) as collector:
        settings = {"MARKETPLACE_API_COLLECTOR_URL": collector.url}
        folder = tmp_path_factory.mktemp("storefront")
        with till(stack, folder, **settings) as running, Buyer(running.market.url) as buyer:
            deadline = time.monotonic() + 20
            while "Stahlrad" not in buyer.get("/shop/search?q=stahlrad").words:
                assert time.monotonic() < deadline
            yield Shown(running, collector)


@contextmanager
def window(browser: Browser, **options: Any) -> Iterator[Page]:
    """A window of somebody who was never here; its page may complain of nothing but an answer that is no good one."""
    context, own = browser.new_context(**{"user_agent": CHROME, **options}), {"x-forwarded-for": any_address()}
    # Everybody comes from this machine, but has limits of an own address; the collector allows pages no such header.
    context.route("**/shop**", lambda route: route.continue_(headers={**route.request.headers, **own}))
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    problems: list[str] = []
    page.on(
        "console",
        lambda said: problems.append(said.text) if said.type == "error" and "status of 4" not in said.text else None,
    )
    page.on("pageerror", lambda error: problems.append(str(error)))
    try:
        yield page
        assert problems == []
    finally:
        context.close()


def sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_a_product_is_found_by_keys_chosen_and_put_in_without_a_new_page(browser: Browser, shop: Shown) -> None:
    with window(browser) as page:
        page.goto(f"{shop.url}/shop")
        search = page.get_by_role("combobox", name="Search all stores")
        search.press_sequentially("yirga")
        expect(page.get_by_role("option", name="Ethiopia Yirgacheffe")).to_be_visible()
        expect(search).to_have_attribute("aria-expanded", "true")
        search.press("ArrowDown")
        expect(search).to_have_attribute("aria-activedescendant", "option-0")
        search.press("Enter")
        expect(page).to_have_url(f"{shop.url}{PRODUCT}")
        page.get_by_label("500 g").check()
        expect(page.locator("[data-figure]")).to_have_text("$29.00")
        add = page.locator("form.buy").get_by_role("button")
        for count in ("1", "2"):
            add.click()
            expect(page.locator("#in-cart")).to_have_text(count)
            expect(add).to_have_text("Added")
        expect(page.locator("#said")).to_have_text("Added to the cart")
        expect(page).to_have_url(f"{shop.url}{PRODUCT}")
        page.get_by_role("spinbutton", name="Quantity").fill("99")
        add.click()
        expect(page.locator("form.buy .note.bad")).to_have_text("At most 99 of one product can be in a cart.")
        page.get_by_role("link", name="Cart 2").click()
        page.get_by_role("button", name="Remove Ethiopia Yirgacheffe").click()
        expect(page.get_by_role("heading", name="Nothing is in it yet")).to_be_visible()
    clicks = [(click.type, click.target, click.product) for click in sent(shop, "add-to-cart", "remove")]
    assert ("click", "add-to-cart", id_of("yirgacheffe")) in clicks
    assert ("click", "remove", id_of("yirgacheffe")) in clicks
    assert ("view", "", id_of("yirgacheffe")) in clicks
    added = [each.properties for each in shop.collector.clicks() if each.name == "add_to_cart"]
    assert added[:2] == [{"quantity": "1", "currency": "USD", "value_minor": "2900"}] * 2


def sent(shop: Shown, *targets: str) -> list[Any]:
    """Clicks that the collector got, once these targets are among them."""
    eventually(lambda: set(targets) <= {click.target for click in shop.collector.clicks()}, f"clicks on {targets}")
    return shop.collector.clicks()


def test_without_javascript_a_guests_cart_is_there_after_signing_in(browser: Browser, shop: Shown) -> None:
    with window(browser, java_script_enabled=False) as page:
        page.goto(f"{shop.url}/shop")
        page.get_by_role("searchbox").fill("stahlr")
        page.get_by_role("button", name="Search").click()
        page.get_by_role("link", name="Stahlrad Kreuzberg").click()
        expect(page).to_have_url(f"{shop.url}/shop/{BIKES}/stahlrad")
        page.get_by_label("Quantity").fill("2")
        page.get_by_role("button", name="Add to cart").click()
        expect(page).to_have_url(f"{shop.url}/shop/cart")
        page.get_by_role("link", name="sign in", exact=True).click()
        sign_in(page, shop.market.account())
        expect(page).to_have_url(f"{shop.url}/shop/cart")
        expect(page.locator(".sum .total")).to_contain_text("€1,798.00")
        page.get_by_role("link", name="Stahlrad Kreuzberg").click()
        page.get_by_text("Write a review").click()
        page.get_by_label("5", exact=True).check()
        page.get_by_label("Your review").fill("Läuft.")
        page.get_by_role("button", name="Publish it").click()
        expect(page.locator(".review")).to_contain_text("Läuft.")


def test_a_declined_card_and_then_a_good_one_are_seen_on_pages_that_move_by_themselves(
    browser: Browser, shop: Shown
) -> None:
    with window(browser) as page:
        page.goto(f"{shop.url}{PRODUCT}")
        page.get_by_role("button", name="Add to cart").click()
        expect(page.locator("#in-cart")).to_have_text("1")
        page.goto(f"{shop.url}/shop/cart")
        page.get_by_role("button", name="Go to checkout").click()
        email = shop.market.account()
        sign_in(page, email)
        expect(page).to_have_url(f"{shop.url}/shop/checkout")
        first = order(page, DECLINED, twice=True)
        expect(page.get_by_role("heading", name="Your order is placed, and its payment is on the way")).to_be_visible()
        expect(page.locator(".sum time")).not_to_contain_text("UTC")
        shop.market.hears(email, Template.ORDER_CANCELLED)
        shop.till.settle()
        expect(page.get_by_role("heading", name="Your card was declined")).to_be_visible()
        expect(page.locator(".bell")).to_contain_text(" new")
        assert shop.till.orders(buyer=shop.till.order(first)["buyer"]) == 1
        page.get_by_role("button", name="Try another card").click()
        pay(page, GOOD)
        shop.till.settle()
        expect(page.get_by_role("heading", name="Your order is confirmed")).to_be_visible()
        expect(page.locator("#said")).to_have_text("Your order is confirmed")
        expect(page).to_have_title(re.compile("^Confirmed"))
        expect(page.locator("#live-state")).not_to_have_attribute("data-follow", re.compile(""))
        page.reload()
        expect(page.get_by_text("Paid$16.00")).to_be_visible()
        page.get_by_text("Cancel this item").click()
        page.get_by_role("button", name="Cancel and refund").click()
        expect(page.locator("#live-line-1")).to_contain_text("Being refunded")
        shop.till.settle()
        expect(page.locator("#live-amounts")).to_contain_text("Refunded")
        expect(page.locator("#live-line-1")).to_contain_text("Refunded")
    # One that was sent twice, as when a page ends, has one id.
    events = {each.event_id: each for each in sent(shop, "checkout", "refund-line")}.values()
    names = Counter(each.name or each.target for each in events)
    assert {name: names[name] for name in ("checkout", "place_order", "purchase")} == {
        "checkout": 1, "place_order": 2, "purchase": 1,
    }  # fmt: skip
    # The checkout is begun once with what was put in, and once with what the declined order gave back.
    assert names["begin_checkout"] == 2
    (purchase,) = (each for each in events if each.name == "purchase")
    assert purchase.properties == {"value_minor": "1600", "currency": "USD", "quantity": "1"}


@LONG
def test_without_javascript_an_order_is_placed_looked_at_again_and_cancelled(browser: Browser, shop: Shown) -> None:
    with window(browser, java_script_enabled=False) as page:
        page.goto(f"{shop.url}/shop/sign-in")
        sign_in(page, shop.market.account())
        page.goto(f"{shop.url}/shop/{BIKES}/faltrad")
        page.get_by_role("button", name="Add to cart").click()
        page.get_by_role("button", name="Go to checkout").click()
        order(page)
        expect(page.get_by_role("heading", name="Your order is placed, and its payment is on the way")).to_be_visible()
        assert page.locator("meta[http-equiv=refresh]").get_attribute("content") == "8"
        shop.till.settle()
        page.get_by_role("link", name="Look again").click()
        expect(page.get_by_role("heading", name="Your order is confirmed")).to_be_visible()
        assert page.locator("meta[http-equiv=refresh]").count() == 0
        page.get_by_text("Cancel the order").click()
        page.get_by_role("button", name="Cancel all of it").click()
        expect(page.get_by_role("heading", name="Your money is on its way back")).to_be_visible()
        shop.till.settle()


@pytest.mark.parametrize(("look", "paths"), LOOKS)
def test_pages_have_nothing_serious_for_who_cannot_see(
    browser: Browser, shop: Shown, look: dict[str, Any], paths: Sequence[str]
) -> None:
    found = {}
    with window(browser, **look) as page:
        own = order_and_fill_cart(page, shop)
        for path in paths:
            open_whole(page, f"{shop.url}{path.format(own=own)}")
            found[path] = serious(page)
    assert {path: problems for path, problems in found.items() if problems} == {}
    assert len(found) == len(paths)


def test_nothing_is_wider_than_a_small_phone(browser: Browser, shop: Shown) -> None:
    with window(browser, viewport=SMALL_PHONE) as page:
        own = order_and_fill_cart(page, shop)
        for path in KINDS + OTHERS:
            open_whole(page, f"{shop.url}{path.format(own=own)}")
            assert page.evaluate("document.documentElement.scrollWidth") <= SMALL_PHONE["width"], path


def serious(page: Page) -> list[tuple[str, str]]:
    """What keeps somebody from using a page, by axe's rules: the rule, and an element."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")]


def order_and_fill_cart(page: Page, shop: Shown) -> str:
    """Sign in, order something that is confirmed, and put something else in; gives the order's id."""
    page.goto(f"{shop.url}/shop/sign-in")
    email = shop.market.account()
    sign_in(page, email)
    shop.market.hears(email, Template.ORDER_CONFIRMED, Template.ORDER_CANCELLED)
    page.goto(f"{shop.url}/shop/{BIKES}/faltrad")
    page.get_by_role("button", name="Add to cart").click()
    expect(page.locator("#in-cart")).to_have_text("1")
    page.goto(f"{shop.url}/shop/checkout")
    own = order(page)
    shop.till.settle()
    expect(page.get_by_role("heading", name="Your order is confirmed")).to_be_visible()
    page.goto(f"{shop.url}{PRODUCT}")
    page.get_by_role("button", name="Add to cart").click()
    expect(page.locator("#in-cart")).to_have_text("1")
    return own


def order(page: Page, number: str = GOOD, *, twice: bool = False) -> str:
    """Fill in the checkout that is open, and send it; gives the order's id."""
    labels = {"Name": "name", "Street and number": "street", "Postcode (optional)": "postcode", "City": "city"}
    for label, name in labels.items():
        page.get_by_label(label, exact=True).fill(ADDRESS[name])
    page.get_by_label("Country").select_option(ADDRESS["country"])
    pay(page, number, twice=twice)
    return page.url.partition("/shop/orders/")[2].partition("?")[0]


def pay(page: Page, number: str, *, twice: bool = False) -> None:
    """Type a card, and order."""
    page.get_by_label("Number", exact=True).fill(number)
    page.get_by_label("Good until").fill("12/34")
    page.get_by_label("Security code").fill("123")
    page.locator("button[name=place-order]").click(click_count=2 if twice else 1)
    page.wait_for_url("**/shop/orders/*")


def open_whole(page: Page, url: str) -> None:
    """Open a page with whatever it shows only when it is asked for."""
    page.goto(url, wait_until="domcontentloaded")
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")


def test_suggestions_are_right_for_readers_of_screens(browser: Browser, shop: Shown) -> None:
    with window(browser) as page:
        page.goto(f"{shop.url}/shop")
        search = page.get_by_role("combobox")
        search.press_sequentially("blend")
        expect(page.get_by_role("option")).to_have_count(8)
        assert serious(page) == []
        search.press("Escape")
        expect(page.get_by_role("option")).to_have_count(0)


def test_what_was_chosen_stays_chosen_when_the_answer_to_a_later_key_comes(browser: Browser, shop: Shown) -> None:
    with window(browser) as page:
        page.goto(f"{shop.url}/shop")
        search = page.get_by_role("combobox")
        search.press_sequentially("yirg")
        expect(page.get_by_role("option", name="Ethiopia Yirgacheffe")).to_be_visible()
        search.press("ArrowDown")
        page.locator("#options").evaluate("list => list.dataset.earlier = 'yes'")
        search.press_sequentially("a")
        expect(page.locator("#options:not([data-earlier])")).to_be_visible()
        expect(search).to_have_attribute("aria-activedescendant", "option-0")
        search.press("Enter")
        expect(page).to_have_url(f"{shop.url}{PRODUCT}")


def test_the_first_key_leads_past_the_top_of_a_page(browser: Browser, shop: Shown) -> None:
    with window(browser) as page:
        page.goto(f"{shop.url}/shop")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#main")).to_be_focused()


def test_the_link_of_a_mail_needs_one_press_and_its_secret_leaves_the_address(browser: Browser, shop: Shown) -> None:
    with window(browser) as page:
        page.goto(f"{shop.url}/shop/confirm#{'x' * 43}")
        expect(page.get_by_label("The link in the mail")).to_be_hidden()
        expect(page).to_have_url(f"{shop.url}/shop/confirm")
        page.get_by_role("button", name="Confirm").click()
        expect(page.locator(".problem")).to_contain_text("This link was used, or is too old")
