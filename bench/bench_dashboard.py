"""The dashboard's speed in a real browser: first paint, and the time from each interaction to the new numbers.

It prints medians of several runs against a running dashboard with data, by default that of ``make demo``:

    .venv/bin/python bench/bench_dashboard.py --email EMAIL [--url http://127.0.0.1:8501] [--runs 5] [--query TEXT]

The password of the account is read from the input.

The browser's own work is included, so other load on the machine affects the results. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from playwright.sync_api import Browser, Error, Page, expect

from ops.screenshots import read_password, sign_in
from tests.kits.dashboard import PATIENCE_MS, Tab, chromium, chromium_path, fresh, tab

Times = dict[str, list[float]]
Timed = Callable[[str, Callable[[], object], Callable[[], object]], None]

_SIGNS: Final = {
    "Sources": ("tab", "Mediums"),
    "Places": ("tab", "Countries"),
    "Devices": ("tab", "Systems"),
    "Products": ("tab", "Pages"),
    "Visits": ("button", "Fullscreen: Visit lengths"),
    "Overview": ("tab", "Cities"),
}
"""An element that each page draws last or nearly so, and that the page visited before does not have."""


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description="The dashboard's speed in a browser.")
    parser.add_argument("--url", default="http://127.0.0.1:8501", help="a running dashboard [%(default)s]")
    parser.add_argument("--email", default="", help="the account to sign in with; its password is read from the input")
    parser.add_argument("--query", default=_closed(), help="the query string of all pages [%(default)s]")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    path = chromium_path()
    if path is None:
        print("bench_dashboard: skipped, no chromium on this machine", file=sys.stderr)  # noqa: T201  # a program that is read
        return 0
    times: Times = {}
    password = read_password(options.email)
    try:
        with chromium(path) as browser:
            cookies = cookies_of(browser, options.url, options.email, password)
            for _ in range(options.runs):
                measure(browser, options.url, options.query, cookies, times)
    except (Error, AssertionError) as error:
        print(f"bench_dashboard: skipped, {options.url}: {str(error).splitlines()[0]}", file=sys.stderr)  # noqa: T201  # a program that is read
        return 0
    for name, found in times.items():
        print(f"{name:44} {statistics.median(found):7.0f} ms   (worst {max(found):.0f})")  # noqa: T201  # a program that is read
    return 0


def _closed() -> str:
    """Four weeks up to the day before yesterday: live traffic does not change their numbers during a run."""
    today = datetime.now(UTC).date()
    return f"from={today - timedelta(days=29)}&to={today - timedelta(days=2)}"


def cookies_of(browser: Browser, url: str, email: str, password: str) -> list[Any]:
    """The cookies of an account that has signed in; none without an address."""
    with fresh(browser) as context:
        sign_in(context.new_page(), url, email, password)
        return [*context.cookies()]


def measure(browser: Browser, url: str, query: str, cookies: list[Any], times: Times) -> None:
    """One run in a new window with an empty cache."""
    with tab(browser, url) as window:
        page = window.page
        page.context.add_cookies(cookies)

        def timed(name: str, act: Callable[[], object], wait: Callable[[], object]) -> None:
            begin = time.perf_counter()
            act()
            wait()
            times.setdefault(name, []).append(1_000 * (time.perf_counter() - begin))

        def numbers() -> None:
            expect(window.metric("Clicks")).to_be_visible(timeout=PATIENCE_MS)

        timed("first visit: numbers are there", lambda: page.goto(f"{url}/?{query}"), numbers)
        times.setdefault("first visit: browser's first contentful paint", []).append(first_paint(page))
        window.wait_drawn()
        timed("reload: numbers are there", page.reload, numbers)
        window.wait_drawn()
        interactions(window, timed)
        for name, (role, sign) in _SIGNS.items():
            there = partial(shown, page, role, sign)
            timed(f"to the page {name}", page.get_by_role("link", name=name).click, there)
            window.wait_drawn()


def shown(page: Page, role: Any, name: str) -> None:
    """Wait until an element is visible."""
    expect(page.get_by_role(role, name=name, exact=True).first).to_be_attached(timeout=PATIENCE_MS)


def interactions(window: Tab, timed: Timed) -> None:
    """Set a filter, remove it, choose another metric, choose other days."""
    page = window.page
    row = page.locator(".bars .row").first
    chips = page.locator(".st-key-chips").get_by_role("button")
    every = window.metric("Clicks").text_content() or ""

    def filtered() -> None:
        expect(window.metric("Clicks")).not_to_have_text(every, timeout=PATIENCE_MS)

    def unfiltered() -> None:
        expect(window.metric("Clicks")).to_have_text(every, timeout=PATIENCE_MS)

    timed("filter by a row: new numbers", row.click, filtered)
    window.wait_drawn()
    timed("remove the filter: old numbers", chips.first.click, unfiltered)
    window.wait_drawn()
    another = page.get_by_role("radio", name="Clicks")
    timed("another metric: new chart", another.click, partial(shown, page, "button", "Fullscreen: Clicks over time"))
    window.wait_drawn()
    page.get_by_role("combobox", name="Days").click()
    days = page.get_by_role("option", name="Last 7 days")
    timed("other days: new numbers", days.click, filtered)
    window.wait_drawn()


def first_paint(page: Page) -> float:
    """The browser's first contentful paint, in milliseconds from the start of the navigation."""
    return float(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN"))


if __name__ == "__main__":
    sys.exit(main())
