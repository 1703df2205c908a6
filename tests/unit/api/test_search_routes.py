"""Search over HTTP: what it takes, what it gives, and pages that follow one another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api.limits import Limiter
from api.search.index import SearchIndex
from api.search.service import SearchService
from api.web.cursors import cursor
from marketplace.catalog.categories import Category
from marketplace.catalog.products import Availability, Image, Product, Variant
from marketplace.search.entries import entry_of
from marketplace.search.queries import Query
from tests.kits.products import product
from tests.kits.tenancy import Buckets, application

MUG = product(
    "Blue mug", id="a" * 32, slug="blue-mug", category="1", images=(Image("https://shop.example/mug.webp", "A mug"),),
    stars=(0, 0, 0, 1, 2), sold=3, variants=(
        Variant("v1", "MUG-1", (), 1250, 1500, Availability.FEW), Variant("v2", "MUG-2", (), 1450)
    ),
)  # fmt: skip


@pytest.fixture
def index() -> Iterator[SearchIndex]:
    made = SearchIndex()
    made.complete = made.stores_known = True
    made.put_store("shop", "Ann's shop")
    made.put_categories("shop", [Category("0", "kitchen", "Kitchen"), Category("1", "mugs", "Mugs", "0")])
    put(made, MUG)
    state = application().app.state  # type: ignore[attr-defined]  # nothing starts the application here
    state.limiter, state.search, state.known = Limiter(Buckets()), SearchService.on_index(made), None
    yield made
    state.search = None


def put(index: SearchIndex, *several: Product) -> None:
    for each in several:
        entry = entry_of(each)
        assert entry is not None
        index.put(entry)


def ask(path: str, **query: Any) -> httpx.Response:
    async def whole() -> httpx.Response:
        transport = httpx.ASGITransport(application())
        async with httpx.AsyncClient(transport=transport, base_url="http://api.example") as client:
            return await client.get(path, params=query)

    return asyncio.run(whole())


def titles(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [hit["title"] for hit in answer.json()["hits"]]


def errors(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [each["path"] for each in answer.json()["errors"]]


def test_a_hit_is_all_that_a_list_shows_of_a_product(index: SearchIndex) -> None:
    assert ask("/v1/search", q="mug").json() == {
        "hits": [
            {
                "id": MUG.id, "store": "shop", "store_title": "Ann's shop", "slug": "blue-mug", "title": "Blue mug",
                "currency": "EUR", "price_minor": 1250, "highest_price_minor": 1450, "compare_at_minor": 1500,
                "image": "https://shop.example/mug.webp", "image_alt": "A mug", "rating": 4.67, "reviews": 3,
                "availability": "many",
            }
        ],
        "total": 1,
        "facets": {
            "categories": [
                {"slug": "kitchen", "name": "Kitchen", "parent": None, "count": 1},
                {"slug": "mugs", "name": "Mugs", "parent": "kitchen", "count": 1},
            ],
            "currencies": [{"currency": "EUR", "count": 1}],
            "prices": [{"currency": "EUR", "price_min": 1000, "price_max": 2499, "count": 1}],
            "in_stock": 1,
            "ratings": [{"rating": 4, "count": 1}, {"rating": 3, "count": 1}, {"rating": 2, "count": 1},
                        {"rating": 1, "count": 1}],
        },
        "lenient": False, "complete": True, "next": None,
    }  # fmt: skip


@pytest.mark.parametrize("slug", ["mugs", "m", "mugs--and-cups", "m" * 63])
def test_every_slug_that_a_category_can_have_can_be_asked_for(index: SearchIndex, slug: str) -> None:
    index.put_categories("shop", [Category("1", slug, "Mugs")])
    assert titles(ask("/v1/search", category=slug)) == ["Blue mug"]


def test_a_cursor_that_somebody_has_made_up_is_refused(index: SearchIndex) -> None:
    made_up = cursor(f"search {Query()!r}", "x:1:y")
    assert ask("/v1/search", cursor=made_up).status_code == 400


def test_kaffee_finds_kaffee_and_after_it_what_is_called_cafe_or_coffee(index: SearchIndex) -> None:
    put(index, *(product(title) for title in ("Café crème", "Coffee beans", "Kaffeebohnen", "Kaffee", "Tea")))
    assert titles(ask("/v1/search", q="kaffee"))[0] == "Kaffee"
    assert set(titles(ask("/v1/search", q="kaffee"))[1:3]) == {"Café crème", "Coffee beans"}
    assert titles(ask("/v1/search", q="KAFFEE"))[3:] == ["Kaffeebohnen"]


@pytest.mark.parametrize("text", ["cafe", "café", "cafe\N{COMBINING ACUTE ACCENT}", "CAFÉ", "caf"])
@pytest.mark.parametrize("title", ["Cafe", "CAFÉ", "Cafe\N{COMBINING ACUTE ACCENT}"])
def test_a_title_is_found_however_it_is_typed_and_shown_as_it_is(index: SearchIndex, text: str, title: str) -> None:
    put(index, product(title))
    assert titles(ask("/v1/search", q=text)) == [title]


@pytest.mark.parametrize("text", ["str", "strasse", "straße", "STRASSE"])
def test_a_sharp_s_and_its_beginning_are_found(index: SearchIndex, text: str) -> None:
    put(index, product("Straße"), product("Strasse"))
    assert sorted(titles(ask("/v1/search", q=text))) == ["Strasse", "Straße"]


def test_an_error_in_a_long_word_is_forgiven_where_nothing_else_is_found(index: SearchIndex) -> None:
    put(index, product("Lantern"))
    answer = ask("/v1/search", q="lanternn ")
    assert (titles(answer), answer.json()["lenient"]) == (["Lantern"], True)
    assert titles(ask("/v1/search", q="mugg")) == []


@pytest.mark.parametrize("text", [".*", "(", "\\", "$", "^b", "[a-z]", '{"$gt":""}', "mug OR tea", "-mug tea", "*"])
def test_operators_and_expressions_are_plain_text(index: SearchIndex, text: str) -> None:
    assert titles(ask("/v1/search", q=text)) == []


def test_what_was_typed_is_bounded(index: SearchIndex) -> None:
    assert errors(ask("/v1/search", q="x" * 201)) == ["query:q"]
    assert titles(ask("/v1/search", q="x " * 100)) == []


def test_a_price_needs_its_currency(index: SearchIndex) -> None:
    assert errors(ask("/v1/search", price_min=1)) == ["query:currency"]
    assert errors(ask("/v1/search", price_max=1, currency="XXQ")) == ["query:currency"]
    assert titles(ask("/v1/search", price_max=1300, currency="EUR")) == ["Blue mug"]


def test_price_and_stock_are_those_of_one_variant(index: SearchIndex) -> None:
    there, gone = Availability.MANY, Availability.NONE
    put(
        index,
        product("Bowl", variants=(Variant("1", "a", (), 500, None, gone), Variant("2", "b", (), 2500, None, there))),
    )
    assert titles(ask("/v1/search", q="bowl", currency="EUR", price_min=400, price_max=600)) == ["Bowl"]
    assert titles(ask("/v1/search", q="bowl", currency="EUR", price_min=1000, price_max=2000)) == []
    assert titles(ask("/v1/search", q="bowl", currency="EUR", price_max=600, in_stock="true")) == []
    assert titles(ask("/v1/search", q="bowl", currency="EUR", price_min=600, in_stock="true")) == ["Bowl"]


def test_pages_follow_one_another_in_one_store_and_in_all(index: SearchIndex) -> None:
    index.put_store("other", "Other")
    put(index, *(product(f"Bowl {at}", store=("shop", "other")[at % 2]) for at in range(9)))
    for path, count in (("/v1/search", 9), ("/v1/shops/shop/search", 5)):
        seen: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            answer = ask(path, q="bowl", limit=2, sort="price", **cursor)
            seen += titles(answer)
            if answer.json()["next"] is None:
                break
            cursor = {"cursor": answer.json()["next"]}
        assert len(seen) == len(set(seen)) == count


def test_a_cursor_is_of_its_own_question_alone(index: SearchIndex) -> None:
    put(index, *(product(f"Bowl {at}") for at in range(3)))
    cursor = ask("/v1/search", q="bowl", limit=1).json()["next"]
    assert len(titles(ask("/v1/search", q="bowl", limit=1, cursor=cursor))) == 1
    for path, query in (
        ("/v1/search", {"q": "bowl", "sort": "price"}),
        ("/v1/search", {"q": "mug"}),
        ("/v1/search", {"q": "bowl", "in_stock": "true"}),
        ("/v1/shops/shop/search", {"q": "bowl"}),
    ):
        assert ask(path, cursor=cursor, **query).status_code == 400
    for wrong in (cursor[:-2], cursor[1:], "x", "0" * 40, f"{cursor}="):
        assert ask("/v1/search", q="bowl", cursor=wrong).status_code == 400


def test_a_store_that_is_not_there_is_not_found_and_one_that_may_be_is_unavailable(index: SearchIndex) -> None:
    for path in ("/v1/shops/nowhere/search", "/v1/shops/nowhere/search/suggestions"):
        assert ask(path, q="mug").status_code == 404
        index.stores_known = False
        answer = ask(path, q="mug")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        index.stores_known = True


def test_a_store_that_was_deleted_vanishes_from_search(index: SearchIndex) -> None:
    index.put_store("shop", None)
    assert titles(ask("/v1/search", q="mug")) == []
    assert ask("/v1/search", q="mug").json()["facets"]["categories"] == []
    assert ask("/v1/search/suggestions", q="mug").json() == {"suggestions": []}
    assert ask("/v1/shops/shop/search").status_code == 404


def test_while_products_are_read_for_the_first_time_the_answer_says_so(index: SearchIndex) -> None:
    index.complete = False
    answer = ask("/v1/search", q="mug")
    assert (titles(answer), answer.json()["complete"]) == (["Blue mug"], False)


def test_suggestions_are_categories_and_different_titles(index: SearchIndex) -> None:
    put(index, *(product("Mug rack", slug=f"rack-{at}") for at in range(20)), product("Mulled wine"))
    assert ask("/v1/search/suggestions", q="mu").json()["suggestions"][0] == {
        "text": "Mugs", "kind": "category", "slug": "mugs", "store": None,
    }  # fmt: skip
    texts = [each["text"] for each in ask("/v1/shops/shop/search/suggestions", q="mu").json()["suggestions"]]
    assert texts == ["Mugs", "Blue mug", "Mug rack", "Mulled wine"]
