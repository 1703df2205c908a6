"""``python -m ops.screenshots``: pictures of a running demo's dashboard and storefront, for README and docs.

It writes every page in light and dark at desktop size, and in light at phone size, to ``docs/images``. It needs the
packages for development and a Chromium, and the password of one of the demo's accounts.
"""

from __future__ import annotations

import argparse
import getpass
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

SIGN_IN: Final = "sign-in"
PAGES: Final = (
    "overview", "live", "sources", "places", "devices", "products", "goals", "orders", "stock", "notifications",
    "catalog", "visits", "counting", SIGN_IN,
)  # fmt: skip
SHOP_PAGES: Final = {
    "shop-front": "/shop",
    "shop-search": "/shop/search?q=kaffee",
    "shop-product": "/shop/brooklyn-coffee/ethiopia-guji-natural",
    "shop-cart": "/shop/cart",
    "shop-checkout": "/shop/checkout",
    "shop-order": "/shop/orders",
    "shop-notifications": "/shop/notifications",
}
"""Pages of the storefront, by the names of their pictures; the cart has the product of the page before it, and is
ordered by the account that signs in, once for each picture of an order."""

OF_BUYERS: Final = frozenset({"shop-checkout", "shop-order", "shop-notifications"})
"""Those of somebody who is signed in."""

TARGET: Final = Path(__file__).resolve().parents[1] / "docs" / "images"

_KINDS: Final[dict[str, dict[str, Any]]] = {
    "light": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "dark"},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "color_scheme": "light",
        "is_mobile": True,
        "has_touch": True,
        "device_scale_factor": 2,
    },
}
BROWSERS: Final = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""Names of a Chromium on a machine, the one that takes the least of it first."""

_TALLEST: Final = 2_400
"""In pixels; a picture of a whole page is cut off here."""

_ORDER: Final = {
    "Name": "Ada Buyer",
    "Street and number": "Hill Road 7",
    "Postcode (optional)": "10115",
    "City": "Berlin",
    "Number": "4242 4242 4242 4242",
    "Good until": "12/34",
    "Security code": "123",
}
"""What is typed into a checkout, by the labels of its fields; the card is one of the sandbox."""

_TIMEOUT_MS: Final = 30_000
_COLOURS: Final = 256
_ARGUMENTS: Final = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
# A picture is taken when the page's script has run and all charts and lists are drawn.
_DRAWN: Final = (
    "() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"
    " && !document.querySelector('[data-testid=stSkeleton]')"
    " && [...document.querySelectorAll('[data-testid=stVegaLiteChart]')].every(c => c.querySelector('canvas, svg'))"
    " && document.fonts.status === 'loaded'"
)


class SignInNeeded(Exception):
    """A page asks for a sign-in, and no account was named."""


def main() -> int:
    """Take all pictures; returns 1, with one line on standard error, if that fails."""
    parser = argparse.ArgumentParser(prog="python -m ops.screenshots", description="Pictures of a running dashboard.")
    parser.add_argument("--url", default="http://127.0.0.1:8501", help="the dashboard [%(default)s]")
    parser.add_argument("--shop", default="http://127.0.0.1:8000", help="the storefront [%(default)s]")
    parser.add_argument("--email", default="", help="the account to sign in with; its password is read from the input")
    parser.add_argument("--query", default="", help="of every page's address, such as store=kathmandu-wool&period=7d")
    parser.add_argument("--target", type=Path, default=TARGET, help="folder [%(default)s]")
    parser.add_argument(
        "--only", choices=(*PAGES, *SHOP_PAGES), action="append", help="this page; can be repeated [all]"
    )
    parser.add_argument("--kind", choices=_KINDS, action="append", help="pictures of this kind; can be repeated [all]")
    options = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    if chromium is None:
        return _fail("there is no chromium on this machine; 'make browser' installs it where it can")
    try:
        from playwright.sync_api import Error
    except ImportError:
        return _fail("playwright is missing; 'make setup' installs it")
    options.password = read_password(options.email)
    options.target.mkdir(parents=True, exist_ok=True)
    try:
        for name, picture in _pictures(chromium, options):
            file = options.target / f"{name}.png"
            file.write_bytes(_smaller(picture))
            sys.stdout.write(f"{file.name}: {file.stat().st_size // 1024} KiB\n")
    except SignInNeeded:
        return _fail(f"no picture of {options.url}: it asks for a sign-in; name an account with --email")
    except Error as error:
        return _fail(f"no picture of {options.url}: {error.message.splitlines()[0]}")
    return 0


def _fail(text: str) -> int:
    sys.stderr.write(f"screenshots: {text}\n")
    return 1


def read_password(email: str) -> str:
    """The password of an account, from a terminal without showing it, or the input's first line; empty without one."""
    if not email:
        return ""
    return getpass.getpass(f"password of {email}: ") if sys.stdin.isatty() else sys.stdin.readline().strip()


def sign_in(page: Any, url: str, email: str, password: str) -> None:
    """Sign in to a dashboard in the page's browser; nothing without an address.

    Raises:
        playwright.sync_api.Error: It does not lead to the dashboard.
    """
    if not email:
        return
    page.goto(f"{url}/sign-in", timeout=_TIMEOUT_MS)
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_test_id("stMainBlockContainer").wait_for(timeout=_TIMEOUT_MS)


@contextmanager
def _browser(path: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


def _pictures(path: str, options: argparse.Namespace) -> Iterator[tuple[str, bytes]]:
    with _browser(path) as browser:
        for kind in options.kind or _KINDS:
            looks = _KINDS[kind]
            context = browser.new_context(**looks)
            window = context.new_page()
            wanted = options.only or (*PAGES, *SHOP_PAGES)
            for name in (each for each in SHOP_PAGES if each in wanted):
                if name in OF_BUYERS:
                    _be_buyer(window, options)
                yield f"{name}-{kind}", _of_shop(window, options.shop, name)
            if SIGN_IN in wanted:
                window.goto(f"{options.url}/{SIGN_IN}", timeout=_TIMEOUT_MS)
                yield f"{SIGN_IN}-{kind}", window.screenshot(animations="disabled", full_page=True)
            pages = [each for each in wanted if each in PAGES and each != SIGN_IN]
            if pages:
                sign_in(window, options.url, options.email, options.password)
            for name in pages:
                address = f"{options.url}/{'' if name == 'overview' else name}?{options.query}"
                window.goto(address, timeout=_TIMEOUT_MS)
                if urlsplit(window.url).path == "/sign-in":
                    raise SignInNeeded
                yield f"{name}-{kind}", _whole(window, looks["viewport"])
                window.set_viewport_size(looks["viewport"])
            context.close()


def _of_shop(window: Any, url: str, name: str) -> bytes:
    """A picture of a page of the storefront, as far down as the tallest picture."""
    if name in ("shop-cart", "shop-checkout", "shop-order"):
        _fill_cart(window, url)
    if name == "shop-order":
        _order(window, url)
    else:
        window.goto(f"{url}{SHOP_PAGES[name]}", timeout=_TIMEOUT_MS, wait_until="networkidle")
    screen = window.viewport_size
    height = min(_TALLEST, window.evaluate("document.documentElement.scrollHeight"))
    window.set_viewport_size({"width": screen["width"], "height": max(screen["height"], height)})
    picture: bytes = window.screenshot(animations="disabled")
    window.set_viewport_size(screen)
    return picture


def _fill_cart(window: Any, url: str) -> None:
    """Put a product into the cart, if there is nothing in it."""
    window.goto(f"{url}{SHOP_PAGES['shop-product']}", timeout=_TIMEOUT_MS)
    if not window.locator("#in-cart").is_visible():
        window.locator("form.buy button").click()
        window.locator("#in-cart").wait_for(timeout=_TIMEOUT_MS)


def _be_buyer(window: Any, options: argparse.Namespace) -> None:
    """Sign in to the storefront, unless that was done before.

    Raises:
        SignInNeeded: No account was named, or it does not sign in.
    """
    window.goto(f"{options.shop}/shop/account", timeout=_TIMEOUT_MS)
    if urlsplit(window.url).path == "/shop/sign-in" and options.email:
        window.get_by_label("E-mail address").fill(options.email)
        window.get_by_label("Password", exact=True).fill(options.password)
        window.locator("button[name=sign-in]").click()
        window.wait_for_load_state()
    if urlsplit(window.url).path == "/shop/sign-in":
        raise SignInNeeded


def _order(window: Any, url: str) -> None:
    """Order what is in the cart, and wait on its page until it is confirmed."""
    window.goto(f"{url}/shop/checkout", timeout=_TIMEOUT_MS)
    for label, text in _ORDER.items():
        window.get_by_label(label, exact=True).fill(text)
    window.get_by_label("Country").select_option("DE")
    window.locator("button[name=place-order]").click()
    window.get_by_role("heading", name="Your order is confirmed").wait_for(timeout=_TIMEOUT_MS)
    # Without what is said once, to whoever has just ordered.
    window.goto(window.url.partition("?")[0], timeout=_TIMEOUT_MS)
    window.get_by_role("heading", name="Your order is confirmed").wait_for(timeout=_TIMEOUT_MS)


def _whole(window: Any, screen: dict[str, int]) -> bytes:
    """A picture of a whole page: it scrolls inside its window, so the window is made as high as the page."""
    window.wait_for_function(_DRAWN, timeout=_TIMEOUT_MS)
    window.get_by_test_id("stMainBlockContainer").wait_for(timeout=_TIMEOUT_MS)
    height = window.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    window.set_viewport_size({"width": screen["width"], "height": max(screen["height"], min(height, _TALLEST))})
    window.wait_for_function(_DRAWN, timeout=_TIMEOUT_MS)
    picture: bytes = window.screenshot(animations="disabled")
    return picture


def _smaller(picture: bytes) -> bytes:
    """The picture with a palette, if Pillow is installed: a third of the size. A colour that is rare keeps its own."""
    try:
        from PIL import Image
    except ImportError:
        return picture
    out = BytesIO()
    with Image.open(BytesIO(picture)) as image:
        small = image if image.width <= 1280 else image.resize((image.width // 2, image.height // 2))
        few = small.convert("RGB").quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(out, "PNG", optimize=True)
    return out.getvalue()


if __name__ == "__main__":
    sys.exit(main())
