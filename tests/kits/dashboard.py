"""What tests of the dashboard share: known clicks, the dashboard as a process, a browser."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    ViewportSize,
    expect,
    sync_playwright,
)
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from connectors.clickhouse.client import ClickHouse
from connectors.mongo.client import connect
from connectors.mongo.stores import MongoStores
from marketplace.stores import Store
from ops.oracle import LogRecord
from ops.screenshots import BROWSERS
from ops.stack import Stack
from runtime.ports import free_ports
from tests.kits.clicks import CHROME, GOOGLEBOT, SAFARI, as_bytes, event, make_store, visitor_of

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = {
    "Overview": "", "Live": "live", "Sources": "sources", "Places": "places", "Devices": "devices",
    "Products": "products", "Goals": "goals", "Orders": "orders", "Stock": "stock", "Catalog": "catalog",
    "Visits": "visits", "Counting": "counting",
}  # fmt: skip
"""Names in the navigation, and paths."""

PATIENCE_MS: Final = 20_000
"""How long a test waits for what should come within a second: the machine may be busy with other things."""

DESK: Final[ViewportSize] = {"width": 1280, "height": 900}
# What moves is drawn sixty times a second, by software.
USUAL: Final[dict[str, Any]] = {"viewport": DESK, "user_agent": CHROME, "reduced_motion": "reduce"}
"""A browser of somebody at a desk."""

_MOMENT_MS: Final = 2_000
"""How long a list of options that is open can be waited for before it is looked whether it still is."""

_ARGUMENTS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-blink-features=AutomationControlled",
    # Pages are drawn by software whatever process does it: one less is started and talked to.
    "--in-process-gpu",
    # A page is looked at for a moment: what compiling its scripts well costs is never earned back.
    "--js-flags=--no-opt,--no-maglev",
)  # fmt: skip
"""For automation: a browser that says it is steered by a program is counted as a bot."""

TEAHOUSE: Final = make_store("teahouse", "Asia/Kathmandu")
WIDE: Final = make_store("wide", "America/New_York")
QUIET: Final = make_store("quiet", "UTC")
SHOPS: Final[dict[str, Store]] = {store.slug: store for store in (TEAHOUSE, WIDE, QUIET)}
SCRIPTED_PAGE: Final = "/<img src=x onerror=alert(1)>"
"""A page that somebody made up to run a script in the seller's browser."""

_PAGE_URLS: Final = ("/", "/", "/tea", "/tea", "/pots", "/%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E")
_QUERIES: Final = ("", "", "?utm_source=mail&utm_campaign=spring", "?utm_source=mail&utm_medium=email")
_RETURNING: Final = 6
_NETWORKS: Final = ("81.2.69.0", "175.16.199.0", "89.160.20.0", "2001:db8::")


def teahouse_log(now_ms: int, visitors: int = 90) -> list[LogRecord]:
    """Nine days of a small shop up to a minute ago; equal but for the time they end at."""
    chance = random.Random(1)
    records: list[LogRecord] = []
    for number in range(visitors):
        # The first ones came within the last half hour, the others before.
        when = now_ms - (60_000 + number * 120_000 if number < 12 else chance.randrange(2_400_000, 9 * 86_400_000))
        agent = chance.choice((CHROME, CHROME, SAFARI, GOOGLEBOT) if number >= 12 else (CHROME, SAFARI))
        network, referrer = chance.choice(_NETWORKS), chance.choice(("", "https://www.google.com/"))
        for step in range(chance.choice((1, 1, 2, 5))):
            url = f"https://teahouse.example{chance.choice(_PAGE_URLS)}{chance.choice(_QUERIES)}"
            fields = event(
                when - step * 15_000, store="teahouse", visitor=visitor_of("teahouse", number), user_agent=agent,
                ip=network, referrer=referrer, url=url, product=chance.choice(("", "green", "black", "=2+3")),
                event_id=f"{number}-{step}",
            )  # fmt: skip
            records.append(LogRecord(0, len(records), now_ms, as_bytes(fields)))
    # Some came by mail, and on the next day by themselves.
    for number in range(visitors, visitors + _RETURNING):
        for ago, query in ((3, "?utm_source=mail&utm_medium=email"), (2, "")):
            fields = event(
                now_ms - ago * 86_400_000, store="teahouse", visitor=visitor_of("teahouse", number), user_agent=CHROME,
                ip=_NETWORKS[0], url=f"https://teahouse.example/tea{query}", event_id=f"{number}-{ago}",
            )  # fmt: skip
            records.append(LogRecord(0, len(records), now_ms, as_bytes(fields)))
    return records


def fill_wide(clickhouse: ClickHouse, pages: int) -> None:
    """Give the wide shop as many pages yesterday; only what is stored by day, which is all that lists of pages read."""
    columns = (
        "store, grain, dimension, bucket, value, is_bot, views, refires, sessions, bounces, duration_ms, "
        "visitor_ids, source_partition, source_offset"
    )
    day = "toDateTime(toDate(now()) - 1, 'UTC')"
    for dimension, value, clicks, count in (("all", "''", str(pages), 1), ("page", "'/p/' || number", "1", pages)):
        clickhouse.command(
            f"INSERT INTO {clickhouse.database}.rollups ({columns}) SELECT 'wide', 'day', '{dimension}', {day}, "
            f"{value}, 0, {clicks}, 0, 1, 1, 0, [number], 0, 0 FROM numbers({count})"
        )


def save_stores(stack: Stack, database: str, stores: Mapping[str, Store]) -> None:
    """Write stores into a database of their own."""
    client = connect(stack.urls.mongo)
    for store in stores.values():
        MongoStores(client, database).upsert_store(store)
    client.close()


def environment_of(stack: Stack, database: str, **more: str) -> dict[str, str]:
    """What a process of ours needs to know of the stack; nothing of the caller's own settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MARKETPLACE_")}
    return {**clean, **stack.urls.environment(), "PYTHONPATH": str(ROOT), "MARKETPLACE_DATABASE": database, **more}


@contextmanager
def service(module: str, environment: Mapping[str, str], log: Path, health: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours that answers at a URL; ended at the end."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", module], env=dict(environment), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            cwd=log.parent,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 60
            while not answers(health):
                assert process.poll() is None, log.read_text()[-2_000:]
                assert time.monotonic() < deadline, f"{module} does not come up: {log.read_text()[-2_000:]}"
                time.sleep(0.05)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired as error:
                process.kill()
                process.wait()
                raise AssertionError(f"{module} does not end when it is asked to") from error


def answers(url: str) -> bool:
    """Whether something answers with 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def dashboard(environment: Mapping[str, str], folder: Path) -> Iterator[str]:
    """The dashboard on a free port; gives its address."""
    port = free_ports(1)[0]
    url = f"http://127.0.0.1:{port}"
    log = folder / "dashboard.log"
    given = {**environment, "MARKETPLACE_DASHBOARD_PORT": str(port)}
    with service("dashboards", given, log, f"{url}/_stcore/health") as process:
        yield url
    assert process.returncode == 0, f"it was asked to end, and ended with {process.returncode}"
    errors = [line for line in log.read_text().splitlines() if "Traceback" in line]
    assert not errors, log.read_text()[-4_000:]


def chromium_path() -> str | None:
    """Where the machine's browser is; some systems have a command of that name which only says how to install it."""
    for path in filter(None, map(shutil.which, BROWSERS)):
        said = subprocess.run([path, "--version"], capture_output=True, timeout=60, check=False)
        if said.returncode == 0:
            return path
    return None


@contextmanager
def chromium(path: str, *arguments: str) -> Iterator[Browser]:
    """A browser of its own, with further arguments."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*_ARGUMENTS, *arguments])
        try:
            yield browser
        finally:
            browser.close()


# Streamlit looks for its server beside the page first and above it next; the first try is no error of ours.
_PROBE: Final = re.compile(r"https?://(127\.0\.0\.1|localhost):\d+/[a-z]+/_stcore/(health|host-config)")


@dataclass
class Tab:
    """A page of the dashboard in a browser, and all that it complained about."""

    page: Page
    url: str
    problems: list[str] = field(default_factory=list)

    def listen(self) -> None:
        """Note errors from now on."""
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        self.page.on("dialog", lambda dialog: self.problems.append(f"dialog: {dialog.message}"))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not _PROBE.fullmatch(message.location["url"]):
            self.problems.append(f"{message.text} ({message.location['url']})")

    def open(self, path: str = "", query: str = "store=teahouse") -> None:
        """Go to a page by its address and wait until it is drawn."""
        self.page.goto(f"{self.url}/{path}?{query}")
        self.wait_drawn()

    def wait_drawn(self) -> None:
        """Wait until the page's script has run."""
        app = self.page.get_by_test_id("stApp")
        expect(app).to_have_attribute("data-test-script-state", "notRunning", timeout=PATIENCE_MS)
        expect(self.page.get_by_test_id("stMainBlockContainer")).to_be_visible(timeout=PATIENCE_MS)

    def send_sign_in(self, email: str, password: str) -> None:
        """Fill in the form of the sign-in page and send it."""
        self.page.get_by_label("E-mail address").fill(email)
        self.page.get_by_label("Password", exact=True).fill(password)
        self.page.get_by_role("button", name="Sign in").click()

    def store_options(self) -> list[str]:
        """The stores that the switcher offers."""
        options = self.page.get_by_role("option")
        self._open("Store", options.first)
        found = options.all_inner_texts()
        self.page.keyboard.press("Escape")
        return found

    def choose(self, combobox: str, option: str) -> None:
        """Choose an option of a list."""
        wanted = self.page.get_by_role("option", name=option, exact=True)
        self._open(combobox, wanted, lambda: wanted.click(timeout=_MOMENT_MS))

    def _open(self, combobox: str, option: Locator, use: Callable[[], None] = lambda: None) -> None:
        """Open a list and use it: a page closes it that is drawn once more, and it is opened again."""
        deadline = time.monotonic() + PATIENCE_MS / 1_000
        while True:
            self.wait_drawn()
            try:
                if not option.is_visible():
                    self.page.get_by_role("combobox", name=combobox, exact=True).click(timeout=_MOMENT_MS)
                    option.wait_for(timeout=_MOMENT_MS)
                use()
            except PlaywrightTimeout:
                if time.monotonic() > deadline:
                    raise
            else:
                return

    def metric(self, label: str) -> Locator:
        """A number on top of a page."""
        tiles = self.page.get_by_test_id("stMetric")
        return tiles.filter(has=self.page.get_by_text(label, exact=True)).get_by_test_id("stMetricValue").first

    def bar(self, text: str) -> Locator:
        """A row of a list with bars."""
        return self.page.locator(".bars .row").filter(has=self.page.get_by_text(text, exact=True))

    def chip(self, dimension: str) -> Locator:
        """The button that removes a filter."""
        return self.page.locator(f".st-key-chip-{dimension}").get_by_role("button").first

    def turn_to(self, name: str) -> None:
        """Go to another page by the links on top."""
        self.page.get_by_role("link", name=name).click()
        expect(self.page.get_by_role("link", name=name)).to_have_attribute("aria-current", "page")
        self.wait_drawn()

    def wait_fits(self) -> None:
        """Wait until nothing is wider than the screen: charts are drawn again after it has changed."""
        self.page.wait_for_function(
            "[...document.querySelectorAll('html, body, [data-testid=stMain]')]"
            ".every(part => part.scrollWidth <= part.clientWidth)"
        )

    def assert_sound(self) -> None:
        """No error in the console, and none on the page."""
        assert self.problems == []
        expect(self.page.get_by_test_id("stException")).to_have_count(0)


@contextmanager
def tab(browser: Browser, url: str, **options: Any) -> Iterator[Tab]:
    """A page in a browser that nobody has used before."""
    with fresh(browser, **options) as context, page_in(context, url) as opened:
        yield opened


@contextmanager
def fresh(browser: Browser, **options: Any) -> Iterator[BrowserContext]:
    """A browser without cache, cookies or history."""
    context = browser.new_context(**{**USUAL, **options})
    try:
        yield context
    finally:
        context.close()


@contextmanager
def page_in(context: BrowserContext, url: str) -> Iterator[Tab]:
    """A new page in a browser; the dashboard knows nothing of the others."""
    opened = Tab(context.new_page(), url)
    try:
        opened.page.set_default_timeout(PATIENCE_MS)
        opened.listen()
        yield opened
    finally:
        opened.page.close()
