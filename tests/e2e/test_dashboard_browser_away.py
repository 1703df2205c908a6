"""The dashboard while a part is away or nothing is there yet: it says so, and recovers without anybody's help."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest
from playwright.sync_api import Browser, expect

from ops.provision import ensure_provisioned
from ops.stack import Stack
from runtime.ports import free_ports
from runtime.sections import Settings
from tests.e2e.conftest import stores_saved
from tests.kits.dashboard import QUIET, SHOPS, dashboard, environment_of, save_stores, service, tab, teahouse_log
from tests.kits.depth import LONG
from tests.kits.insights import empty_tables, fill
from tests.kits.tcp_proxy import TcpProxy

CANNOT_READ = "The numbers cannot be read right now"


@dataclass
class BehindProxy:
    """A dashboard that reaches ClickHouse through a proxy."""

    url: str
    proxy: TcpProxy


@pytest.fixture(scope="module")
def behind(browser: Browser, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BehindProxy]:
    proxy = TcpProxy(stack.urls.clickhouse)
    with empty_tables(stack.urls.clickhouse) as clickhouse, stores_saved(stack, clickhouse.database):
        fill(clickhouse, teahouse_log(int(time.time() * 1000)), SHOPS)
        away = f"127.0.0.1:{free_ports(1)[0]}"
        environment = environment_of(
            stack, clickhouse.database, MARKETPLACE_CLICKHOUSE_URL=proxy.url, MARKETPLACE_KAFKA_URL=away,
            MARKETPLACE_REDIS_URL=f"redis://{away}/0",
        )  # fmt: skip
        with dashboard(environment, tmp_path_factory.mktemp("away")) as url:
            yield BehindProxy(url, proxy)
    proxy.close()


def test_numbers_are_shown_while_kafka_and_redis_are_unavailable(browser: Browser, behind: BehindProxy) -> None:
    with behind.proxy.opened(), tab(browser, behind.url) as window:
        window.open()
        expect(window.metric("Page views")).not_to_have_text("0")
        expect(window.metric("Live now")).to_have_text("\N{EN DASH}")
        expect(window.page.get_by_text("It is not known right now until when")).to_be_visible()
        window.assert_sound()


@LONG
def test_a_dead_clickhouse_is_reported_and_the_page_recovers_by_itself(browser: Browser, behind: BehindProxy) -> None:
    with tab(browser, behind.url) as window:
        with behind.proxy.opened():
            window.open()
            expect(window.metric("Page views")).not_to_have_text("0")
        expect(window.page.get_by_text(CANNOT_READ)).to_be_visible()
        expect(window.page.get_by_role("combobox", name="Store")).to_have_value("Teahouse")
        window.turn_to("Live")
        expect(window.page.get_by_text("ClickHouse does not answer")).to_be_visible()
        window.turn_to("Counting")
        expect(window.page.get_by_text(CANNOT_READ)).to_be_visible()
        with behind.proxy.opened():
            expect(window.page.get_by_text("The sum closes")).to_be_visible()
            expect(window.page.get_by_text(CANNOT_READ)).to_have_count(0)
        window.assert_sound()


def test_a_mongodb_that_is_unavailable_is_reported_and_the_page_comes_by_itself(
    browser: Browser, stack: Stack, tmp_path: Path
) -> None:
    _, _, query = stack.urls.mongo.rpartition("/")
    with (
        closing(TcpProxy(stack.urls.mongo)) as proxy,
        empty_tables(stack.urls.clickhouse) as clickhouse,
        stores_saved(stack, clickhouse.database),
    ):
        environment = environment_of(
            stack, clickhouse.database, MARKETPLACE_MONGO_URL=f"mongodb://127.0.0.1:{proxy.port}/{query}"
        )
        with dashboard(environment, tmp_path) as url, tab(browser, url) as window:
            window.page.goto(url)
            expect(window.page.get_by_text("The list of stores cannot be read right now")).to_be_visible(timeout=40_000)
            with proxy.opened():
                expect(window.page.get_by_role("combobox", name="Store")).to_be_visible(timeout=40_000)
                expect(window.page.get_by_text("cannot be read right now")).to_have_count(0)
            window.assert_sound()


# In every run it is the next one that ends so.
@LONG
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_dashboard_that_is_looked_at_ends_when_it_is_asked_to(
    browser: Browser, stack: Stack, database: str, tmp_path: Path, sign: signal.Signals
) -> None:
    port, log = free_ports(1)[0], tmp_path / "dashboard.log"
    url = f"http://127.0.0.1:{port}"
    environment = environment_of(stack, database, MARKETPLACE_DASHBOARD_PORT=str(port))
    with service("dashboards", environment, log, f"{url}/_stcore/health") as process:
        with tab(browser, url) as window:
            window.page.goto(url)
            expect(window.page.get_by_role("link", name="Overview")).to_be_visible()
            process.send_signal(sign)
            process.wait(10)
        assert process.returncode in (0, -sign)
    assert "Traceback" not in log.read_text()


def test_without_any_store_it_says_how_to_make_one_shows_it_when_it_is_there_and_ends_while_it_is_looked_at(
    browser: Browser, stack: Stack, database: str, tmp_path: Path
) -> None:
    urls = stack.urls
    ensure_provisioned(Settings(urls, PurePosixPath(tmp_path), database))
    # The page is open until the dashboard has ended, which is asked to as its context is left.
    with ExitStack() as looked_at, dashboard(environment_of(stack, database), tmp_path) as url:
        window = looked_at.enter_context(tab(browser, url))
        window.page.goto(url)
        expect(window.page.get_by_role("heading", name="No store yet")).to_be_visible()
        expect(window.page.get_by_text("marketplace stores create")).to_be_visible()
        save_stores(stack, database, {QUIET.slug: QUIET})
        expect(window.page.get_by_role("combobox", name="Store")).to_have_value("Quiet")
        expect(window.page.get_by_role("heading", name="No store yet")).to_have_count(0)
        window.assert_sound()
