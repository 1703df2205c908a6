"""The snippet in real browsers: what is a view, a click and an event on pages of every kind, and what is never sent."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.kits.clicks import CHROME
from tests.kits.collector import WRITE_KEY, eventually
from tests.kits.dashboard import chromium, chromium_path
from tests.kits.depth import LONG
from tests.kits.pages import HOSTS, Site, alone, seen, site

LEFT = "about:blank"
OLD = "Object.defineProperty(window, 'navigation', { value: undefined })"
"""A browser without the Navigation API, of which the snippet watches the history instead."""

STAY = "<script>document.addEventListener('click', e => e.preventDefault())</script>"
EMOJI = "\N{GOAT}"


@pytest.fixture(scope="module")
def shop() -> Iterator[Site]:
    with site() as running:
        yield running


@pytest.fixture(scope="module")
def names() -> Iterator[Browser]:
    """A browser to which this machine is every host of ``.example``."""
    path = chromium_path()
    if path is None:
        pytest.skip("no chromium on this machine; 'make setup' installs it as root where apt-get is (chromium)")
    with chromium(path, HOSTS) as running:
        yield running


@pytest.fixture
def own(shop: Site) -> Site:
    shop.clear()
    return shop


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


def test_a_page_that_is_hidden_sends_at_once_what_it_has_and_keeps_what_is_not_taken(names: Browser, own: Site) -> None:
    own.put("/", "")
    answers: list[int] = []
    hide = "window.gone = true; document.dispatchEvent(new Event('visibilitychange'))"
    with tab(names, "Object.defineProperty(document, 'hidden', { get: () => window.gone })") as page:
        page.on("response", lambda answer: answers.append(answer.status) if "/v1/" in answer.url else None)
        page.clock.install(time="2026-01-01T00:00:00")
        at(page, own)
        pass_time(page, lambda: answers == [202])
        page.clock.pause_at("2026-01-01T01:00:00")
        own.collector.producer.available = False
        run(page, f"marketplace('a'); {hide}")
        eventually(lambda: page.evaluate("0") or answers[1:], "it is sent, and not taken")
        own.collector.producer.available = True
        eventually(lambda: run(page, hide) or 202 in answers[1:], "it is sent again")  # type: ignore[func-returns-value]
    assert own.events(2)[-1].name == "a"


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


CONTROLS = """
<button id=plain>Plain</button> <input type=submit value="Buy it"> <input type=button name=more>
<input type=reset name=clear>
<input type=image alt=x id=image>
<div role=button aria-label="Open">&times;</div> <details><summary>More</summary></details> <x-card></x-card>
<a id=middle href="/p/mug?token=1#part">Mug</a>
<svg width=90 height=40><a href="/p/svg?a=1"><text y=20>Link</text></a></svg>
<a id=mail href="mailto:ann@mail.example">Mail</a> <a id=tel href="tel:+4912345">Call</a>
<a href="#top">Top</a> <a href="javascript:void 0" name=buy>Buy</a>
<form data-product=p1><input name=id><input name=name><b>Fields</b></form> <p>Text</p> <input type=text>
<script>
customElements.define('x-card', class extends HTMLElement {
  constructor() { super(); this.attachShadow({ mode: 'open' }).innerHTML = '<button>Add to cart</button>'; }
});
</script>
"""


def test_a_click_on_a_control_of_any_kind_is_one_with_a_name_and_without_anything_personal(
    names: Browser, own: Site
) -> None:
    own.put("/", CONTROLS + STAY)
    with tab(names) as page:
        at(page, own)
        for control in (
            "#plain",
            "[type=submit]",
            "[type=button]",
            "[type=reset]",
            "#image",
            "[role=button]",
            "summary",
            "x-card",
        ):
            page.click(control)
        page.click("#middle", button="middle")
        page.click("#plain", button="middle")
        page.click("#middle", button="right")
        for control in ("svg text", "#mail", "#tel", "[href='#top']", "[name=buy]", "form b", "p", "[type=text]"):
            page.click(control)
        page.goto(LEFT)
        view, *clicks = own.events(16)
    assert [click.target.removeprefix(own.url("")) for click in clicks] == [
        "plain", "Buy it", "more", "clear", "image", "Open", "More", "Add to cart", "/p/mug", "/p/svg", "mailto:",
        "tel:", "Top", "buy", "Fields",
    ]  # fmt: skip
    assert (view.type, clicks[-1].product) == ("view", "p1")


def test_texts_are_cut_between_characters_and_halves_of_one_are_left_out(names: Browser, own: Site) -> None:
    own.put("/", "<button id=long></button><div id=half><button name=ok>.</button></div>" + STAY)
    with tab(names) as page:
        at(page, own)
        run(page, f"document.querySelector('#long').textContent = 'x'.repeat(511) + '{EMOJI}'")
        run(page, "document.querySelector('#long').removeAttribute('id')")
        run(page, f"half.dataset.product = 'p' + '{EMOJI}'[0]")
        run(page, f"marketplace('e', {{ a: 'y'.repeat(199) + '{EMOJI}', b: '{EMOJI}' }})")
        page.locator("button").nth(0).click()
        page.locator("button").nth(1).click()
        page.goto(LEFT)
        _, event, long, half = own.events(4)
    assert (long.target, half.target, half.product) == ("x" * 511, "ok", "p")
    assert event.properties == {"a": "y" * 199, "b": EMOJI}


def test_what_is_more_than_browsers_send_of_a_page_that_is_left_is_sent_in_parts(names: Browser, own: Site) -> None:
    path = f"/{'a' * 1_900}"
    own.put(path, "".join(f"<button>{chr(0x4E00 + number) * 512}</button>" for number in range(20)) + STAY)
    sizes: list[int] = []
    with tab(names) as page:
        page.on("request", lambda sent: sizes.append(len(sent.post_data_buffer or b"")) if "/v1/" in sent.url else None)
        page.clock.install()
        at(page, own, path)
        run(page, "document.querySelectorAll('button').forEach(each => each.click())")
        pass_time(page, lambda: len(own.so_far()) >= 21)
        clicks = own.events(21)[1:]
    assert {click.target for click in clicks} == {chr(0x4E00 + number) * 512 for number in range(20)}
    assert len(sizes) > 1
    assert max(sizes) < 64 * 1024


TAGS: dict[str, Callable[[Site], str]] = {
    "its attribute": lambda own: own.tag(),
    "a module": lambda own: own.tag().replace("async", "type=module"),
    "the URL's parameter": lambda own: f'<script async src="{own.collector.url}/m.js?key={WRITE_KEY}"></script>',
    "a global, for a tag manager": lambda own: (
        f"<script>marketplaceConfig = {{ key: '{WRITE_KEY}' }}; const tag = document.createElement('script');"
        f"tag.src = '{own.collector.url}/m.js'; document.head.append(tag)</script>"
    ),
    "a global, for a module without a tag": lambda own: (
        f"<script>marketplaceConfig = {{ key: '{WRITE_KEY}', url: '{own.collector.url}' }}</script>"
        f"<script type=module>import '{own.collector.url}/m.js'</script>"
    ),
    "another tag of it, that waits for consent": lambda own: own.tag("type=text/plain") + own.tag(key=""),
    "two tags": lambda own: own.tag() + own.tag(),
}


@pytest.mark.parametrize("tag", TAGS.values(), ids=list(TAGS))
def test_the_key_is_found_wherever_a_tag_has_to_have_it(names: Browser, own: Site, tag: Callable[[Site], str]) -> None:
    own.put("/", "", head=tag(own))
    with tab(names) as page:
        at(page, own)
        page.wait_for_function("'marketplace' in window")
        page.goto(LEFT)
        assert [seen(event) for event in own.events(1)] == [("view", "/", "")]


def test_without_a_key_nothing_is_sent_and_the_console_says_so(names: Browser, own: Site) -> None:
    own.put("/", "<button>a</button>", head=own.tag(key="") + own.tag(key="data-key"))
    warnings: list[str] = []
    with tab(names) as page:
        page.on("console", lambda said: warnings.append(said.text) if said.type == "warning" else None)
        at(page, own)
        page.click("button")
        page.goto(LEFT)
    assert (warnings, own.so_far()) == (["m.js: no key"] * 2, [])


def test_with_a_key_of_no_store_the_console_says_so_once(names: Browser, own: Site) -> None:
    own.put("/", "<button>a</button>", head=own.tag(key='data-key="nobodys"'))
    warnings: list[str] = []
    with tab(names) as page:
        page.on("console", lambda said: warnings.append(said.text) if said.type == "warning" else None)
        answers: list[int] = []
        page.on("response", lambda answer: answers.append(answer.status) if "/v1/" in answer.url else None)
        page.clock.install()
        at(page, own)
        for count in range(1, 4):
            pass_time(page, lambda count=count: len(answers) >= count)  # type: ignore[misc]
            page.click("button")
    assert (warnings, own.so_far()) == (["m.js: 401"], [])


def test_a_page_of_orders_of_several_stores_sends_each_its_own_once(names: Browser, own: Site) -> None:
    own.pages["/shop.js"] = files("api.storefront").joinpath("static/shop.js").read_text()
    to = f'data-to="{own.collector.url}/v1/collect?key={WRITE_KEY}"'
    facts = "data-value=1600 data-currency=USD data-quantity=2 data-at=1750000000000 data-product=p1"
    spans = "".join(
        f'<span hidden data-tell="{what}" {facts} {to}></span>' for what in ("o1 placed", "o1 paid", "c begin")
    )
    other = f'<span hidden data-tell="o2 paid" {facts} {to}></span>'
    own.put("/placed", f"<p id=said></p>{spans}{other}<script src=/shop.js></script>", head="")
    with tab(names) as page:
        at(page, own, "/placed")
        page.reload(wait_until="load")
        page.goto(LEFT)
        events = own.events(3)
    assert sorted((event.name, event.event_id) for event in events) == [
        ("begin_checkout", "order-c-begin"), ("place_order", "order-o1-placed"), ("purchase", "order-o1-paid"),
    ]  # fmt: skip
    assert {str(event.properties) for event in events} == {
        str({"value_minor": "1600", "currency": "USD", "quantity": "2"})
    }
    assert {(event.product, event.occurred_at_ms) for event in events} == {("p1", 1_750_000_000_000)}


@pytest.mark.parametrize("wish", ["doNotTrack: { value: '1' }", "globalPrivacyControl: { value: true }"])
def test_under_do_not_track_and_global_privacy_control_nothing_is_sent_or_stored(
    names: Browser, own: Site, wish: str
) -> None:
    own.put("/", "<button>a</button>")
    asked: list[str] = []
    with tab(names, f"Object.defineProperties(navigator, {{ {wish} }})") as page:
        page.on("request", lambda request: asked.append(request.url))
        at(page, own)
        page.click("button")
        run(page, "marketplace('paid'); history.pushState(0, '', '/b')")
        assert page.evaluate("localStorage.length + document.cookie.length") == 0
        page.goto(LEFT)
    assert [url for url in asked if "/v1/" in url] == []


def test_a_named_event_says_what_the_page_says_and_one_with_an_id_counts_once(names: Browser, own: Site) -> None:
    stub = "<script>marketplace = function () { (marketplace.q = marketplace.q || []).push(arguments) }\n"
    early = "marketplace('early', { n: 1 })</script>"
    own.put("/", "", head=stub + early + own.tag())
    with tab(names) as page:
        at(page, own)
        run(page, "marketplace('add_to_cart', { product: 'p1', value_minor: 1600, gift: true, none: null, list: [1] })")
        run(page, "marketplace('many', Object.fromEntries(Array.from({ length: 30 }, (_, n) => ['n' + n, n])))")
        for _ in range(2):
            run(page, "marketplace('purchase', { currency: 'EUR' }, 'order-1')")
        page.reload()
        run(page, "marketplace('purchase', { currency: 'EUR' }, 'order-1')")
        page.goto(LEFT)
        events = own.events(7)
    named = {event.name: event for event in events if event.type == "event"}
    assert (named["early"].properties, len(events)) == ({"n": "1"}, 7)
    assert named["add_to_cart"].properties == {"value_minor": "1600", "gift": "true"}
    assert (named["add_to_cart"].product, len(named["many"].properties or ())) == ("p1", 20)
    assert (named["purchase"].event_id, named["purchase"].properties) == ("order-1", {"currency": "EUR"})


def test_outbound_links_downloads_and_scroll_depth_are_events_where_they_are_asked_for(
    names: Browser, own: Site
) -> None:
    links = "<a href='/list.pdf?t=1'>a</a><a href='https://else.example/x?t=1'>b</a><a href='/c'>c</a>"
    tall = "<div style='height:4000px'></div>"
    with tab(names) as page:
        for options in ("", "data-outbound data-downloads data-scroll"):
            own.put("/", links + STAY + tall, head=own.tag(options))
            at(page, own)
            for place in range(3):
                page.locator("a").nth(place).click()
            page.evaluate("scrollTo(0, 1e6)")
            page.wait_for_function("scrollY > 1000")
            page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            page.goto(LEFT)
        events = own.events(12)
    plain, asked = [seen(event) for event in events[:4]], [seen(event)[::2] for event in events[4:]]
    assert [kind for kind, _, _ in plain] == ["view", "click", "click", "click"]
    assert asked == [
        ("view", ""), ("file_download", "/list.pdf"), ("outbound_click", "https://else.example/x"), ("click", "/c"),
        *[("scroll", "")] * 4,
    ]  # fmt: skip
    assert [(event.properties or {})["percent"] for event in events[8:]] == ["25", "50", "75", "100"]


@pytest.mark.parametrize(("options", "visitors"), [("", 2), ('data-cookie-domain="shop.example"', 1)])
def test_a_visitor_of_two_hosts_is_one_where_the_domain_is_given(
    names: Browser, own: Site, options: str, visitors: int
) -> None:
    own.put("/", "", head=own.tag(options))
    with tab(names) as page:
        for host in ("www.shop.example", "checkout.shop.example"):
            at(page, own, "/", host)
        page.goto(LEFT)
        assert len({event.visitor for event in own.events(2)}) == visitors


def test_a_policy_without_inline_code_needs_the_collector_alone(names: Browser, own: Site) -> None:
    origin = own.collector.url
    own.headers["content-security-policy"] = f"default-src 'none'; script-src {origin}; connect-src {origin}"
    own.put("/", "<button>a</button>")
    with tab(names) as page:
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text) if "favicon" not in message.text else None)
        at(page, own)
        page.click("button")
        page.goto(LEFT)
        own.events(2)
    assert said == []


def test_what_was_not_taken_is_sent_again_with_the_same_ids_and_less_often(names: Browser, own: Site) -> None:
    own.put("/", "<button>a</button>" + STAY)
    sent: list[Any] = []
    with tab(names) as page:
        page.on("request", lambda request: sent.append(request.post_data_json) if "/v1/" in request.url else None)
        page.clock.install(time="2026-01-01T00:00:00")
        own.collector.producer.available = False
        at(page, own)
        with page.expect_response("**/v1/collect*"):
            page.clock.pause_at("2026-01-01T01:00:00")
        for _ in range(60):
            page.evaluate("document.querySelector('button').click()")
        page.clock.run_for(1_900)
        own.collector.producer.available = True
        assert len(sent) == 1, "more events are no more requests"
        pass_time(page, lambda: len(own.so_far()) >= 61)
    batches = [[event["event_id"] for event in body["events"]] for body in sent]
    assert batches[1][:1] == batches[0]
    assert [*map(len, batches)] == [1, 20, 20, 20, 1]


def test_a_documented_image_on_another_origin_says_its_page_and_where_its_visitor_came_from(
    names: Browser, own: Site
) -> None:
    image = (
        f'<img src="{own.collector.url}/v1/pixel.gif?key={WRITE_KEY}" referrerpolicy=no-referrer-when-downgrade alt="">'
    )
    own.put("/p/mug", image, head="")
    with tab(names) as page:
        at(page, own, "/p/mug?utm_source=news&utm_medium=email&token=1")
        (view,) = own.events(1)
    assert view.url == own.url("/p/mug?utm_source=news&utm_medium=email")


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
