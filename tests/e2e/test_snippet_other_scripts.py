"""The snippet in real browsers on pages whose other scripts and forms change what it stands on."""

from __future__ import annotations

from typing import Final

import pytest
from playwright.sync_api import Browser

from tests.kits.pages import Site, seen
from tests.kits.tabs import LEFT, STAY, at, run, tab

FETCHES: Final = {
    "throws": "fetch = () => { throw new TypeError('blocked') }",
    "is-gone": "fetch = undefined",
    "gives-nothing": "fetch = () => {}",
    "promises-nothing": "fetch = async () => {}",
    "forgets-its-answer": "const sent = fetch; fetch = async (...given) => { await sent(...given) }",
    "takes-a-text": "const sent = fetch; fetch = async (to, more) => sent(to.trim(), more)",
    "unwraps-the-answer": "const sent = fetch; fetch = async (...given) => (await sent(...given)).json()",
}
"""What pages put in the place of fetch, by the name of the page."""

FIELDS: Final = (
    "closest",
    "getAttribute",
    "dataset",
    "textContent",
    "href",
    "tagName",
    "localName",
    "nodeType",
    "call",
    "id",
    "name",
)


def test_events_arrive_where_an_old_library_gives_every_object_a_way_to_become_json(names: Browser, own: Site) -> None:
    own.put("/", "")
    kinds = "for (const kind of [Array, Object, String, Number, Date])"
    with tab(names, f"{kinds} kind.prototype.toJSON = function () {{ return 'as ' + this }}") as page:
        at(page, own)
        run(page, "marketplace('add_to_cart', { product: 'p1', size: 'L' })")
        page.goto(LEFT)
        _, event = own.events(2)
    assert (event.name, event.product, event.properties) == ("add_to_cart", "p1", {"size": "L"})


def test_events_arrive_whatever_a_page_puts_in_the_place_of_fetch(names: Browser, own: Site) -> None:
    for path, script in FETCHES.items():
        own.put(f"/{path}", "<button name=buy>Buy</button>", head=f"<script>{script}</script>{own.tag()}")
    with tab(names) as page:
        for path in FETCHES:
            at(page, own, f"/{path}")
            page.click("button")
        page.goto(LEFT)
        events = own.events(2 * len(FETCHES))
    assert {seen(event) for event in events} == {
        (kind, f"/{path}", target) for path in FETCHES for kind, target in (("view", ""), ("click", "buy"))
    }


def test_a_form_whose_fields_have_the_names_of_what_a_form_can_do_loses_no_click(names: Browser, own: Site) -> None:
    fields = "".join(f"<input type=hidden name={name}>" for name in FIELDS)
    matches = "<input type=hidden name=matches><button name=buy>Buy</button>"
    own.put("/", f"<form data-product=p1>{fields}<b>Fields</b></form><form>{fields}{matches}</form>{STAY}")
    with tab(names) as page:
        at(page, own)
        run(page, "for (const what of ['b', 'button']) document.querySelector(what).click()")
        page.goto(LEFT)
        events = own.events(3)
    assert sorted(map(seen, events)) == [("click", "/", ""), ("click", "/", "buy"), ("view", "/", "")]


@pytest.mark.parametrize("options", ["", 'data-cookie-domain="shop.example"'])
def test_an_id_that_is_too_long_to_be_one_is_replaced_and_loses_no_event(
    names: Browser, own: Site, options: str
) -> None:
    foreign = "another=1; path=/; domain=shop.example" if not options else f"_mkt={'x' * 65}; domain=shop.example"
    head = f"<script>localStorage._mkt = localStorage._mkt || 'x'.repeat(65); document.cookie ||= '{foreign}'</script>"
    own.put("/", "", head=head + own.tag(options))
    with tab(names) as page:
        for _ in range(2):
            at(page, own, "/", "www.shop.example")
        page.goto(LEFT)
        assert len({event.visitor for event in own.events(2)}) == 1
