"""Pages of the dashboard that were used before, which open it for less than a new one.

What is left in them are the scripts of the dashboard, as compiled, which a new page spends most of its time with.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from weakref import WeakKeyDictionary

from playwright.sync_api import Browser

from tests.kits.api import any_address
from tests.kits.dashboard import DESK, PATIENCE_MS, USUAL, Tab

_WAITING: Final[WeakKeyDictionary[Browser, list[Tab]]] = WeakKeyDictionary()
"""Those that nobody uses now, each in a browser with cookies of its own."""


@contextmanager
def cleared_tab(browser: Browser, url: str) -> Iterator[Tab]:
    """A page in a browser that keeps nothing of who used it before; two at a time have nothing in common.

    Everybody comes from this machine, but has limits of an own address.

    A test that listens to the page or answers its requests takes a new ``tab``: that would stay.
    """
    waiting = _WAITING.setdefault(browser, [])
    opened = next((each for each in waiting if each.url == url), None)
    if opened is None:
        opened = Tab(browser.new_context(**USUAL).new_page(), url)
        opened.page.set_default_timeout(PATIENCE_MS)
        opened.listen()
    else:
        waiting.remove(opened)
        used_again(opened)
    opened.page.set_extra_http_headers({"x-forwarded-for": any_address()})
    try:
        yield opened
        # An address of the same site: for one of another site the browser would start another process.
        opened.page.goto(f"{url}/_stcore/health")
        opened.page.evaluate("localStorage.clear(); sessionStorage.clear()")
        opened.page.context.clear_cookies()
    except BaseException:
        opened.page.context.close()
        raise
    waiting.append(opened)


def used_again(opened: Tab) -> None:
    """Make a page what a new one is to a test that opens the dashboard in it."""
    opened.problems.clear()
    opened.page.emulate_media(color_scheme="null")
    opened.page.set_viewport_size(DESK)
