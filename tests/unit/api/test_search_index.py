"""The index over time: it grows, its places are used again, and it answers like one that was just made."""

from __future__ import annotations

import random
from dataclasses import replace

from api.search.index import SearchIndex
from api.search.searcher import Searcher
from marketplace.catalog.categories import Category
from marketplace.catalog.products import Product, Variant
from marketplace.search.entries import Entry, entry_of
from marketplace.search.queries import Filters, Query, Sort
from tests.kits.products import product

WORDS = ("mug", "bowl", "plate", "lantern", "teapot", "kettle")


def entry(each: Product) -> Entry:
    made = entry_of(each)
    assert made is not None
    return made


def some_product(chance: random.Random, at: int) -> Product:
    title = f"{' '.join(chance.choices(WORDS, k=2))} no{chance.randrange(4_000)}"
    return product(title, id=f"{at * 7919:032x}", price_minor=chance.randrange(0, 90_000, 10), sold=chance.randrange(9))


def test_after_thousands_of_changes_it_answers_as_if_they_had_not_been_and_is_no_larger() -> None:
    chance, there = random.Random(15), dict[str, Product]()
    index = SearchIndex()
    index.put_store("shop", "Shop")
    for at in range(6_000):
        own = some_product(chance, chance.randrange(800))
        if own.id in there and chance.random() < 0.3:
            index.remove(own.id)
            del there[own.id]
        else:
            there[own.id] = own
            index.put(entry(own))
        if at % 3_000 == 0:
            assert len(index) == len(there)
    assert index.products.length <= 800
    assert index.offers.length <= 2 * (800 + 1_024)
    made = SearchIndex()
    made.put_store("shop", "Shop")
    for own in there.values():
        made.put(entry(own))
    assert len(index.texts) == len(made.texts)
    for query in (
        Query(),
        Query("mug la"),
        Query("lantern no12", sort=Sort.PRICE_UP),
        Query("lanttern "),
        Query("bowl", filters=Filters(currency="EUR", price_min=1_000, price_max=2_499)),
    ):
        found = Searcher(index).search(query, None, 100)
        assert found == Searcher(made).search(query, None, 100)
        assert found.total > 0
    in_range = [each for each in there.values() if 1_000 <= each.lowest_minor <= 2_499 and "bowl" in each.title]
    cheap = Filters(currency="EUR", price_min=1_000, price_max=2_499)
    assert Searcher(index).search(Query("bowl", filters=cheap), None, 1).total == len(in_range)


def test_a_sale_and_a_star_change_the_place_of_a_product_and_none_of_its_words() -> None:
    index, mug, bowl = SearchIndex(), product("Blue mug", id="2" * 32), product("Blue bowl", id="1" * 32)
    index.put_store("shop", "Shop")
    for each in (mug, bowl):
        index.put(entry(each))
    words = len(index.texts)

    def order() -> list[str]:
        return [hit.card.title for hit in Searcher(index).search(Query("blue"), None, 9).hits]

    assert order() == ["Blue bowl", "Blue mug"]
    index.put(entry(replace(mug, stars=(0, 0, 0, 0, 1))))
    assert order() == ["Blue mug", "Blue bowl"]
    index.put(entry(replace(bowl, sold=1)))
    assert order() == ["Blue bowl", "Blue mug"]
    assert len(index.texts) == words


def test_a_product_that_is_removed_twice_or_was_never_there_is_not_there() -> None:
    index, mug = SearchIndex(), product("Blue mug")
    index.put_store("shop", "Shop")
    index.put(entry(mug))
    for _ in range(2):
        index.remove(mug.id)
        index.remove("0" * 32)
        assert (len(index), len(index.texts)) == (0, 0)
    assert Searcher(index).search(Query(), None, 9).total == 0


def test_products_of_a_store_that_nobody_knows_are_not_found() -> None:
    index = SearchIndex()
    index.put(entry(product("Blue mug")))
    assert Searcher(index).search(Query("mug"), None, 9).total == 0
    index.put_store("shop", "Shop")
    assert Searcher(index).search(Query("mug"), None, 9).total == 1


def test_more_than_a_thousand_categories_are_counted_and_a_hundred_listed() -> None:
    index = SearchIndex()
    index.put_store("shop", "Shop")
    index.put_categories("shop", [Category(str(at), f"c{at}", f"Category {at}") for at in range(1_200)])
    for at in range(1_200):
        index.put(entry(product("Mug", category=str(at))))
    index.put(entry(product("Mug", category="1100")))
    facets = Searcher(index).search(Query(), None, 1).facets
    assert len(facets.categories) == 100
    assert (facets.categories[0].slug, facets.categories[0].count) == ("c1100", 2)
    assert Searcher(index).search(Query(filters=Filters(category="c1100")), None, 1).total == 2


def test_a_category_that_is_above_itself_is_no_circle() -> None:
    index = SearchIndex()
    index.put_store("shop", "Shop")
    index.put_categories("shop", [Category("1", "a", "A", "2"), Category("2", "b", "B", "1")])
    index.put(entry(product("Mug", category="1")))
    facets = Searcher(index).search(Query(), None, 1).facets
    assert {each.slug: each.count for each in facets.categories} == {"a": 1, "b": 1}


def test_thousands_of_skus_that_begin_like_a_word_do_not_hide_it() -> None:
    index = SearchIndex()
    index.put_store("shop", "Shop")
    for at in range(1_500):
        index.put(entry(product("Mug", variants=(Variant(str(at), f"SKU-{at}", (), 1),))))
    index.put(entry(product("Skull candle")))
    titles = [hit.card.title for hit in Searcher(index).search(Query("sku", sort=Sort.RELEVANCE), None, 1).hits]
    assert titles == ["Skull candle"]
    assert Searcher(index).search(Query("sku-77 "), None, 9).total == 1


def test_a_product_with_thousands_of_words_in_its_skus_takes_the_place_of_some_hundreds() -> None:
    skus = (" ".join(f"w{at}x{word}" for word in range(8)) for at in range(100))
    variants = tuple(Variant(f"{at:032x}", sku, (), 100) for at, sku in enumerate(skus))
    words = entry(product("Blue mug", variants=variants)).words
    assert {"blue", "mug", "w0x0", "w30x7"} <= words.keys()
    assert len(words) <= 300


def test_categories_that_come_and_go_leave_nothing_and_their_places_are_used_again() -> None:
    index = SearchIndex()
    for store in ("shop", "other"):
        index.put_store(store, store)
    index.put_categories("shop", [Category("kept", "kept", "Kept")])
    index.put(entry(product("Blue mug", category="kept")))
    for at in range(3_000):
        index.put_categories("shop", [Category("kept", "kept", "Kept"), Category(f"c{at}", "brief", "Brief")])
    index.put_categories("shop", [])
    # A product is in one that is gone: its place is nobody else's.
    index.put_categories("other", [Category(f"o{at}", "new", f"New {at}") for at in range(3)])
    index.put(entry(product("Red bowl", store="other", category="o0")))
    assert len(index.nodes) <= 5
    assert index.nodes_of_slug.keys() == {"new"}
    searcher = Searcher(index)
    in_new = searcher.search(Query("", None, Filters(category="new")), None, 10)
    assert [hit.card.title for hit in in_new.hits] == ["Red bowl"]
    assert [each.slug for each in in_new.facets.categories] == ["new"]
    assert searcher.search(Query("", None, Filters(category="kept")), None, 10).total == 0
    index.put_categories("shop", [Category("kept", "kept", "Kept")])
    assert searcher.search(Query("", None, Filters(category="kept")), None, 10).total == 1


def test_a_compound_is_found_by_what_it_ends_in_in_any_form_and_after_what_is_named_so() -> None:
    index = SearchIndex()
    index.complete = index.stores_known = True
    index.put_store("shop", "Shop")
    titles = (
        "Trinkflasche", "Glasflaschen", "Flasche", "Flaschenhalter", "Kochbücher", "skateboard", "adjustable lamp",
        "featuring",
    )  # fmt: skip
    for at, title in enumerate(titles):
        index.put(entry(product(title, id=f"{at:032x}", sold=100 * at)))

    def found(text: str) -> list[str]:
        return [hit.card.title for hit in Searcher(index).search(Query(f"{text} "), None, 20).hits]

    assert found("flasche") == ["Flasche", "Glasflaschen", "Trinkflasche"]
    assert found("Flaschen") == ["Flasche", "Glasflaschen", "Trinkflasche"]
    assert found("buch") == ["Kochbücher"]
    assert found("board") == ["skateboard"]
    assert found("table") == found("ring") == found("inkflasche") == [], "no compounds, and too little in front"
    index.remove(f"{0:032x}")
    assert found("flasche") == ["Flasche", "Glasflaschen"]
