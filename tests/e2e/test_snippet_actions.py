"""The snippet in real browsers: clicks on whatever can be clicked, and what a page says itself."""

from __future__ import annotations

from playwright.sync_api import Browser

from tests.kits.pages import Site, seen
from tests.kits.tabs import EMOJI, LEFT, STAY, at, run, tab

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


def test_a_named_event_says_what_the_page_says_and_one_with_an_id_counts_once(names: Browser, own: Site) -> None:
    stub = "<script>marketplace = function () { (marketplace.q = marketplace.q || []).push(arguments) }\n"
    early = "marketplace('early', { n: 1 })</script>"
    own.put("/", "", head=stub + early + own.tag())
    with tab(names) as page:
        at(page, own)
        given = "{ product: 'p1', value_minor: 1600, gift: true, none: null, list: [1], f() {} }"
        run(page, f"marketplace('add_to_cart', {given})")
        run(page, "marketplace('many', Object.fromEntries(Array.from({ length: 30 }, (_, n) => ['n' + n, n])))")
        run(page, "marketplace('begin_checkout', {}, 'order-1')")
        for _ in range(2):
            run(page, "marketplace('purchase', { currency: 'EUR' }, 'order-1')")
        page.reload()
        run(page, "marketplace('purchase', { currency: 'EUR' }, 'order-1')")
        page.goto(LEFT)
        events = own.events(8)
    named = {event.name: event for event in events if event.type == "event"}
    assert (named["early"].properties, len(events)) == ({"n": "1"}, 8)
    assert named["add_to_cart"].properties == {"value_minor": "1600", "gift": "true"}
    assert (named["add_to_cart"].product, len(named["many"].properties or ())) == ("p1", 20)
    assert named["begin_checkout"].event_id == "order-1"
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
