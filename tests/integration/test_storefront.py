"""The storefront without JavaScript: links, forms and what they do, on real parts."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import httpx
import pytest

from connectors.mongo.sagas.documents import order_document
from marketplace.collections import ORDERS, PRODUCT_SLUGS
from marketplace.notifications.notices import Template
from marketplace.orders.delivery import Address
from ops.stack import Stack
from tests.kits.api import PASSWORD, any_address
from tests.kits.buyers import Buyer, Form, Page
from tests.kits.notifications import PLACED_MS, confirmed, facts
from tests.kits.storefront import ARABIC, BIKES, COFFEE, HOSTILE, NEW, Market, id_of, market
from tests.kits.tenancy import World

PRODUCT = f"/shop/{COFFEE}/yirgacheffe"
SINGLE = f"/shop/{COFFEE}/cafe-de-olla"
PAGES = (
    "/shop", f"/shop/{COFFEE}", f"/shop/{NEW}", f"/shop/{COFFEE}/category/beans", f"/shop/{COFFEE}/category/light",
    "/shop/search?q=coffee", "/shop/search?q=zzzz", f"/shop/search?shop={COFFEE}", PRODUCT, f"/shop/{COFFEE}/hostile",
    f"/shop/{COFFEE}/long", f"/shop/{COFFEE}/arabic", f"/shop/{COFFEE}/reviews/yirgacheffe", "/shop/cart",
    "/shop/sign-in", "/shop/register",
)  # fmt: skip
MAX_BYTES = 100_000
GOES_TO = Address("Bea", "Hill Road 7", "", "10115", "Berlin", "DE")


@pytest.fixture(scope="module")
def shop(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    settings = {"MARKETPLACE_API_COLLECTOR_URL": "http://collector.example:8700"}
    with market(stack, tmp_path_factory.mktemp("storefront"), **settings) as running:
        # Search follows Mongo a moment behind.
        with Buyer(running.url) as buyer:
            deadline = time.monotonic() + 20
            while "Stahlrad" not in buyer.get("/shop/search?q=stahlrad").words:
                assert time.monotonic() < deadline
        yield running
    assert "Traceback" not in (running.api.folder / "api.log").read_text()


@pytest.fixture
def buyer(shop: Market) -> Iterator[Buyer]:
    with Buyer(shop.url) as somebody:
        yield somebody


def put(buyer: Buyer, path: str, **changes: str) -> Page:
    page = buyer.get(path)
    return buyer.send(page, next(f for f in page.read.forms if f.fields.get("do") == "add"), **changes)


def in_cart(page: Page) -> int:
    found = re.search(r'id="in-cart"[^>]*>(\d+)<', page.text)
    assert found is not None
    return int(found[1])


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_whole_small_and_runs_nothing_that_somebody_wrote(shop: Market, buyer: Buyer, path: str) -> None:
    page = buyer.get(path)
    assert page.answer.status_code == 200
    read = page.read
    loaded = [a.get("href", a.get("src", "")) for tag, a in read.tags if tag in ("link", "script")]
    own = [url for url in loaded if url.startswith("/shop/assets/")]
    assert len(own) == 2
    assert len(page.answer.content) + sum(len(buyer.client.get(url).content) for url in own) < MAX_BYTES
    assert len(read.ids) == len(set(read.ids))
    scripts = [a for tag, a in read.tags if tag == "script" and "src" not in a]
    assert all(each.get("type") == "application/ld+json" for each in scripts)
    assert [a for tag, a in read.tags if tag == "img" and a.get("src") == "x"] == []
    assert [a for _, a in read.tags if "style" in a or any(name.startswith("on") for name in a)] == []
    policy = page.answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert page.answer.headers["cache-control"] == "no-store"


def test_every_link_of_the_front_leads_to_a_page(buyer: Buyer) -> None:
    links = {link for link in buyer.get("/shop").read.links if link.startswith("/shop")}
    assert len(links) > 10
    assert {link: s for link in links if (s := buyer.get(link).answer.status_code) != 200} == {}


def test_what_is_put_in_as_nobody_is_there_after_signing_in(shop: Market, buyer: Buyer) -> None:
    email = shop.account()
    page = put(buyer, PRODUCT, variant=id_of("yirgacheffe-2"), quantity="2")
    assert page.url.endswith("/shop/cart")
    assert "500 g" in page.words
    put(buyer, f"/shop/{BIKES}/faltrad")
    page = buyer.sign_in(email, path="/shop/sign-in?next=/shop/cart")
    assert page.url.endswith("/shop/cart")
    assert in_cart(page) == 3
    assert "Brooklyn Coffee Roasters" in page.words
    assert "Berliner Fahrradladen" in page.words
    assert "$58.00" in page.words
    with Buyer(shop.url) as elsewhere:
        assert in_cart(elsewhere.sign_in(email)) == 3
    with Buyer(shop.url) as again:
        assert in_cart(again.sign_in(email)) == 3


def test_who_signs_in_afterwards_in_the_same_browser_sees_nothing_of_the_one_before(shop: Market, buyer: Buyer) -> None:
    put(buyer, SINGLE)
    account = buyer.get(buyer.sign_in(shop.account()).url.replace("/shop", "/shop/account", 1))
    assert in_cart(account) == 1
    out = buyer.send(account, account.form("sign-out"))
    assert in_cart(out) == 0
    assert "Sign in" in out.words
    assert in_cart(buyer.sign_in(shop.account())) == 0


def test_one_form_that_is_sent_twice_adds_once(buyer: Buyer) -> None:
    page = buyer.get(SINGLE)
    form = page.form("add-to-cart", product=id_of("cafe-de-olla"))
    assert in_cart(buyer.send(page, form)) == 1
    assert in_cart(buyer.send(page, form)) == 1
    assert in_cart(put(buyer, SINGLE)) == 2


def test_a_double_click_of_somebody_without_a_cart_adds_once_whichever_answer_the_browser_takes(buyer: Buyer) -> None:
    page = buyer.get(SINGLE)
    form = page.form("add-to-cart", product=id_of("cafe-de-olla"))
    cookies = dict(buyer.client.cookies)

    def send(_: int) -> str:
        with httpx.Client(base_url=buyer.url, headers=buyer.client.headers, cookies=cookies) as client:
            answer = client.post(form.action, data=form.fields, headers={"origin": buyer.url})
            return answer.cookies["marketplace-cart"]

    with ThreadPoolExecutor(4) as pool:
        secrets = set(pool.map(send, range(4)))
    assert len(secrets) == 1
    buyer.client.cookies.set("marketplace-cart", secrets.pop())
    assert in_cart(buyer.get("/shop/cart")) == 1


def test_a_form_that_was_refused_can_be_sent_again_by_somebody_without_a_cart(buyer: Buyer) -> None:
    page = buyer.get(SINGLE)
    form = page.form("add-to-cart", product=id_of("cafe-de-olla"))
    assert buyer.send(page, form, quantity="100").answer.status_code == 422
    assert buyer.send(page, form, quantity="100").answer.status_code == 422
    assert in_cart(buyer.send(page, form)) == 1


def test_a_quantity_is_changed_and_a_line_removed(buyer: Buyer) -> None:
    page = put(buyer, SINGLE)
    page = buyer.send(page, page.form("quantity-changed"), quantity="7")
    assert in_cart(page) == 7
    assert "$91.00" in page.words
    page = buyer.send(page, page.form("remove"))
    assert "Nothing is in it yet" in page.words


@pytest.mark.parametrize("quantity", ["0", "-1", "1.5", "100", "9999999999999999999999", "", "x", "\uff11"])
def test_a_quantity_that_is_none_changes_nothing(buyer: Buyer, quantity: str) -> None:
    page = put(buyer, SINGLE, quantity=quantity)
    assert page.answer.status_code == 422
    assert in_cart(buyer.get("/shop")) == 0


def test_a_product_with_variants_is_not_put_in_before_one_is_chosen(buyer: Buyer) -> None:
    page = put(buyer, PRODUCT, variant="")
    assert page.url.endswith(PRODUCT)
    page = put(buyer, PRODUCT, variant=id_of("yirgacheffe-3"))
    assert page.answer.status_code == 422
    assert "There is none of it now" in page.words


def test_a_price_that_has_changed_is_shown_and_taken_over_when_its_buyer_says_so(shop: Market, buyer: Buyer) -> None:
    put(buyer, f"/shop/{COFFEE}/blend-3")

    shop.set_product("blend-3", {"variants.0.price_minor": 2000})
    page = buyer.get("/shop/cart")
    assert "The price is $20.00 now; it was $10.03." in page.words
    page = buyer.send(page, page.form("accept-changes"))
    assert "The price is" not in page.words
    assert "$20.00" in page.words


def test_an_earlier_address_of_a_product_leads_to_it(shop: Market, buyer: Buyer) -> None:
    async def rename(world: World) -> None:
        earlier = {"_id": f"{COFFEE}:old-name", "product": id_of("huila")}
        await world.client[shop.database][PRODUCT_SLUGS.name].insert_one(earlier)

    shop.do(rename)
    answer = buyer.client.get(f"/shop/{COFFEE}/old-name", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (301, f"/shop/{COFFEE}/huila")


def test_search_is_narrowed_sorted_and_paged_by_links(buyer: Buyer) -> None:
    first = buyer.get(f"/shop/search?shop={COFFEE}&q=blend&sort=price")
    shown = re.findall(r"/blend-(\d+)\"", first.text)
    assert "24 products" in first.words
    narrowed = buyer.get(next(link for link in first.read.links if "rating=" not in link and "stock=1" in link))
    assert narrowed.answer.status_code == 200
    everything = buyer.get(f"/shop/search?shop={COFFEE}")
    following = next(link for link in everything.read.links if "after=" in link)
    second = buyer.get(following)
    ids = [re.findall(r'data-product="(\w+)"', page.text) for page in (everything, second)]
    assert not set(ids[0]) & set(ids[1])
    assert len(set(shown)) == 24


@pytest.mark.parametrize(
    "query",
    ["q=" + "x" * 201, "sort=up", "rating=9", "rating=12", "price=XXX-1-2", "price=EUR-5", "after=zzz", "category=%00",
     "q=%00&after=.",
     f"shop={NEW}%27", "price=EUR-99999999999999-", "shop=nobody-has-this"],
)  # fmt: skip
def test_a_search_that_cannot_be_read_is_a_page_with_a_way_on(buyer: Buyer, query: str) -> None:
    page = buyer.get(f"/shop/search?{query}")
    assert page.answer.status_code in (400, 404, 422)
    assert page.answer.headers["content-type"].startswith("text/html")
    assert "/shop" in page.read.links


@pytest.mark.parametrize("query", ["q=.*", "q=%28", "q=%24ne", "q=%3Cscript%3E", "utm_source=x&fbclid=" + "y" * 300])
def test_what_is_typed_is_text(buyer: Buyer, query: str) -> None:
    page = buyer.get(f"/shop/search?{query}")
    assert page.answer.status_code == 200
    assert "<script>" not in page.text


def test_suggestions_name_products_with_their_addresses(buyer: Buyer) -> None:
    found = buyer.client.get("/shop/suggest", params={"q": "stahl"}).json()["suggestions"]
    assert [(each["text"], each["url"]) for each in found] == [("Stahlrad Kreuzberg", f"/shop/{BIKES}/stahlrad")]


def test_a_product_is_described_for_search_engines(shop: Market, buyer: Buyer) -> None:
    page = buyer.get(PRODUCT)
    assert f'<link rel="canonical" href="{shop.url}{PRODUCT}">' in page.text
    assert '"@type": "Product"' in page.text
    assert '"price": "16.00"' in page.text
    hostile = buyer.get(f"/shop/{COFFEE}/hostile").text
    assert hostile.count("</script>") == hostile.count("<script")


def test_pages_of_a_store_send_events_with_its_key_and_the_products_id(buyer: Buyer) -> None:
    page = buyer.get(PRODUCT)
    assert 'src="http://collector.example:8700/m.js" data-key="storefront.brooklyn-coffee.' in page.text
    assert f'<html lang="en" class="hue-3" data-product="{id_of("yirgacheffe")}"' in page.text
    assert "http://collector.example:8700" in page.answer.headers["content-security-policy"]
    assert "m.js" not in buyer.get("/shop").text
    cart = put(buyer, SINGLE)
    assert 'data-key="storefront.brooklyn-coffee.' in cart.text
    assert "m.js" not in put(buyer, f"/shop/{BIKES}/faltrad").text


def test_a_review_is_written_changed_found_helpful_reported_and_removed(shop: Market, buyer: Buyer) -> None:
    path = f"/shop/{BIKES}/stahlrad"
    buyer.sign_in(shop.account())
    page = buyer.get(path)
    page = buyer.send(page, page.form("review"), stars="4", text=f"Läuft. {HOSTILE}\n{ARABIC}")
    assert "Läuft." in page.words
    assert "4.0 of 5 stars" in page.text
    page = buyer.send(page, page.form("review"), stars="2", text="Nicht mehr.")
    assert "2.0 of 5 stars" in page.text
    with Buyer(shop.url) as other:
        page = other.get(path)
        assert "Nicht mehr." in page.words
        assert other.send(page, page.form("helpful")).url.startswith(f"{shop.url}/shop/sign-in")
        other.sign_in(shop.account())
        page = other.get(path)
        page = other.send(page, page.form("helpful"))
        assert "(1)" in page.words
        page = other.send(page, page.form("helpful"))
        assert "(1)" not in page.words
        assert other.send(page, page.form("report")).answer.status_code == 200
    page = buyer.get(path)
    assert "Nobody has reviewed this yet" in buyer.send(page, page.form("remove-review")).words


def test_a_review_that_is_not_taken_is_shown_again_with_what_was_typed(shop: Market, buyer: Buyer) -> None:
    buyer.sign_in(shop.account())
    page = buyer.get(PRODUCT)
    page = buyer.send(page, page.form("review"), stars="", text="What I have typed")
    assert page.answer.status_code == 422
    assert "Choose one to five stars." in page.words
    assert "What I have typed" in page.words


def test_reviews_go_on_on_pages_of_their_own(buyer: Buyer) -> None:
    page = buyer.get(PRODUCT)
    further = next(link for link in page.read.links if "after=" in link)
    assert "Fine." in page.words
    assert "Good, and fast." in buyer.get(further).words


def test_signing_in_says_what_is_wrong_and_keeps_the_address(shop: Market, buyer: Buyer) -> None:
    email = shop.account()
    page = buyer.sign_in(email, "wrong wrong wrong")
    assert page.answer.status_code == 422
    assert "do not go together" in page.words
    assert page.form("sign-in").fields["email"] == email
    assert "wrong wrong" not in page.text
    assert buyer.sign_in("no address").answer.status_code == 422


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/shop//evil", "/\\evil", "/v1/me", "\t/shop"]
)
def test_signing_in_leads_to_no_other_site(shop: Market, buyer: Buyer, target: str) -> None:
    page = buyer.get("/shop/sign-in", params={"next": target})
    form = page.form("sign-in")
    assert form.fields["next"] == "/shop"
    assert buyer.send(page, form, email=shop.account(), password=PASSWORD, next=target).url == f"{shop.url}/shop"


def test_a_new_account_gets_a_mail_and_its_mistakes_stand_next_to_their_fields(shop: Market, buyer: Buyer) -> None:
    sign_in = buyer.get("/shop/sign-in?next=%2Fshop%2Fcheckout")
    page = buyer.get(next(link for link in sign_in.read.links if "/shop/register" in link))
    wrong = buyer.send(page, page.form("register"), name="", email="nobody", password="short")
    assert wrong.answer.status_code == 422
    assert wrong.text.count('class="problem"') == 3
    assert wrong.form("register").fields["email"] == "nobody"
    sent = buyer.send(page, page.form("register"), name="Zoë", email="zoe@shop.example", password=PASSWORD)
    assert "Look into your mail" in sent.words
    assert "Zoë" in confirmed_account(shop, buyer, "zoe@shop.example").words


def confirmed_account(shop: Market, buyer: Buyer, email: str) -> Page:
    """Follow the link of a mail without JavaScript, by giving the whole of it, and twice; then sign in."""
    mail = shop.api.mail_to(email, "Confirm your address")
    (link,) = re.findall(r"^https?://\S+", mail, re.MULTILINE)
    secret = link.partition("#")[2]
    shop.api.followed.add(secret)
    assert link.startswith(f"{shop.url}/shop/confirm?next=%2Fshop%2Fcheckout#")
    page = buyer.get(link.partition("#")[0])
    done = buyer.send(page, page.form("confirm"), link=link)
    assert "Your account is ready" in done.words
    assert "/shop/sign-in?next=%2Fshop%2Fcheckout" in done.read.links, "the way to the checkout is not lost"
    again = buyer.send(page, page.form("confirm"), link=link)
    assert again.answer.status_code == 422
    assert "This link was used" in again.words
    assert secret not in again.text
    return buyer.sign_in(email)


def test_a_lost_password_is_replaced_in_the_shop(shop: Market, buyer: Buyer) -> None:
    email = shop.account()
    page = buyer.get("/shop/forgot")
    assert buyer.send(page, page.form("forgot"), email="nobody").answer.status_code == 422
    sign_in = buyer.get("/shop/sign-in?next=%2Fshop%2Fcheckout")
    page = buyer.get(next(link for link in sign_in.read.links if "/shop/forgot" in link))
    sent = buyer.send(page, page.form("forgot"), email=email)
    unknown = buyer.send(page, page.form("forgot"), email="nobody@shop.example")
    assert "Look into your mail" in sent.words
    assert sent.words.replace(email, "") == unknown.words.replace("nobody@shop.example", "")
    (link,) = re.findall(r"^https?://\S+", shop.api.mail_to(email, "Choose a new password"), re.MULTILINE)
    shop.api.followed.add(link.partition("#")[2])
    assert link.startswith(f"{shop.url}/shop/reset?next=%2Fshop%2Fcheckout#")
    page = buyer.get(link.partition("#")[0])
    weak = buyer.send(page, page.form("reset"), link=link, password="short")
    assert (weak.answer.status_code, weak.text.count('class="problem"')) == (422, 1)
    done = buyer.send(page, page.form("reset"), link=link, password="another horse battery")
    assert "Your password is changed" in done.words
    assert "/shop/sign-in?next=%2Fshop%2Fcheckout" in done.read.links
    assert "This link was used" in buyer.send(page, page.form("reset"), link=link, password="one more horse").words
    assert buyer.sign_in(email).answer.status_code == 422
    assert "Sign out" in buyer.sign_in(email, "another horse battery", "/shop/sign-in?next=/shop/account").words


def test_notifications_are_counted_on_every_page_and_read_on_their_own(shop: Market, buyer: Buyer) -> None:
    email = shop.account()
    assert buyer.get("/shop/notifications").url.startswith(f"{shop.url}/shop/sign-in")
    assert "Nothing is new yet" in buyer.sign_in(email, path="/shop/sign-in?next=/shop/notifications").words
    shop.hears(email, *[Template.ORDER_CANCELLED] * 21, Template.ORDER_CONFIRMED)
    assert "22 new" in buyer.get(SINGLE).words
    page = buyer.get("/shop/notifications")
    assert "Your order 9C51D06E is confirmed" in page.words
    assert re.search(r"\d{1,2} \w+ \d{4}, \d\d:\d\d UTC", page.words), "a notification has a time"
    assert "alert(" in page.words
    assert [tag for tag, _ in page.read.tags].count("script") == 1
    older = next(link for link in page.read.links if "after=" in link)
    assert buyer.get(older).words.count("was cancelled") == 2
    assert buyer.get("/shop/notifications?after=x").answer.status_code == 400
    read = buyer.send(page, page.form("read-all"))
    assert read.url.endswith("/shop/notifications")
    assert "new" not in read.words.split("Notifications")[1].split()[:2]
    assert "Mark all as read" not in read.words
    assert not buyer.send(page, page.form("read-all"), until="x").answer.is_success


def test_what_comes_by_mail_is_said_on_the_page_of_the_account_and_by_the_link_in_a_mail(
    shop: Market, buyer: Buyer
) -> None:
    def write(world: World, order: str) -> Any:
        known = {**order_document(confirmed().order, PLACED_MS), "delivery": asdict(GOES_TO)}
        return world.client[shop.database][ORDERS.name].insert_one({**known, "_id": order})

    email = shop.account()
    shop.do(lambda world: write(world, facts().order))
    account = buyer.sign_in(email, path="/shop/sign-in?next=/shop/account")
    shop.hears(email, Template.ORDER_CONFIRMED)
    mail = shop.api.mail_to(email, "Your order 9C51D06E is confirmed")
    assert [line for line in ("Delivery address", "Hill Road 7", "10115 Berlin", "Germany") if line not in mail] == []
    found = re.search(r"http://[^\s\"<>]+(/shop/unsubscribe/[^\s\"<>]+)", mail)
    assert found is not None
    with Buyer(shop.url) as elsewhere:
        page = elsewhere.get(found[1])
        assert email not in page.text
        assert "No more mails about orders?" in page.words
        assert "You get a mail when" in buyer.get("/shop/account").words
        assert "You get no mails about orders" in elsewhere.send(page, page.form("unsubscribe")).words
    account = buyer.get("/shop/account")
    assert "no mail comes" in account.words
    assert "You get a mail when" in buyer.send(account, account.form("change-mails")).words


def test_another_sign_in_is_ended_on_the_page_of_the_account(shop: Market, buyer: Buyer) -> None:
    email = shop.account()
    buyer.sign_in(email)
    with Buyer(shop.url) as elsewhere:
        elsewhere.sign_in(email)
        account = buyer.get("/shop/account")
        buyer.send(account, account.form("end-session"))
        assert elsewhere.get("/shop/account").url.startswith(f"{shop.url}/shop/sign-in")
    page = buyer.get("/shop/account")
    buyer.send(page, page.form("sign-out-everywhere"))
    assert buyer.get("/shop/account").url.startswith(f"{shop.url}/shop/sign-in")


@pytest.mark.parametrize(
    ("headers", "token"),
    [({}, True), ({"origin": "https://evil.example"}, True), ({"origin": "null"}, True),
     ({"sec-fetch-site": "cross-site"}, True), ({"sec-fetch-site": "same-site"}, True), ({"origin": "own"}, False)],
)  # fmt: skip
def test_a_form_of_another_site_changes_nothing(buyer: Buyer, headers: dict[str, str], token: bool) -> None:
    page = buyer.get(SINGLE)
    form = page.form("add-to-cart", product=id_of("cafe-de-olla"))
    own = {name: buyer.url if value == "own" else value for name, value in headers.items()}
    answer = buyer.send_with(own, page, form, **({} if token else {"token": "0" * 32}))
    assert answer.answer.status_code == 403
    assert in_cart(buyer.get("/shop/cart")) == 0


HOSTILE_VALUES = (
    "", "\x00", '{"$gt": ""}', "x" * 5_000, "-1", "9223372036854775808", "\u202e\uff11", "<script>", "0" * 32,
)  # fmt: skip
FIELDS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "/shop/cart": {
        "add": ("product", "variant", "quantity", "once"), "set": ("line", "quantity"), "remove": ("line",),
        "accept": ("changes",), "nothing": ("line",),
    },
    f"/shop/{COFFEE}/reviews/cafe-de-olla": {
        "write": ("stars", "text"), "helpful": ("review",), "unhelpful": ("review",), "report": ("review", "reason"),
        "nothing": ("review",),
    },
    "/shop/account": {"end": ("session",), "nothing": ("session",)},
    "/shop/register": {"": ("name", "email", "password", "next")},
    "/shop/confirm": {"": ("link",)},
    "/shop/forgot": {"": ("email",)},
    "/shop/reset": {"": ("link", "password")},
}  # fmt: skip


@pytest.mark.parametrize(
    "path", [pytest.param(path, marks=() if path == "/shop/cart" else pytest.mark.long) for path in FIELDS]
)
def test_hostile_values_of_forms_are_answered_with_pages_and_put_nothing_in(shop: Market, path: str) -> None:
    with Buyer(shop.url) as buyer:
        buyer.sign_in(shop.account())
        page = buyer.get(SINGLE)
        token = page.form("add-to-cart").fields["token"]
        good = {
            "product": id_of("cafe-de-olla"), "variant": id_of("cafe-de-olla-1"), "quantity": "1", "stars": "3",
            "text": "Good.", "review": id_of("review-1"), "reason": "spam", "name": "Ann", "email": "x",
            "password": "y",
        }  # fmt: skip
        answers = []
        for do, names in FIELDS[path].items():
            for name in names:
                for value in HOSTILE_VALUES:
                    buyer.client.headers["x-forwarded-for"] = any_address()
                    fields = {**good, "once": "same-once", "token": token, "do": do, name: value}
                    answers.append(buyer.send(page, Form(path, "post", fields)).answer)
        assert {each.status_code for each in answers} <= {200, 403, 404, 422}
        assert all(each.headers["content-type"].startswith("text/html") for each in answers)
        # Of one value of `once`, at most one form was good.
        assert in_cart(buyer.get("/shop/cart")) <= 16


def test_cookies_are_out_of_reach_for_scripts_and_other_sites(buyer: Buyer) -> None:
    page = buyer.get(SINGLE)
    answer = buyer.client.post("/shop/cart", data=page.form("add-to-cart").fields, headers={"origin": buyer.url})
    lines = [*page.answer.headers.get_list("set-cookie"), *answer.history[0].headers.get_list("set-cookie")]
    assert len(lines) == 2
    assert all("HttpOnly; SameSite=Lax" in line and "Path=/" in line for line in lines)
    over_tls = httpx.get(f"{buyer.url}/shop", headers={"x-forwarded-proto": "https"})
    assert over_tls.headers["set-cookie"].startswith("__Host-marketplace-form=")
    assert over_tls.headers["set-cookie"].endswith("; Secure")


def test_a_cookie_opens_pages_and_nothing_of_the_rest_api(shop: Market, buyer: Buyer) -> None:
    buyer.sign_in(shop.account())
    assert buyer.client.get("/v1/identity/me").status_code == 401


NOWHERE = [
    "/shop/nobody", f"/shop/{COFFEE}/nothing", "/shop/a/b/c/d", f"/shop/{COFFEE}/category/none", "/shop/UPPER",
    "/shop/%00", f"/shop/{COFFEE}/%24ne", "/shop/assets/shop.css",
]  # fmt: skip


def test_who_is_signed_in_is_so_on_the_page_of_what_is_not_there(shop: Market, buyer: Buyer) -> None:
    buyer.sign_in(shop.account())
    for path in (f"/shop/{COFFEE}/nothing", "/shop/nobody", f"/shop/{COFFEE}/category/none"):
        assert "(your account)" in buyer.get(path).words


@pytest.mark.parametrize("path", NOWHERE)
def test_what_is_not_there_is_a_page_with_a_way_on(buyer: Buyer, path: str) -> None:
    page = buyer.get(path)
    assert page.answer.status_code == 404
    assert "There is nothing here" in page.words
    assert "/shop" in page.read.links


def test_who_types_the_address_alone_is_led_to_the_shop_and_a_program_gets_data(buyer: Buyer) -> None:
    looks = buyer.client.get("/", headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (looks.status_code, 'href="/shop"' in looks.text) == (404, True)
    data = buyer.client.get("/", headers={"accept": "application/json"})
    assert (data.status_code, data.headers["content-type"]) == (404, "application/problem+json")


def test_too_many_requests_are_a_page_that_says_when_to_come_again(shop: Market) -> None:
    with Buyer(shop.url) as hasty:
        pages = [hasty.get("/shop/search?q=x") for _ in range(40)]
    refused = [page for page in pages if page.answer.status_code == 429]
    assert refused
    assert f"Try again in {refused[0].answer.headers['retry-after']} second" in refused[0].words


def test_pictures_are_drawn_for_good_and_run_nothing(buyer: Buyer) -> None:
    answer = buyer.client.get("/shop/pictures/bag/28/huila.svg")
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert "immutable" in answer.headers["cache-control"]
    for path in (
        "bag/28/%3Cscript%3E.svg",
        "gun/28/x.svg",
        "bag/9999/x.svg",
        "bag/28/x.png",
        f"bag/28/{'x' * 101}.svg",
    ):
        assert buyer.client.get(f"/shop/pictures/{path}").status_code == 404
