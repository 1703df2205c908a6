"""Checkout and orders without JavaScript, on real parts: what is ordered, paid, cancelled and given back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from marketplace.collections import ORDERS, REVIEWS
from ops.stack import Stack
from tests.kits.api import PASSWORD, any_address
from tests.kits.buyers import Buyer, Form, Page
from tests.kits.checkout import ADDRESS, DECLINED, GOOD, Till, card, order, order_of, put, till
from tests.kits.stack import eventually
from tests.kits.storefront import BIKES, COFFEE, HOSTILE, LONG, TITLES, id_of

COFFEE_PAGE = f"/shop/{COFFEE}/cafe-de-olla"
BIKE_PAGE = f"/shop/{BIKES}/faltrad"
MAX_BYTES = 100_000
NOBODYS = "0" * 32


@pytest.fixture(scope="module")
def shop(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    collector = {"MARKETPLACE_API_COLLECTOR_URL": "http://collector.example:8700"}
    with till(stack, tmp_path_factory.mktemp("checkout"), **collector) as running:
        yield running
        log = (running.market.api.folder / "api.log").read_text()
        assert "Traceback" not in log
        assert [number for number in (GOOD, GOOD.replace(" ", ""), DECLINED) if number in log] == []


@pytest.fixture
def buyer(shop: Till) -> Iterator[Buyer]:
    """Somebody who is signed in."""
    with Buyer(shop.market.url) as somebody:
        somebody.sign_in(shop.market.account())
        yield somebody


def ordered(shop: Till, buyer: Buyer, path: str = COFFEE_PAGE, quantity: str = "2") -> str:
    """The id of an order of one product that is confirmed."""
    put(buyer, path, quantity=quantity)
    own = order_of(order(buyer))
    shop.settle()
    return own


def counts(page: Page) -> set[tuple[str, str]]:
    """What a page of several stores counts, and for which of them."""
    sent = [a for _, a in page.read.tags if "data-to" in a]
    assert all("/v1/collect?key=storefront." in a["data-to"] for a in sent)
    return {(a["data-tell"], a["data-to"].partition("?key=")[2].split(".")[1]) for a in sent}


def test_a_cart_of_two_stores_becomes_an_order_of_each_and_both_are_paid(shop: Till) -> None:
    email = shop.market.account()
    with Buyer(shop.market.url) as buyer:
        put(buyer, COFFEE_PAGE, quantity="2")
        put(buyer, BIKE_PAGE)
        page = buyer.get("/shop/checkout")
        assert page.url.endswith("/shop/sign-in?next=%2Fshop%2Fcheckout")
        page = buyer.send(page, page.form("sign-in"), email=email, password=PASSWORD)
        assert page.url.endswith("/shop/checkout")
        assert "Each store sends its own part, so this becomes 2 orders." in page.words
        assert "Total in USD $26.00 Total in EUR €649.00" in page.words
        assert sorted(store for what, store in counts(page) if what.endswith(" begin")) == sorted((BIKES, COFFEE))
        again = buyer.send(page, page.form("place-order"), **{**ADDRESS, **card(), "city": ""})
        assert (again.answer.status_code, counts(again)) == (422, set()), "it has begun before"
        page = buyer.send(page, page.form("place-order"), **ADDRESS, **card())
        assert "Thank you! Your orders are placed" in page.words
        links = sorted({link for link in page.read.links if link.startswith("/shop/orders/")})
        assert len(links) == 2
        own = {link.rpartition("/")[2] for link in links}
        stores = {order: shop.order(order)["store"] for order in own}
        assert counts(page) == {(f"{order} placed", store) for order, store in stores.items()}
        assert "connect-src 'self' http://collector" in page.answer.headers["content-security-policy"]
        assert "m.js" not in page.text, "a view of this page is none of one store"
        assert 'id="in-cart" hidden>0<' in page.text
        assert all("Its goods are reserved for you." in buyer.get(link).words for link in links)
        shop.settle()
        later = buyer.get(page.url.partition("?")[0])
        assert counts(later) == {(f"{order} paid", store) for order, store in stores.items()}
        shown = [buyer.get(link).words for link in links]
        assert all("Your order is confirmed" in words and "Hill Road 7" in words for words in shown)
        assert sorted(re.findall(r"Paid ([$€][\d.]+)", " ".join(shown))) == ["$26.00", "€649.00"]
        put(buyer, COFFEE_PAGE)
        assert buyer.get("/shop/checkout").form("place-order").fields["street"] == "Hill Road 7"


def test_where_to_write_to_stands_on_the_pages_of_a_store_and_its_orders_and_nowhere_for_one_without(
    shop: Till, buyer: Buyer
) -> None:
    own = ordered(shop, buyer)
    pages = (f"/shop/{COFFEE}", f"/shop/orders/{own}")
    assert [path for path in pages if re.search("Questions|mailto:", buyer.get(path).text)] == []
    assert "Total Shipping and taxes included $26.00" in buyer.get(pages[1]).words
    shop.market.set_contact(COFFEE, "ann+us@shop.example")
    try:
        assert eventually(lambda: "Write to ann+us@shop.example" in buyer.get(pages[0]).words, 5)
        page = buyer.get(pages[1])
        assert f"Questions Write to {TITLES[COFFEE]} : ann+us@shop.example" in page.words
        assert f"mailto:ann%2Bus@shop.example?subject=Order%20{own[:8].upper()}" in page.read.links
    finally:
        shop.market.set_contact(COFFEE, "")


def test_a_declined_card_is_said_and_another_one_pays_for_the_same(shop: Till, buyer: Buyer) -> None:
    put(buyer, COFFEE_PAGE, quantity="3")
    page = order(buyer, number=DECLINED)
    first = order_of(page)
    shop.settle()
    page = buyer.get(f"/shop/orders/{first}")
    assert "Your card was declined There was not enough money on it. Use another card" in page.words
    assert "Nothing was charged." in page.words
    assert first not in page.words, "people call it by its first eight digits"
    assert f"Order {first[:8].upper()}" in page.words
    assert f"Number {first[:8].upper()}" in page.words
    assert "Thank you" not in buyer.get(f"/shop/orders/{first}?placed=1").words
    page = buyer.send(page, page.form("order-again"))
    assert page.url.endswith("/shop/checkout")
    assert "3 pieces" in page.words
    page = buyer.send(page, page.form("place-order"), **card())
    shop.settle()
    assert order_of(page) != first
    assert "Your order is confirmed" in buyer.get(page.url).words


def test_a_card_that_is_declined_for_two_stores_is_said_on_their_page_which_leads_to_another_one(
    shop: Till, buyer: Buyer
) -> None:
    put(buyer, COFFEE_PAGE, quantity="2")
    put(buyer, BIKE_PAGE)
    page = order(buyer, number=DECLINED)
    assert "Thank you! Your orders are placed" in page.words
    shop.settle()
    for path in (page.url, page.url.partition("?")[0]):
        page = buyer.get(path)
        assert "Your card was declined There was not enough money on it." in page.words
        assert "Thank you" not in page.words
        assert page.words.count("Card declined") == 2
    page = buyer.send(page, page.form("order-again"))
    assert page.url.endswith("/shop/checkout")
    assert "Total in USD $26.00" in page.words
    assert "Total in EUR €649.00" in page.words


def test_what_has_sold_out_while_the_page_was_open_is_named_and_the_rest_can_be_ordered(
    shop: Till, buyer: Buyer
) -> None:
    shop.put_stock("blend-1", 3)
    put(buyer, f"/shop/{COFFEE}/blend-1", quantity="3")
    page = buyer.get("/shop/checkout")
    shop.put_stock("blend-1", 2)
    page = buyer.send(page, page.form("place-order"), **ADDRESS, **card())
    assert page.answer.status_code == 409
    assert "Only 2 are left." in page.words
    assert "Nothing was ordered and nothing was charged." in page.words
    assert page.form("place-order").fields["street"] == "Hill Road 7"
    assert "4242 4242 4242 4242" not in page.text.partition("</dl>")[2]
    page = buyer.send(page, page.form("take-what-is-left"))
    assert "2 pieces" in page.words
    assert page.form("place-order").fields["street"] == "Hill Road 7"
    own = order_of(buyer.send(page, page.form("place-order"), **card()))
    assert [line["quantity"] for line in shop.order(own)["lines"]] == [2]


def test_a_price_that_went_up_is_ordered_when_its_buyer_has_seen_it(shop: Till, buyer: Buyer) -> None:
    path = f"/shop/{COFFEE}/blend-2"
    put(buyer, path)
    page = buyer.get("/shop/checkout")
    shop.market.set_product("blend-2", {"variants.0.price_minor": 2_000})
    page = buyer.send(page, page.form("place-order"), **ADDRESS, **card())
    assert page.answer.status_code == 409
    assert "The price is $20.00 now; it was $10.02." in page.words
    assert "Take the changes, and order $20.00" in page.words
    shop.market.set_product("blend-2", {"variants.0.price_minor": 3_000})
    page = buyer.send(page, page.form("place-order"), **card())
    assert "The price is $30.00 now; it was $10.02." in page.words
    own = order_of(buyer.send(page, page.form("place-order"), **card()))
    assert shop.order(own)["total_minor"] == 3_000


def test_one_form_orders_once_however_often_and_with_whatever_it_is_sent(shop: Till, buyer: Buyer) -> None:
    put(buyer, COFFEE_PAGE)
    page = buyer.get("/shop/checkout")
    form = page.form("place-order")
    fields = {**form.fields, **ADDRESS, **card()}
    cookies, headers = dict(buyer.client.cookies), {**buyer.client.headers, "origin": buyer.url}

    def send(_: int) -> str:
        with httpx.Client(base_url=buyer.url, headers=headers, cookies=cookies, timeout=20) as client:
            return client.post(form.action, data=fields).headers["location"]

    with ThreadPoolExecutor(4) as pool:
        (location,) = set(pool.map(send, range(4)))
    assert send(0) == location
    again = buyer.send(page, form, **{**ADDRESS, **card(), "street": "Elsewhere 1"})
    assert order_of(again) == location.rpartition("/")[2].partition("?")[0]
    assert "Nothing was ordered once more." in again.words
    assert shop.orders(buyer=shop.order(order_of(again))["buyer"]) == 1


def test_a_key_of_one_kind_of_form_is_none_of_another(shop: Till, buyer: Buyer) -> None:
    put(buyer, COFFEE_PAGE)
    first = order_of(order(buyer))
    page = buyer.get(f"/shop/orders/{first}")
    form = page.form("cancel-order")
    buyer.send(page, form)
    put(buyer, COFFEE_PAGE)
    done = order(buyer, once=form.fields["once"])
    assert done.answer.status_code == 200
    second = order_of(done)
    assert {first, second} == {
        each["_id"] for each in shop.mongo[ORDERS.name].find({"buyer": shop.order(first)["buyer"]})
    }
    shop.settle()


def test_what_is_wrong_stands_next_to_its_field_and_all_but_the_card_is_kept(shop: Till, buyer: Buyer) -> None:
    put(buyer, COFFEE_PAGE)
    wrong = {"name": "", "street": "x" * 300, "country": "XX", "city": HOSTILE, "number": "4242424242424241",
             "expiry": "01/20", "cvc": "12"}  # fmt: skip
    page = order(buyer, **wrong)
    assert page.answer.status_code == 422
    assert page.text.count('class="problem"') == 6
    assert HOSTILE not in page.text
    fields = page.form("place-order").fields
    assert (fields["street"], fields["postcode"]) == ("x" * 300, "10115")
    assert (fields["number"], fields["expiry"], fields["cvc"]) == ("", "", "")
    unknown = order(buyer, number="5555555555554444")
    assert "The payment provider does not know this card." in unknown.words
    assert "5555" not in unknown.text
    assert shop.orders(**{"delivery.street": "x" * 300}) == 0


def test_while_the_provider_is_down_nothing_is_ordered_and_the_form_works_afterwards(shop: Till, buyer: Buyer) -> None:
    put(buyer, COFFEE_PAGE)
    shop.provider.kill()
    try:
        page = order(buyer, street="Only here 1")
        assert page.answer.status_code == 503
        assert page.answer.headers["retry-after"]
        assert "nothing was ordered and nothing was charged" in page.words
        assert shop.orders(**{"delivery.street": "Only here 1"}) == 0
    finally:
        shop.provider.start()
    page = buyer.send(page, page.form("place-order"), **card())
    assert "Thank you! Your order is placed." in page.words
    assert shop.orders(**{"delivery.street": "Only here 1"}) == 1


def test_nobody_but_its_buyer_sees_or_changes_an_order(shop: Till, buyer: Buyer) -> None:
    own = ordered(shop, buyer)
    with Buyer(shop.market.url) as other:
        for path in (f"/shop/orders/{own}", f"/shop/orders/{own}/events"):
            page = other.get(path)
            assert page.answer.status_code == 401 if path.endswith("events") else "/shop/sign-in" in page.url
        other.sign_in(shop.market.account())
        theirs, nobodys = (re.sub(r"[0-9a-f]{32,}|\d+", "", other.get(f"/shop/orders/{each}").words)
                           for each in (own, NOBODYS))  # fmt: skip
        assert "There is no such order" in theirs
        assert 'class="button" href="/shop/orders"' in other.get(f"/shop/orders/{own}").text
        assert theirs == nobodys
        token = other.get(COFFEE_PAGE).form("add-to-cart").fields["token"]
        for do in ("cancel", "refund", "reorder"):
            fields = {"token": token, "do": do, "once": "o" * 20, "line": "1", "quantity": "1"}
            sent = other.send(
                Page(other.get("/shop").answer, f"{other.url}/shop"), Form(f"/shop/orders/{own}", "post", fields)
            )
            assert sent.answer.status_code == 404
        assert other.get(f"/shop/orders/{own}/events").answer.status_code == 404
    assert shop.order(own)["state"] == "confirmed"


def test_an_order_is_cancelled_once_by_a_form_that_is_sent_twice(shop: Till, buyer: Buyer) -> None:
    put(buyer, COFFEE_PAGE)
    page = order(buyer)
    form = page.form("cancel-order")
    for _ in range(2):
        page = buyer.send(page, form)
        assert "Your order is cancelled You have cancelled it. Nothing was charged." in page.words
    assert shop.order(order_of(page))["version"] == 2
    shop.settle()


def test_a_line_is_given_back_and_what_is_packed_is_not(shop: Till, buyer: Buyer) -> None:
    own = ordered(shop, buyer, quantity="3")
    page = buyer.get(f"/shop/orders/{own}")
    form = page.form("refund-line")
    page = buyer.send(page, form, quantity="2", reason="Too much")
    assert "2 of 3 being refunded" in page.words
    assert "It is cancelled, and its money is on the way back to you." in page.words
    assert re.search(r"Being refunded 2 \u00d7 [^$]+, \d+ \w+ \d{4}, \d\d:\d\d UTC \$26.00", page.words)
    assert "2 of 3 being refunded" in buyer.send(page, form, quantity="2", reason="Too much").words
    shop.settle()
    page = buyer.get(page.url)
    assert "2 of 3 refunded" in page.words
    assert re.search(r"Refunded 2 \u00d7 [^$]+, \d+ \w+ \d{4}, \d\d:\d\d UTC \$26.00", page.words)
    assert "$26.00 of it was refunded." in page.words
    assert "on the way back" not in page.words
    shop.set_order(own, {"fulfilment.state": "packed"})
    for button in ("refund-line", "cancel-order"):
        refused = buyer.send(page, page.form(button))
        assert refused.answer.status_code == 409
        assert "its goods are packed" in refused.words
    assert "ask the store" in buyer.get(page.url).words
    assert shop.order(own)["refunded_minor"] == 2_600


def test_all_of_a_confirmed_order_goes_back_when_it_is_cancelled(shop: Till, buyer: Buyer) -> None:
    own = ordered(shop, buyer)
    page = buyer.get(f"/shop/orders/{own}")
    page = buyer.send(page, page.form("cancel-order"))
    assert "Your money is on its way back" in page.words
    shop.settle()
    assert "You have cancelled it. Your money has gone back." in buyer.get(page.url).words


def test_what_is_not_sold_any_more_is_named_when_an_order_is_repeated(shop: Till, buyer: Buyer) -> None:
    put(buyer, f"/shop/{COFFEE}/blend-4")
    put(buyer, f"/shop/{COFFEE}/blend-5")
    page = order(buyer)
    shop.settle()
    shop.market.set_product("blend-4", {"variants.0.availability": "none"})
    page = buyer.get(page.url)
    page = buyer.send(page, page.form("order-again"))
    assert "/shop/cart" in page.url
    assert "The rest is in your cart." in page.words
    assert "Blend number 5" in page.words


WAYS: Sequence[tuple[Mapping[str, str], str]] = (
    ({"state": "packed"}, "Your order is packed"),
    ({"state": "shipped", "carrier": HOSTILE, "tracking": "TRACK-1"}, "TRACK-1"),
    ({"state": "delivered"}, "Your order has arrived"),
)  # fmt: skip


def test_the_page_says_where_the_goods_are(shop: Till, buyer: Buyer) -> None:
    own = ordered(shop, buyer)
    for fulfilment, said in WAYS:
        shop.set_order(own, {f"fulfilment.{name}": value for name, value in fulfilment.items()})
        page = buyer.get(f"/shop/orders/{own}")
        assert said in page.words
        assert "Write a review" in page.words
        assert HOSTILE not in page.text


def test_who_has_bought_a_product_is_led_to_its_review_which_says_so(shop: Till, buyer: Buyer) -> None:
    own = ordered(shop, buyer, BIKE_PAGE)
    (link,) = {each for each in buyer.get(f"/shop/orders/{own}").read.links if "write=1" in each}
    page = buyer.get(link)
    assert '<details class="write" open' in page.text
    page = buyer.send(page, page.form("review"), stars="5", text="Faltet sich.")
    assert "Verified purchase" in page.words
    shop.mongo[REVIEWS.name].delete_many({"text": "Faltet sich."})


def test_orders_go_on_on_further_pages_each_once_and_nobody_has_any_at_first(shop: Till, buyer: Buyer) -> None:
    assert "You have ordered nothing yet" in buyer.get("/shop/orders").words
    document = shop.order(ordered(shop, buyer))
    copies = [
        {**document, "_id": f"{at:032x}", "placed_at_ms": document["placed_at_ms"] - 1 - at // 2} for at in range(44)
    ]
    shop.mongo[ORDERS.name].insert_many(copies)
    found, path = [], "/shop/orders"
    while path:
        page = buyer.get(path)
        found += [link for link in page.read.links if re.fullmatch(r"/shop/orders/[0-9a-f]{32}", link)]
        path = next((link for link in page.read.links if "after=" in link), "")
    assert len(found) == len(set(found)) == 45
    assert buyer.get("/shop/orders?after=x").answer.status_code in (400, 422)


def test_who_is_signed_out_while_ordering_goes_on_with_what_was_typed_and_without_the_card(shop: Till) -> None:
    email, typed, number = shop.market.account(), {**ADDRESS, "name": HOSTILE, "city": "Köln"}, "4012888888881881"
    with Buyer(shop.market.url) as buyer:
        buyer.sign_in(email)
        put(buyer, COFFEE_PAGE)
        page = buyer.get("/shop/checkout")
        account = buyer.get("/shop/account")
        buyer.send(account, account.form("sign-out"))
        sent = buyer.send(page, page.form("place-order"), **typed, **card(number))
        wrong = buyer.send(sent, sent.form("sign-in"), email=email, password="not it")
        back = buyer.send(wrong, wrong.form("sign-in"), email=email, password=PASSWORD)
        assert [each.answer.status_code for each in (sent, wrong, back)] == [401, 422, 200]
        for each in (sent, wrong, back):
            assert number not in each.text
            assert HOSTILE not in each.text
            assert "Nothing was ordered" in each.words or each is back
        form = back.form("place-order")
        assert {name: form.fields[name] for name in ADDRESS} == typed
        assert form.fields["number"] == ""
        done = buyer.send(back, form, name="Bea Buyer", **card())
        assert buyer.get("/shop/checkout/sign-in").url.endswith("/shop/checkout")
    assert shop.order(order_of(done))["delivery"]["city"] == "Köln"
    shop.settle()


def test_a_stream_says_that_an_order_has_changed_and_ends_with_it(shop: Till, buyer: Buyer) -> None:
    put(buyer, COFFEE_PAGE)
    page = order(buyer)
    (follow,) = re.findall(r'data-follow="([^"]+)"', page.text)
    with buyer.client.stream("GET", follow) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["x-accel-buffering"] == "no"
        shop.settle()
        said = "".join(stream.iter_text())
    versions = [json.loads(data)["version"] for data in re.findall(r"data: (.*)", said)]
    assert versions[-1] == shop.order(order_of(page))["version"]
    assert versions == sorted(set(versions))
    assert "data-follow" not in buyer.get(page.url).text
    assert buyer.client.get(f"{follow.partition('?')[0]}?version={versions[-1]}").status_code == 204


def test_a_stream_ends_when_its_buyer_signs_out(shop: Till, buyer: Buyer) -> None:
    put(buyer, COFFEE_PAGE)
    page = order(buyer)
    (follow,) = re.findall(r'data-follow="([^"]+)"', page.text)
    account = buyer.get("/shop/account")
    other = httpx.Client(base_url=buyer.url, headers=buyer.client.headers, cookies=buyer.client.cookies, timeout=15)
    with other, other.stream("GET", follow) as stream:
        buyer.send(account, account.form("sign-out"))
        shop.set_order(order_of(page), {"paid_minor": 0})
        assert "event: order" not in "".join(stream.iter_text())
    shop.settle()


def test_an_order_is_counted_by_the_browser_that_placed_it(shop: Till, buyer: Buyer) -> None:
    put(buyer, COFFEE_PAGE)
    page = order(buyer)
    own = order_of(page)
    assert f'data-tell="{own} placed" data-value=' in page.text
    assert f'data-product="{id_of("cafe-de-olla")}"></span>' in page.text
    assert f"{own} paid" not in page.text
    shop.settle()
    later = buyer.get(f"/shop/orders/{own}")
    assert f"{own} placed" not in later.text
    assert f'data-tell="{own} paid"' in later.text
    again = buyer.get(f"/shop/orders/{own}?placed=before")
    assert f'data-tell="{own} placed"' in again.text, "a form that was sent before may have led nobody here"


def test_the_pages_are_whole_and_small_with_many_stores_and_long_titles(shop: Till, buyer: Buyer) -> None:
    for slug in ("long", "hostile", "arabic", *(f"blend-{at}" for at in range(6, 11))):
        put(buyer, f"/shop/{COFFEE}/{slug}")
    buyer.client.headers["x-forwarded-for"] = any_address()
    pages = [buyer.get("/shop/checkout"), order(buyer, name=LONG[:100], city="x" * 100), buyer.get("/shop/orders")]
    for page in pages:
        assert page.answer.status_code == 200
        assert len(page.answer.content) < MAX_BYTES
        assert len(page.read.ids) == len(set(page.read.ids))
        assert [a for _, a in page.read.tags if "style" in a or any(name.startswith("on") for name in a)] == []
        assert HOSTILE not in page.text
        assert "unsafe" not in page.answer.headers["content-security-policy"]
    shop.settle()


HOSTILE_VALUES = ("", "\x00", '{"$gt": ""}', "x" * 5_000, "-1", "9223372036854775808", "\u202e\uff11", "<b>", NOBODYS)
ONCE = "o" * 20
FIELDS: Sequence[tuple[str, Mapping[str, str], Sequence[str]]] = (
    ("/shop/checkout", {"do": "order"}, ("do", "version", "changes", "name", "extra", "country", "number", "expiry")),
    ("/shop/checkout", {"do": "order", "country": "XX"}, ("once",)),
    ("/shop/checkout", {"do": "take-left"}, ("left",)),
    ("/shop/orders/{own}", {"do": "refund", "line": "1", "quantity": "1"}, ("do",)),
    ("/shop/orders/{own}", {"do": "refund", "line": "1", "quantity": "1", "once": ONCE}, ("line", "quantity")),
    ("/shop/orders/{own}", {"do": "refund", "line": "9", "quantity": "1", "once": ONCE}, ("reason",)),
)  # fmt: skip


def test_hostile_values_of_forms_are_answered_with_pages_and_order_nothing(shop: Till, buyer: Buyer) -> None:
    own = ordered(shop, buyer)
    document = shop.order(own)
    put(buyer, COFFEE_PAGE)
    page = buyer.get("/shop/checkout")
    good = {**page.form("place-order").fields, **ADDRESS, **card()}
    found: list[tuple[int, str]] = []
    for path, first, names in FIELDS:
        for name in names:
            # One of each kind in its turn: all of them are the field's own affair.
            for value in HOSTILE_VALUES[:: 1 if name in ("left", "once", "do") else 2]:
                buyer.client.headers["x-forwarded-for"] = any_address()
                fields = {**good, "once": "", **first, name: value}
                sent = buyer.send(page, Form(path.format(own=own), "post", fields)).answer
                found.append((sent.status_code, sent.headers["content-type"]))
    assert {status for status, _ in found} <= {200, 403, 404, 409, 422}
    assert all(kind.startswith("text/html") for _, kind in found)
    assert shop.order(own) == document
    assert shop.orders(buyer=document["buyer"]) == 1


def test_forms_of_other_sites_order_nothing(shop: Till, buyer: Buyer) -> None:
    put(buyer, COFFEE_PAGE)
    page = buyer.get("/shop/checkout")
    form = page.form("place-order")
    fields: dict[str, Any] = {**ADDRESS, **card()}
    for own, token in (({}, True), ({"origin": "https://evil.example"}, True), ({"origin": buyer.url}, False)):
        sent = buyer.send_with(own, page, form, **fields, **({} if token else {"token": "0" * 64}))
        assert sent.answer.status_code == 403
    assert "1 piece" in buyer.get("/shop/checkout").words
