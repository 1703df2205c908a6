"""The demo's seller and its analyst in a browser: each sees the own shop, and of the others nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import pytest
from playwright.sync_api import Browser, expect

from connectors.mongo.client import connect
from ops.demo.services.background import Background
from ops.demo.services.demo_accounts import DemoAccount, ensure_accounts
from ops.demo.services.demo_processes import open_shops
from ops.demo.traffic.shops import DemoStore
from ops.stack import Stack
from runtime.sections import Settings
from tests.kits.api import running_api
from tests.kits.dashboard import ROOT, Tab, dashboard, environment_of
from tests.kits.depth import LONG
from tests.kits.insights import empty_tables
from tests.kits.used_pages import cleared_tab


@dataclass
class Demo:
    """The demo's shops and accounts behind a dashboard.

    Attributes:
        url: The dashboard's.
        shops: The owner's, then the one with the analyst.
        owner: Of the first one.
        analyst: Of the second one.
    """

    url: str
    shops: list[DemoStore]
    owner: DemoAccount
    analyst: DemoAccount


@pytest.fixture(scope="module")
def demo(browser: Browser, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo-accounts")
    with ExitStack() as opened:
        database = opened.enter_context(empty_tables(stack.urls.clickhouse)).database
        api = opened.enter_context(running_api(stack, folder, database))
        settings = Settings(stack.urls, PurePosixPath(folder), database)
        shops = open_shops(settings, 1, "", fresh=True)
        url = opened.enter_context(
            dashboard(environment_of(stack, database, MARKETPLACE_DASHBOARD_API_URL=api.url), folder)
        )
        # Not in this thread, where Playwright's event loop runs.
        makes = Background(lambda: ensure_accounts(settings, shops, url, datetime.now(UTC)), "accounts")
        makes.start()
        owner, analyst, _ = makes.result()
        yield Demo(url, shops, owner, analyst)
    client = connect(stack.urls.mongo)
    client.drop_database(database)
    client.close()


@contextmanager
def signed_in(browser: Browser, demo: Demo, account: DemoAccount) -> Iterator[Tab]:
    """A browser in which somebody has signed in."""
    with cleared_tab(browser, demo.url) as window:
        window.page.goto(demo.url)
        window.send_sign_in(account.email, account.password)
        window.wait_drawn()
        yield window


@pytest.mark.parametrize("who", ["owner", pytest.param("analyst", marks=LONG)])
def test_each_sees_the_own_shop_only_and_a_link_to_the_other_one_like_one_to_none(
    browser: Browser, demo: Demo, who: str
) -> None:
    shop_of_owner, shop_of_analyst = demo.shops[0].store, demo.shops[1].store
    account, own, other = (
        (demo.owner, shop_of_owner, shop_of_analyst)
        if who == "owner"
        else (demo.analyst, shop_of_analyst, shop_of_owner)
    )
    with signed_in(browser, demo, account) as window:
        assert window.store_options() == [own.title]
        answers = []
        for slug in (other.slug, "no-such-shop"):
            window.page.goto(f"{demo.url}/sources?store={slug}")
            window.wait_drawn()
            expect(window.page.get_by_role("heading", name="There is no such store")).to_be_visible()
            expect(window.page.get_by_role("button", name=own.title)).to_be_visible()
            answers.append(window.page.get_by_test_id("stMainBlockContainer").inner_text().replace(slug, "SLUG"))
            assert other.title not in window.page.content()
        assert answers[0] == answers[1]
        window.assert_sound()


@LONG
def test_the_analyst_sees_no_key(browser: Browser, demo: Demo) -> None:
    shop = demo.shops[1]
    with signed_in(browser, demo, demo.analyst) as window:
        for path in ("", "live", "counting"):
            window.open(path, f"store={shop.store.slug}")
            content = window.page.content()
            assert not re.search(r"write.?key|import.?key|secret", content, re.IGNORECASE)
            for secret in (shop.write_key, shop.import_key, shop.store.write_key_hash, shop.store.visitor_secret):
                assert secret not in content


@LONG
def test_pictures_of_a_demo_are_taken_by_an_account_and_by_nobody_else(demo: Demo, tmp_path: Path) -> None:
    which = ("--url", demo.url, "--only", "counting", "--kind", "phone", "--target", str(tmp_path))

    def take_pictures(*more: str, password: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ops.screenshots", *which, *more], cwd=ROOT, input=f"{password}\n",
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    refused = take_pictures()
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "asks for a sign-in; name an account with --email" in refused.stderr
    assert list(tmp_path.iterdir()) == []

    done = take_pictures("--email", demo.owner.email, password=demo.owner.password)
    assert done.returncode == 0, done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["counting-phone.png"]
    assert demo.owner.password not in done.stdout + done.stderr
