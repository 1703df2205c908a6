"""The snippet in real browsers: what is a view on pages of every kind, and what is none."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.kits.collector import eventually
from tests.kits.dashboard import chromium_path
from tests.kits.depth import LONG
from tests.kits.pages import Site, alone, seen
from tests.kits.tabs import LEFT, OLD, at, run, tab

VIEWS: dict[str, tuple[str, list[str]]] = {
    "an anchor is no view": ("location.hash = '#reviews'", ["/"]),
    "a query that is stripped or set is no view": (
        "history.replaceState(0, '', '/'); for (const sort of 'abc') history.pushState(0, '', '?sort=' + sort)", ["/"],
    ),
    "another path is a view": (
        "history.pushState(0, '', '/b'); history.replaceState(0, '', '/b'); history.replaceState(0, '', '/c')",
        ["/", "/b", "/c"],
    ),
    "a page that comes back from the back/forward cache is a view": (
        "dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))", ["/", "/"],
    ),
    "the first show of a page is one view": ("dispatchEvent(new PageTransitionEvent('pageshow'))", ["/"]),
}  # fmt: skip


@pytest.mark.parametrize("scripts", [(), (OLD,)], ids=["by the Navigation API", "by the history"])
@pytest.mark.parametrize(("script", "paths"), VIEWS.values(), ids=list(VIEWS))
def test_a_view_is_a_page_and_no_place_on_it(
    names: Browser, own: Site, scripts: tuple[str, ...], script: str, paths: list[str]
) -> None:
    own.put("/", "")
    with tab(names, *scripts) as page:
        at(page, own, "/?utm_source=news&utm_medium=email")
        run(page, script)
        page.goto(LEFT)
        events = own.events(len(paths))
    assert [seen(event) for event in events] == [("view", path, "") for path in paths]
    assert [event.referrer for event in events[1:]] == [own.url(path) for path in paths[:-1]]
    assert events[0].url.endswith("/?utm_source=news&utm_medium=email")


@pytest.mark.parametrize("scripts", [(), (OLD,)], ids=["by the Navigation API", "by the history"])
def test_routes_behind_the_hash_are_views_where_that_is_asked_for(
    names: Browser, own: Site, scripts: tuple[str, ...]
) -> None:
    own.put("/app", "", head=own.tag("data-hash"))
    with tab(names, *scripts) as page:
        at(page, own, "/app#/cart?token=1")
        for route in ("#/cart?token=2", "#!/paid", "#reviews", "#!/paid"):
            page.evaluate("route => { location.hash = route }", route)
        page.goto(LEFT)
        views = own.events(4)
    assert [seen(view)[1] for view in views] == ["/app%23/cart", "/app%23!/paid", "/app", "/app%23!/paid"]
    assert "token" not in "".join(view.url + view.referrer for view in views)


def test_a_route_of_the_navigation_api_is_a_view_of_what_it_draws(names: Browser, own: Site) -> None:
    own.put("/", '<a href="/b">b</a>')
    with tab(names) as page:
        at(page, own)
        run(
            page,
            "navigation.addEventListener('navigate', event => event.intercept({ handler: async () => {"
            "document.documentElement.dataset.product = location.pathname } }))",
        )
        for path in ("/b", "/c"):
            page.evaluate("path => { document.querySelector('a').href = path }", path)
            page.click("a")
            page.wait_for_function("path => document.documentElement.dataset.product === path", arg=path)
        page.goto(LEFT)
        events = own.events(5)
    assert [(*seen(event)[:2], event.product) for event in events] == [
        ("view", "/", ""), ("click", "/", ""), ("view", "/b", "/b"), ("click", "/b", "/b"), ("view", "/c", "/c"),
    ]  # fmt: skip


@pytest.mark.parametrize("move", ["history.pushState(0, '', '/second')", "history.back()"])
@pytest.mark.parametrize("drawn", ["before", "after"])
def test_a_view_names_the_product_that_is_drawn_before_or_after_the_router_moves(
    names: Browser, own: Site, move: str, drawn: str
) -> None:
    draw = "document.documentElement.dataset.product = 'p7'"
    own.pages["/second"] = f"<!doctype html><html data-product=p42>{own.tag()}"
    with tab(names) as page:
        at(page, own, "/second")
        if "back" in move:
            run(page, "history.replaceState(0, '', '/first'); history.pushState(0, '', '/second')")
            run(page, f"addEventListener('popstate', () => {{ {draw} }}); history.back()")
            page.wait_for_function("location.pathname === '/first'")
        else:
            run(page, f"history.replaceState(0, '', '/first'); {draw if drawn == 'before' else ''}")
            run(page, f"{move}; {draw if drawn == 'after' else ''}")
        page.goto(LEFT)
        views = own.events(4 if "back" in move else 3)
    assert (views[0].product, views[-1].product) == ("p42", "p7")


def test_a_prerendered_page_is_a_persons_view_when_it_is_shown_and_none_before(own: Site, tmp_path: Path) -> None:
    path = chromium_path()
    if path is None:
        pytest.skip("no chromium on this machine; 'make setup' installs it as root where apt-get is (chromium)")
    own.waiting["/go"] = threading.Event()
    rules = '<script type=speculationrules>{"prerender": [{"urls": ["/b"], "eagerness": "immediate"}]}</script>'
    own.put("/a", rules + "<script>fetch('/go').then(() => { location.href = '/b' })</script>")
    own.put("/b", "<script>addEventListener('load', () => setTimeout(() => fetch('/ran'), 100))</script>")
    flags = ("--no-sandbox", "--disable-gpu", "--headless", "--remote-debugging-port=0")
    person = "--disable-blink-features=AutomationControlled"
    folder = f"--user-data-dir={tmp_path / 'profile'}"
    with alone(path, *flags, person, folder, own.url("/a"), log=tmp_path / "browser.log"):
        eventually(lambda: own.was_asked("/ran"), "the page is prerendered", 20)
        assert [seen(event)[1] for event in own.so_far() if seen(event)[1] == "/b"] == []
        own.waiting["/go"].set()
        events = own.events(2)
    assert [(*seen(event)[:2], event.automated) for event in events] == [("view", "/a", False), ("view", "/b", False)]
    (headers,) = (headers for asked, headers in own.asked if asked == "/b")
    assert "prerender" in headers["sec-purpose"], "the page was asked for once, before it was shown"


FIREFOX = """
<button>Plain</button><a href="/p/mug?token=1">Mug</a>
<script>
addEventListener('pageshow', e => {
  if (e.persisted) { fetch('/back'); return; }
  setTimeout(() => {
    document.querySelector('button').click();
    document.querySelector('a').dispatchEvent(new MouseEvent('auxclick', { button: 1, bubbles: true, composed: true }));
    marketplace('seen', { a: 1 });
    location.hash = '#part';
    history.pushState(0, '', '/routed');
    location.href = '/other';
  }, 300);
});
</script>
"""


@LONG
def test_in_firefox_too_pages_are_left_and_come_back(own: Site, tmp_path: Path) -> None:
    path = shutil.which("firefox-esr") or shutil.which("firefox")
    if path is None:
        pytest.skip("no firefox on this machine (Debian: firefox-esr)")
    own.put("/first", FIREFOX)
    own.put("/other", "<script>setTimeout(() => history.back(), 300)</script>")
    profile = tmp_path / "profile"
    profile.mkdir()
    with alone(path, "--headless", "--no-remote", "--profile", str(profile), own.url("/first"), log=tmp_path / "log"):
        events = own.events(7)
        eventually(lambda: own.was_asked("/back"), "the page comes back from the back/forward cache")
    assert [seen(event)[:2] for event in events] == [
        ("view", "/first"), ("click", "/first"), ("click", "/first"), ("seen", "/first"), ("view", "/routed"),
        ("view", "/other"), ("view", "/routed"),
    ]  # fmt: skip
    assert len({event.visitor for event in events}) == 1
