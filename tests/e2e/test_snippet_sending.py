"""The snippet in real browsers: how it is put on a page, what it sends when, and what it never sends."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.kits.collector import WRITE_KEY, eventually
from tests.kits.pages import Site, seen
from tests.kits.tabs import LEFT, STAY, at, pass_time, run, tab


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


def test_with_a_key_of_no_store_the_console_says_the_collectors_reason_once(names: Browser, own: Site) -> None:
    own.put("/", "<button>a</button>", head=own.tag(key='data-key="nobodys"'))
    warnings: list[str] = []
    with tab(names) as page:
        page.on("console", lambda said: warnings.append(said.text) if said.type == "warning" else None)
        answers: list[int] = []
        page.on("response", lambda answer: answers.append(answer.status) if "/v1/" in answer.url else None)
        page.clock.install()
        at(page, own)
        for count in range(1, 4):
            pass_time(page, lambda count=count: len(answers) >= count)  # type: ignore[misc]  # mypy infers no lambda with a default
            page.click("button")
    assert (len(warnings), own.so_far()) == (1, [])
    assert warnings[0].startswith("m.js: ")
    assert "no store has this write key" in warnings[0]


def test_an_event_without_a_name_is_not_sent_and_one_whose_name_is_cut_is_and_the_console_says_both(
    names: Browser, own: Site
) -> None:
    own.put("/", "")
    warnings: list[str] = []
    long_name = "n" * 80
    with tab(names) as page:
        page.on("console", lambda said: warnings.append(said.text) if said.type == "warning" else None)
        at(page, own)
        page.evaluate("() => { marketplace(); marketplace(''); marketplace(undefined, { size: 'L' }); }")
        page.evaluate("name => marketplace(name)", long_name)
        page.goto(LEFT)
        events = own.events(2)
    assert [event.name for event in events if event.type == "event"] == [long_name[:64]]
    assert warnings == ["m.js: no name", f"m.js: cut {long_name}"]


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
        eventually(lambda: run(page, hide) or 202 in answers[1:], "it is sent again")  # type: ignore[func-returns-value]  # it is called on the way to the second
    assert own.events(2)[-1].name == "a"
