"""What the demo's buyers send instead of the storefront's pages: the same names and ids, and each order once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from marketplace.goals import FIRST_GOALS, is_reached
from ops.demo.orders.pages import Offer, Pages, Visit
from ops.demo.orders.places import Places
from ops.demo.orders.plan import Wish
from ops.demo.services.sender import Target
from ops.demo.traffic.requests import Post
from ops.demo.traffic.shops import SHOPS, store_of
from tests.kits.demo_posts import NOW_MS, collect

STOREFRONT = Path(__file__).resolve().parents[3] / "api" / "storefront"
COFFEE, BIKES = SHOPS[0].name, SHOPS[1].name
BEANS, CUP, BIKE = Wish(COFFEE, "p1", "v1", 2), Wish(COFFEE, "p2", "v2", 1), Wish(BIKES, "p3", "v3", 1)
OFFERS = {"v1": Offer("beans", 1_600, "USD"), "v2": Offer("cup", 900, "USD"), "v3": Offer("rad", 69_000, "EUR")}
PLACED_AT, PLACED_MS = "2026-03-14T15:09:27.250Z", NOW_MS + 1_250


def visit(*wishes: Wish, key: str = "one") -> Visit:
    pages = Pages(Target("127.0.0.1", 1, {}), "http://127.0.0.1:8000/shop", {shop.name: shop for shop in SHOPS})
    return Visit(pages, key, wishes, OFFERS, NOW_MS)


def order(own: str, *wishes: Wish) -> dict[str, Any]:
    """An order as the API shows it."""
    offer = OFFERS[wishes[0].variant]
    lines = [{"product": wish.product, "quantity": wish.quantity} for wish in wishes]
    total = sum(wish.quantity * OFFERS[wish.variant].price_minor for wish in wishes)
    return {
        "id": own, "store": wishes[0].store, "checkout": "c1", "lines": lines, "total_minor": total,
        "currency": offer.currency, "placed_at": PLACED_AT,
    }  # fmt: skip


def bought(*wishes: Wish, key: str = "one") -> list[Post]:
    """All that is sent while somebody buys these, as one order for each store."""
    buyer = visit(*wishes, key=key)
    stores = dict.fromkeys(wish.store for wish in wishes)
    orders = [order(f"of-{store}", *(each for each in wishes if each.store == store)) for store in stores]
    posts = buyer.until_sent({wish.variant for wish in wishes})
    posts += buyer.placed(orders, PLACED_MS + 100)
    return posts + buyer.paid(orders, len(orders), PLACED_MS + 900)


def events(posts: Sequence[Post]) -> list[dict[str, Any]]:
    return [event for post in posts for event in post.events]


def named(posts: Sequence[Post]) -> list[str]:
    return [event.get("name") or event.get("target") or event["url"].split("/shop")[1] for event in events(posts)]


def test_who_buys_in_one_store_sees_its_pages_and_does_what_they_count() -> None:
    assert [name.partition("?")[0] for name in named(bought(BEANS))] == [
        f"/{COFFEE}/beans", "add-to-cart", "add_to_cart", "/cart", "checkout", "/checkout", "begin_checkout",
        "place-order", f"/orders/of-{COFFEE}", "place_order", "purchase",
    ]  # fmt: skip


def test_every_named_event_and_target_is_one_of_the_storefronts() -> None:
    files = [*STOREFRONT.glob("templates/*.html"), STOREFRONT / "static" / "shop.js"]
    known = set(re.findall(r"""(?:name|id)="([\w-]+)"|'(\w+)'""", "".join(path.read_text() for path in files)))
    texts = {text for pair in known for text in pair}
    sent = events(bought(BEANS, BIKE)) + events(bought(CUP))
    assert {each.get("name") or each.get("target") for each in sent if each["type"] != "view"} <= texts


def test_an_event_of_an_order_says_what_its_page_says() -> None:
    last = events(bought(BEANS, CUP))[-1]
    assert (last["name"], last["event_id"]) == ("purchase", f"order-of-{COFFEE}-paid")
    assert last["properties"] == {"value_minor": "4100", "currency": "USD", "quantity": "3"}
    assert "product" not in last, "there are two"
    assert events(bought(BEANS))[-1]["product"] == "p1"


def test_each_store_is_told_its_own_part_of_a_cart_and_no_page_of_several() -> None:
    posts = bought(BEANS, CUP, BIKE)
    of_bikes = [post for post in posts if post.shop.name == BIKES]
    assert named(of_bikes)[1:] == ["add-to-cart", "add_to_cart", "begin_checkout", "place_order", "purchase"]
    begun = {post.shop.name: each for post in posts for each in post.events if each.get("name") == "begin_checkout"}
    assert {shop: each["properties"]["value_minor"] for shop, each in begun.items()} == {COFFEE: "4100", BIKES: "69000"}
    assert {each["occurred_at"] for each in events(posts) if each.get("name") == "purchase"} == {PLACED_MS}
    assert not [
        each for each in events(posts) if each["url"].endswith(("/cart", "/checkout")) and each["type"] == "view"
    ]


def test_what_cannot_be_put_in_is_looked_at_and_not_bought() -> None:
    names = named(visit(BEANS, CUP).until_sent({"v2"}))
    assert Counter(names)["add-to-cart"] == 2
    assert [
        each["product"] for each in events(visit(BEANS, CUP).until_sent({"v2"})) if each.get("name") == "add_to_cart"
    ] == ["p2"]
    assert "begin_checkout" not in named(visit(BEANS).until_sent(set()))


def test_the_same_cart_sends_the_same_events_and_another_one_others() -> None:
    assert bought(BEANS, BIKE) == bought(BEANS, BIKE)
    ids = [each["event_id"] for key in ("one", "two") for each in events(visit(BEANS, key=key).until_sent({"v1"}))]
    assert len(set(ids)) == len(ids)


def test_all_that_leads_to_an_order_lies_in_the_minutes_before() -> None:
    times = [each["occurred_at"] for each in events(visit(BEANS, CUP).until_sent({"v1", "v2"}))]
    assert times == sorted(times)
    assert NOW_MS - 10 * 60_000 < times[0] < times[-1] <= NOW_MS


@pytest.mark.parametrize("api", ["http://127.0.0.1:8000", "http://api:8000"])
def test_the_pages_are_on_a_host_that_is_the_stores_own_wherever_the_api_is(api: str) -> None:
    assert urlsplit(Places(api, "").storefront).hostname in store_of(SHOPS[0], COFFEE, 1).domains


@pytest.mark.parametrize("wishes", [(BEANS,), (BEANS, CUP, BIKE)])
def test_the_flow_counts_all_of_it_as_one_visitor_who_reaches_the_stores_first_goals(wishes: tuple[Wish, ...]) -> None:
    expected, refused = collect(bought(*wishes))
    assert refused == 0
    assert set(expected.by_outcome()) == {"counted"}
    of_coffee = [fact for fact in expected.facts if fact.store == COFFEE]
    assert len({fact.visitor for fact in of_coffee}) == 1
    for goal in FIRST_GOALS:
        assert any(is_reached(goal, {**fact.columns, "type": fact.type}, fact.properties) for fact in of_coffee)
