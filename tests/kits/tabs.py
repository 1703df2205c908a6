"""Tabs of somebody who looks at pages with the snippet, and what these tests do in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page

from tests.kits.clicks import CHROME
from tests.kits.collector import eventually
from tests.kits.pages import Site

LEFT = "about:blank"
OLD = "Object.defineProperty(window, 'navigation', { value: undefined })"
"""A browser without the Navigation API, of which the snippet watches the history instead."""

STAY = "<script>document.addEventListener('click', e => e.preventDefault())</script>"
EMOJI = "\N{GOAT}"


@contextmanager
def tab(browser: Browser, *scripts: str) -> Iterator[Page]:
    """A window of somebody who was never here."""
    context = browser.new_context(user_agent=CHROME)
    try:
        for script in scripts:
            context.add_init_script(script)
        yield context.new_page()
    finally:
        context.close()


def at(page: Page, own: Site, path: str = "/", host: str = "127.0.0.1") -> None:
    """Open a page, and wait until its view is noted."""
    page.goto(own.url(path, host), wait_until="load")


def run(page: Page, script: str) -> None:
    """Run a script as the page's own."""
    page.evaluate(f"() => {{ {script} }}")


def pass_time(page: Page, until: Callable[[], bool]) -> None:
    """Let the page's timers come until something holds."""

    def holds() -> bool:
        page.clock.run_for(500)
        return until()

    eventually(holds, "what timers do", 20)
