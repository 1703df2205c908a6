"""Signing in to the dashboard in a real browser: an owner, an analyst of another store, tabs, links, the way out."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import APIResponse, Browser, Cookie, Page, Route, expect

from connectors.clickhouse.client import ClickHouse
from connectors.mongo.client import connect
from marketplace.collections import MEMBERSHIPS, USERS
from ops.stack import Stack
from tests.kits.api import PASSWORD, Api, running_api
from tests.kits.dashboard import (
    PATIENCE_MS,
    SHOPS,
    Tab,
    dashboard,
    environment_of,
    fill_wide,
    page_in,
    save_stores,
    tab,
    teahouse_log,
)
from tests.kits.depth import LONG
from tests.kits.insights import empty_tables, fill
from tests.kits.proxy import running_proxy
from tests.kits.used_pages import cleared_tab

OWNER, ANALYST, STRANGER = "owner@shop.example", "analyst@shop.example", "stranger@shop.example"
GONE_WITHIN_SECONDS = 1.0


@dataclass
class Shops:
    """A dashboard with accounts: the owner has two stores, the analyst works in a third one, the stranger in none.

    Attributes:
        url: The dashboard's.
        api: The API that it asks.
        database: Of both.
        mongo_url: Where it is.
    """

    url: str
    api: Api
    database: str
    mongo_url: str

    def sign_in(self, window: Tab, email: str, password: str = PASSWORD) -> None:
        """Fill in the form and send it."""
        window.send_sign_in(email, password)

    def remove(self, slug: str, email: str) -> float:
        """End a membership; returns when it had ended."""
        user = self.api.sign_in(email).ask("GET", "/v1/identity/me").json()["id"]
        client = connect(self.mongo_url)
        client[self.database][MEMBERSHIPS.name].delete_one({"_id": f"{slug}:{user}"})
        client.close()
        return time.monotonic()

    def set_premium(self, email: str, premium: bool) -> None:
        """Give an account the premium plan, without an end, or take it away."""
        client = connect(self.mongo_url)
        grants = [{"tier": "premium", "since": 0, "until": None}] if premium else []
        client[self.database][USERS.name].update_one({"email_key": email}, {"$set": {"grants": grants}})
        client.close()

    def give(self, slug: str, email: str, role: str) -> None:
        """Make an account a member of a store, by the commands and the API as people do."""
        self.api.command("stores", "owner", slug, email)
        if role != "owner":
            user = self.api.sign_in(email).ask("GET", "/v1/identity/me").json()["id"]
            client = connect(self.mongo_url)
            client[self.database][MEMBERSHIPS.name].update_one({"_id": f"{slug}:{user}"}, {"$set": {"role": role}})
            client.close()


@pytest.fixture(scope="module")
def shops(browser: Browser, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shops]:
    folder = tmp_path_factory.mktemp("sign-in")
    with ExitStack() as opened:
        clickhouse: ClickHouse = opened.enter_context(empty_tables(stack.urls.clickhouse))
        fill(clickhouse, teahouse_log(int(time.time() * 1000)), SHOPS)
        fill_wide(clickhouse, 20)
        database = clickhouse.database
        api = opened.enter_context(running_api(stack, folder, database, **numbers_of(stack)))
        save_stores(stack, database, SHOPS)
        for email, name in ((OWNER, "Olive"), (ANALYST, "Ann"), (STRANGER, "Sam")):
            api.make_account(email, name)
        found = Shops("", api, database, stack.urls.mongo)
        found.api.command("accounts", "admin", OWNER)
        found.give("teahouse", OWNER, "owner")
        found.give("wide", ANALYST, "analyst")
        environment = environment_of(stack, database, MARKETPLACE_DASHBOARD_API_URL=api.url)
        found.url = opened.enter_context(dashboard(environment, folder))
        yield found
        assert PASSWORD not in (folder / "dashboard.log").read_text()
    client = connect(stack.urls.mongo)
    client.drop_database(database)
    client.close()


def numbers_of(stack: Stack) -> dict[str, str]:
    """The API does not start without knowing where numbers are."""
    return {"MARKETPLACE_CLICKHOUSE_URL": stack.urls.clickhouse}


@contextmanager
def signed_in(browser: Browser, shops: Shops, email: str, query: str = "") -> Iterator[Tab]:
    """A browser in which somebody has signed in."""
    with cleared_tab(browser, shops.url) as window:
        window.page.goto(f"{shops.url}/{query}")
        shops.sign_in(window, email)
        window.wait_drawn()
        yield window


def cookies_of(window: Tab) -> list[Cookie]:
    """The browser's cookies of a sign-in; Streamlit has one of its own."""
    return [each for each in window.page.context.cookies() if "marketplace" in each.get("name", "")]


def cookie_of(window: Tab) -> Cookie:
    """The one cookie of a sign-in."""
    (cookie,) = cookies_of(window)
    return cookie


def expect_sign_in(page: Page) -> None:
    """The sign-in page is shown."""
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_an_owner_and_an_analyst_of_another_store_see_their_own_stores_only(browser: Browser, shops: Shops) -> None:
    with (
        signed_in(browser, shops, OWNER) as owner,
        signed_in(browser, shops, ANALYST) as analyst,
    ):
        expect(owner.metric("Page views")).to_be_visible()
        assert owner.store_options() == ["Teahouse"]
        assert analyst.store_options() == ["Wide"]
        # At once: nothing of one goes to the other.
        owner.page.reload()
        analyst.page.reload()
        owner.wait_drawn()
        analyst.wait_drawn()
        expect(owner.page.get_by_text("Olive")).to_be_visible()
        expect(analyst.page.get_by_text("Ann", exact=True)).to_be_visible()
        assert "Wide" not in owner.page.content()
        assert "Teahouse" not in analyst.page.content()
        assert "teahouse" not in analyst.page.content()
        owner.assert_sound()
        analyst.assert_sound()


def test_an_analyst_sees_no_key_of_the_store(browser: Browser, shops: Shops) -> None:
    with signed_in(browser, shops, ANALYST) as window:
        for name in ("Overview", "Counting"):
            window.turn_to(name)
            assert not re.search(r"write.?key|import.?key|secret", window.page.content(), re.IGNORECASE)
            assert SHOPS["wide"].write_key_hash not in window.page.content()
            assert SHOPS["wide"].storefront_key not in window.page.content()


def test_a_deep_link_returns_after_signing_in_and_the_cookie_survives_a_reload_and_is_read_by_no_script(
    browser: Browser, shops: Shops
) -> None:
    with signed_in(browser, shops, OWNER, "sources?store=teahouse&period=7d") as window:
        assert window.page.url == f"{shops.url}/sources?store=teahouse&period=7d"
        window.page.reload()
        window.wait_drawn()
        expect(window.page.get_by_role("link", name="Sources")).to_have_attribute("aria-current", "page")
        expect(window.metric("Page views")).to_be_visible()
        cookie = cookie_of(window)
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", "/")
        assert cookie["value"] not in window.page.evaluate("document.cookie") + window.page.content()
        window.assert_sound()


def test_a_sign_out_ends_all_tabs_at_once_and_the_cookie_at_the_server(browser: Browser, shops: Shops) -> None:
    with cleared_tab(browser, shops.url) as first:
        context = first.page.context
        first.page.goto(shops.url)
        shops.sign_in(first, OWNER)
        first.wait_drawn()
        cookie = cookie_of(first)
        with page_in(context, shops.url) as second:
            second.open("live")
            first.page.get_by_role("button", name="Sign out").click()
            expect(first.page.get_by_text("You are signed out.")).to_be_visible()
            left = time.monotonic()
            expect_sign_in(second.page)
            assert time.monotonic() - left < GONE_WITHIN_SECONDS
            assert second.page.url.endswith(f"/sign-in?next={'%2Flive%3Fstore%3Dteahouse'}")
            assert cookies_of(first) == []
            first.page.go_back()
            expect_sign_in(first.page)
        context.add_cookies([{"name": cookie["name"], "value": cookie["value"], "url": shops.url}])
        first.page.goto(shops.url)
        expect_sign_in(first.page)


@LONG
def test_the_window_that_signs_out_waits_for_the_answer_that_deletes_its_cookie(browser: Browser, shops: Shops) -> None:
    frames: list[str | bytes] = []
    answers: list[tuple[Route, APIResponse]] = []
    with tab(browser, shops.url) as window:
        window.page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: frames.append(frame)))
        window.page.route("**/sign-out", lambda route: answers.append((route, route.fetch(max_redirects=0))))
        window.page.goto(shops.url)
        shops.sign_in(window, OWNER)
        window.wait_drawn()
        # Without waiting for the page that comes next.
        window.page.get_by_role("button", name="Sign out").dispatch_event("click")
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not answers or '{"ended": true}' not in frames:
            assert time.monotonic() < deadline, frames[-3:]
            window.page.wait_for_timeout(10)
        ((route, answer),) = answers

        # The page has heard of the end before its own answer.
        route.fulfill(response=answer)

        expect(window.page.get_by_text("You are signed out.")).to_be_visible()
        assert cookies_of(window) == []


def test_a_sign_in_that_is_ended_elsewhere_ends_an_open_page(browser: Browser, shops: Shops) -> None:
    person = shops.api.make_account("everywhere@shop.example")
    shops.give("quiet", person.email, "owner")
    with signed_in(browser, shops, person.email) as window:
        expect(window.page.get_by_role("combobox", name="Store")).to_have_value("Quiet")

        assert person.ask("DELETE", "/v1/identity/sessions").status_code == 204

        ended = time.monotonic()
        expect_sign_in(window.page)
        assert time.monotonic() - ended < GONE_WITHIN_SECONDS


def test_a_member_who_was_removed_sees_nothing_of_the_store_within_a_second(browser: Browser, shops: Shops) -> None:
    person = shops.api.make_account("removed@shop.example")
    shops.give("quiet", person.email, "analyst")
    shops.give("teahouse", person.email, "analyst")
    with signed_in(browser, shops, person.email, "?store=teahouse") as window:
        expect(window.metric("Page views")).to_be_visible()

        removed = shops.remove("teahouse", person.email)

        window.page.wait_for_function(
            "document.documentElement.style.visibility === 'hidden' || !document.body.innerText.includes('Teahouse')"
        )
        assert time.monotonic() - removed < GONE_WITHIN_SECONDS
        window.wait_drawn()
        expect(window.page.get_by_role("heading", name="There is no such store")).to_be_visible()
        expect(window.page.get_by_role("button", name="Quiet")).to_be_visible()
        shops.remove("quiet", person.email)
        expect(window.page.get_by_role("heading", name="No store yet")).to_be_visible()
        window.assert_sound()


@LONG
def test_a_page_whose_watch_is_blocked_loses_the_store_at_its_next_refresh(browser: Browser, shops: Shops) -> None:
    person = shops.api.make_account("unwatched@shop.example")
    shops.give("teahouse", person.email, "analyst")
    with tab(browser, shops.url) as window:
        window.page.route_web_socket("**/session/watch", lambda socket: None)
        window.page.goto(shops.url)
        shops.sign_in(window, person.email)
        expect(window.metric("Page views")).to_be_visible()

        shops.remove("teahouse", person.email)

        expect(window.page.get_by_role("heading", name="No store yet")).to_be_visible()
        expect(window.page.get_by_test_id("stMetric")).to_have_count(0)
        shops.api.sign_in(person.email).ask("DELETE", "/v1/identity/sessions")
        expect(window.page.get_by_role("heading", name="You are signed out")).to_be_visible()


# In every run it is the demo's owner and analyst who try.
@LONG
def test_a_store_of_others_is_answered_like_one_that_does_not_exist(browser: Browser, shops: Shops) -> None:
    with signed_in(browser, shops, OWNER) as window:
        shown = []
        for slug in ("wide", "wiHe"):
            window.page.goto(f"{shops.url}/?store={slug}")
            window.wait_drawn()
            expect(window.page.get_by_role("heading", name="There is no such store")).to_be_visible()
            expect(window.page.get_by_role("button", name="Teahouse")).to_be_visible()
            shown.append(window.page.get_by_test_id("stMainBlockContainer").inner_text().replace(slug, "SLUG"))
        assert shown[0] == shown[1]


def test_a_free_store_shows_the_history_of_its_plan_and_no_csv_while_no_owner_has_premium(
    browser: Browser, shops: Shops
) -> None:
    person = shops.api.make_account("plan@shop.example")
    shops.give("teahouse", person.email, "owner")
    with signed_in(browser, shops, person.email, "products?store=teahouse&period=12mo") as window:
        page, download = window.page, window.page.locator(".st-key-csv-product button")
        history = page.get_by_text("The free plan includes 90 days of history: from")
        expect(history).to_be_visible()
        expect(page.get_by_text("The free plan does not include the table as CSV.")).to_be_visible()
        expect(download).to_have_count(0)

        shops.set_premium(person.email, True)

        expect(download).to_be_visible()
        expect(history).to_have_count(0)

        shops.set_premium(person.email, False)

        expect(history).to_be_visible()
        expect(download).to_have_count(0)
        window.open("products", "store=teahouse&from=2020-01-01&to=2020-02-01")
        expect(history).to_be_visible()
        window.assert_sound()


def test_a_wrong_password_is_said_in_place_and_the_right_one_leads_on(browser: Browser, shops: Shops) -> None:
    with cleared_tab(browser, shops.url) as window:
        window.page.goto(f"{shops.url}/live")
        shops.sign_in(window, OWNER, "not the password")
        expect(window.page.get_by_role("alert")).to_have_text("The address and the password do not go together.")
        expect(window.page.get_by_label("E-mail address")).to_have_value(OWNER)
        expect(window.page.get_by_label("Password", exact=True)).to_be_focused()

        shops.sign_in(window, OWNER)

        window.wait_drawn()
        assert urlsplit(window.page.url).path == "/live"


def test_somebody_without_a_store_reads_how_to_get_one(browser: Browser, shops: Shops) -> None:
    with signed_in(browser, shops, STRANGER) as window:
        expect(window.page.get_by_role("heading", name="No store yet")).to_be_visible()
        expect(window.page.get_by_text("works in no store")).to_be_visible()
        window.assert_sound()


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=LONG)])
def test_signing_in_works_without_scripts_on_a_phone(browser: Browser, shops: Shops, scheme: str) -> None:
    options = {"viewport": {"width": 320, "height": 640}, "color_scheme": scheme, "java_script_enabled": False}
    with tab(browser, shops.url, **options) as window:
        for path in ("sign-in", "forgot", "reset", "register", "confirm", "email", "invitation"):
            window.page.goto(f"{shops.url}/{path}")
            main = window.page.get_by_role("main").bounding_box()
            assert main is not None
            assert 0 <= main["x"] <= 320 - main["width"]
        window.page.goto(shops.url)
        shops.sign_in(window, ANALYST)
        expect(window.page).to_have_url(re.compile(f"{shops.url}/$"))
        assert len(cookies_of(window)) == 1


def test_a_lost_password_is_replaced_by_the_link_in_the_mail_and_ends_other_windows(
    browser: Browser, shops: Shops
) -> None:
    person = shops.api.make_account("lost@shop.example")
    shops.give("quiet", person.email, "owner")
    with signed_in(browser, shops, person.email) as earlier, cleared_tab(browser, shops.url) as window:
        window.page.goto(shops.url)
        window.page.get_by_role("link", name="Lost your password?").click()
        window.page.get_by_label("E-mail address").fill(person.email)
        window.page.get_by_role("button", name="Send the link").click()
        expect(window.page.get_by_role("heading", name="Look into your mail")).to_be_visible()
        secret = shops.api.link_to(person.email, "Choose a new password")
        window.page.goto(f"{shops.url}/reset#{secret}")
        expect(window.page.get_by_label("The link in the mail")).to_be_hidden()
        assert secret not in window.page.url
        window.page.get_by_label("New password").fill("another horse battery")
        window.page.get_by_role("button", name="Keep the new password").click()
        expect(window.page.get_by_role("heading", name="Your password is changed")).to_be_visible()
        expect_sign_in(earlier.page)
        window.page.get_by_role("link", name="Sign in").click()
        shops.sign_in(window, person.email, "another horse battery")
        expect(window.page.get_by_role("combobox", name="Store")).to_have_value("Quiet")
        window.assert_sound()


def test_somebody_who_is_invited_makes_an_account_and_comes_to_the_store_by_the_links_in_the_mails(
    browser: Browser, shops: Shops
) -> None:
    owner, email = shops.api.make_account("potter@shop.example"), "invited@shop.example"
    assert owner.post("/v1/stores", {"title": "Pots & Pans", "slug": "pots"}).status_code == 201
    body = {"email": email, "role": "analyst"}
    assert owner.post("/v1/stores/pots/invitations", body).status_code == 201
    secret = shops.api.link_to(email, "You are invited to a store")
    with cleared_tab(browser, shops.url) as window:
        page = window.page
        page.goto(f"{shops.url}/invitation#{secret}")
        expect(page.get_by_role("heading", name="You are invited to Pots & Pans")).to_be_visible()
        assert (page.url, secret in page.content()) == (f"{shops.url}/invitation", False)
        page.get_by_role("link", name="Make an account").click()
        expect(page.get_by_label("E-mail address")).to_have_value(email)
        expect(page.get_by_label("Name")).to_be_focused()
        page.keyboard.type("Ivy")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Look into your mail")).to_be_visible()
        page.goto(f"{shops.url}/confirm#{shops.api.link_to(email, 'Confirm your address')}")
        page.get_by_role("button", name="Confirm").press("Enter")
        page.get_by_role("link", name="Sign in").press("Enter")
        expect(page.get_by_text("Then you come back to the invitation to Pots & Pans.")).to_be_visible()
        expect(page.get_by_label("Password", exact=True)).to_be_focused()
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Accept the invitation")).to_be_focused()
        page.keyboard.press("Enter")
        window.wait_drawn()
        expect(page.get_by_role("combobox", name="Store")).to_have_value("Pots & Pans")
        assert [each["name"] for each in cookies_of(window)] == ["marketplace-session"]
        window.assert_sound()


@LONG
def test_while_the_api_is_unavailable_who_is_signed_in_stays_and_the_sign_in_page_comes_back_by_itself(
    browser: Browser, stack: Stack, shops: Shops, tmp_path: Path
) -> None:
    # Attempts to sign in are counted by account: those of the other tests are not this one's. It is made while there is
    # no other process of the API, which might take the mail and write it into its own folder.
    email = shops.api.make_account("outage@shop.example").email
    shops.give("teahouse", email, "analyst")
    with ExitStack() as opened:
        folder = tmp_path / "own"
        folder.mkdir()
        api = opened.enter_context(running_api(stack, folder, shops.database, **numbers_of(stack)))
        environment = environment_of(stack, shops.database, MARKETPLACE_DASHBOARD_API_URL=api.url)
        url = opened.enter_context(dashboard(environment, tmp_path))
        own = Shops(url, api, shops.database, shops.mongo_url)
        window = opened.enter_context(signed_in(browser, own, email))
        other = opened.enter_context(tab(browser, url))
        other.page.goto(url)
        expect_sign_in(other.page)
        api.process.terminate()
        api.process.wait(20)

        own.sign_in(other, email)

        expect(other.page.get_by_text("Signing in does not work right now")).to_be_visible()
        window.page.reload()
        window.wait_drawn()
        expect(window.metric("Page views")).to_be_visible()
        port = str(urlsplit(api.url).port)
        again = {**numbers_of(stack), "MARKETPLACE_API_PORT": port}
        opened.enter_context(running_api(stack, folder, shops.database, **again))
        expect(other.page.get_by_role("heading", name="Sign in")).to_be_visible(timeout=PATIENCE_MS)


def test_behind_the_proxy_the_cookie_is_secure_and_all_works(browser: Browser, shops: Shops, tmp_path: Path) -> None:
    port = urlsplit(shops.url).port
    assert port is not None
    with running_proxy(tmp_path / "proxy", upstreams={"dashboard": port}) as proxy:
        url = f"https://localhost:{proxy.port}"
        with tab(browser, url, ignore_https_errors=True) as window:
            window.page.goto(f"{url}/sources")
            shops.sign_in(window, ANALYST)
            window.wait_drawn()
            expect(window.metric("Page views")).to_be_visible()
            cookie = cookie_of(window)
            assert (cookie["name"], cookie["secure"]) == ("__Host-marketplace-session", True)
            window.page.get_by_role("button", name="Sign out").click()
            expect_sign_in(window.page)
            assert cookies_of(window) == []
            window.page.goto(f"{url}/invitation#{'x' * 43}")
            expect(window.page.get_by_role("heading", name="This invitation is not valid")).to_be_visible()
