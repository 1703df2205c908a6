"""What search answers is what its documentation says, of any products and any question."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from api.search.index import SearchIndex
from api.search.searcher import Searcher
from marketplace.catalog.categories import Category
from marketplace.catalog.products import Availability, Product, ProductState, Variant
from marketplace.search.answers import Found, Place
from marketplace.search.entries import entry_of
from marketplace.search.queries import Filters, Query, Sort
from tests.kits.products import product
from tests.kits.search_oracle import RANGES, VOCABULARY, Asked, Dump, count, hits, matches

STORES = ("shop", "other", "gone")
CATEGORIES: dict[str, dict[str, tuple[str, str, str | None]]] = {
    "shop": {"1": ("kitchen", "Kitchen gift", None), "2": ("mugs", "Mugs", "1"), "3": ("mugs", "Magic", "2")},
    "other": {"1": ("mugs", "Tassen", None), "9": ("sale", "Sale", None)},
}
texts = st.lists(st.sampled_from(VOCABULARY), max_size=3).map(" ".join)
prices = st.sampled_from([0, 999, 1000, 1500, 2499, 2500, 60000])


@st.composite
def products(draw: st.DrawFn) -> Product:
    offers = draw(st.lists(st.tuples(prices, st.sampled_from(Availability)), min_size=1, max_size=3))
    own = f"{draw(st.integers(0, 3)):08x}{draw(st.integers(0, 2**16)):024x}"
    return product(
        draw(texts.filter(bool)),
        id=own,
        store=draw(st.sampled_from(STORES)),
        description=draw(texts),
        state=draw(st.sampled_from([ProductState.ACTIVE, ProductState.ACTIVE, ProductState.DRAFT])),
        currency=draw(st.sampled_from(["EUR", "JPY"])),
        variants=tuple(
            Variant(f"{own}{at}", draw(st.sampled_from(["sku", "zz gift"])), (), price, None, there)
            for at, (price, there) in enumerate(offers)
        ),
        category=draw(st.sampled_from([None, "1", "2", "3", "9", "nowhere"])),
        stars=tuple(draw(st.lists(st.integers(0, 2), min_size=5, max_size=5))),
        sold=draw(st.sampled_from([0, 0, 1, 2, 3, 4, 1000])),
        created_at=draw(st.integers(1, 3)),
    )


questions = st.builds(
    Asked,
    text=st.tuples(texts, st.sampled_from(["", " "])).map("".join),
    shop=st.sampled_from([None, "shop", "other"]),
    category=st.sampled_from([None, None, "mugs", "kitchen", "none-such"]),
    currency=st.sampled_from(["EUR", "JPY"]),
    price_min=st.none() | prices,
    price_max=st.none() | prices,
    in_stock=st.booleans(),
    rating=st.none() | st.integers(1, 5),
    sort=st.sampled_from([each.value for each in Sort]),
).flatmap(
    lambda asked: st.sampled_from(
        [asked, replace(asked, price_min=None, price_max=None, currency=None), Asked(asked.text, sort=asked.sort)]
    )
)
catalogs = st.lists(products(), max_size=12, unique_by=lambda each: each.id)


def dump_of(several: list[Product]) -> Dump:
    return Dump(several, {"shop", "other"}, CATEGORIES)


def index_of(several: list[Product]) -> SearchIndex:
    index = SearchIndex()
    index.complete = index.stores_known = True
    for store, own in CATEGORIES.items():
        index.put_store(store, store)
        index.put_categories(store, [Category(each, *fields) for each, fields in own.items()])
    for each in several:
        put(index, each)
    return index


def put(index: SearchIndex, each: Product) -> None:
    entry = entry_of(each)
    if entry is None:
        index.remove(each.id)
    else:
        index.put(entry)


def query_of(asked: Asked) -> Query:
    filters = Filters(asked.category, asked.currency, asked.price_min, asked.price_max, asked.in_stock, asked.rating)
    return Query(asked.text, asked.shop, filters, Sort(asked.sort))


def pages(searcher: Searcher, query: Query, size: int) -> Iterator[Found]:
    after: Place | None = None
    for _ in range(100):
        found = searcher.search(query, after, size)
        yield found
        after = found.next
        if after is None:
            return
    raise AssertionError("the pages have no end")


def ids(found: Found) -> list[str]:
    return [hit.card.id for hit in found.hits]


@given(catalogs, questions, st.sampled_from([1, 2, 7, 100]))
def test_the_hits_are_those_of_a_plain_filter_over_all_products_in_their_order(
    several: list[Product], asked: Asked, size: int
) -> None:
    dump, found = dump_of(several), list(pages(Searcher(index_of(several)), query_of(asked), size))
    assert list(itertools.chain.from_iterable(map(ids, found))) == hits(dump, asked)
    assert {each.total for each in found} == {len(hits(dump, asked))}
    assert {each.lenient for each in found} == {matches(dump, asked)[1]}


PRICES = ("price_min", "price_max")


@given(catalogs, questions)
def test_every_facet_counts_the_hits_after_its_value_is_chosen(several: list[Product], asked: Asked) -> None:
    dump, facets = dump_of(several), Searcher(index_of(several)).search(query_of(asked), None, 1).facets
    slugs = {slug: count(dump, asked, category=slug) for slug in ("kitchen", "mugs", "sale")}
    assert {each.slug: each.count for each in facets.categories} == {slug: n for slug, n in slugs.items() if n}
    codes = {code: count(dump, asked, PRICES, currency=code) for code in RANGES}
    assert dict(facets.currencies) == {code: n for code, n in codes.items() if n}
    ranges: dict[Any, int] = {
        (code, low, high): count(dump, asked, currency=code, price_min=low, price_max=high)
        for code in ([asked.currency] if asked.currency else RANGES)
        for low, high in RANGES[code]
    }
    assert {(each.currency, each.price_min, each.price_max): each.count for each in facets.prices} == {
        chosen: n for chosen, n in ranges.items() if n
    }
    assert facets.in_stock == count(dump, asked, in_stock=True)
    assert dict(facets.ratings) == {least: count(dump, asked, rating=least) for least in (1, 2, 3, 4)}


@given(catalogs, st.lists(st.tuples(products(), st.booleans()), max_size=12), questions)
def test_an_index_that_was_changed_answers_like_one_that_was_made_of_what_is_there(
    several: list[Product], changes: list[tuple[Product, bool]], asked: Asked
) -> None:
    index, there = index_of(several), {each.id: each for each in several}
    for each, removed in changes:
        if removed:
            index.remove(each.id)
            there.pop(each.id, None)
        else:
            put(index, each)
            there[each.id] = each
    made = index_of(list(there.values()))
    assert Searcher(index).search(query_of(asked), None, 100) == Searcher(made).search(query_of(asked), None, 100)
    assert len(index.texts) == len(made.texts)


@given(
    catalogs.filter(bool),
    st.lists(st.tuples(st.integers(0, 20), products(), st.booleans()), max_size=8),
    questions,
    st.integers(1, 4),
)
def test_a_walk_sees_a_product_that_stays_as_it_is_exactly_once(
    several: list[Product], changes: list[tuple[int, Product, bool]], asked: Asked, size: int
) -> None:
    # Whether errors are allowed is decided once for a walk: without a text, what stays is a hit or not all the time.
    asked = replace(asked, text="")
    index, touched = index_of(several), {each.id for _, each, _ in changes}
    seen: list[str] = []
    for at, found in enumerate(pages(Searcher(index), query_of(asked), size)):
        seen += ids(found)
        for when, each, removed in changes:
            if when == at and removed:
                index.remove(each.id)
            elif when == at:
                put(index, each)
    stayed = [each for each in hits(dump_of(several), asked) if each not in touched]
    assert [each for each in seen if each not in touched] == stayed


@given(catalogs, st.text(max_size=220), st.sampled_from([None, "shop"]))
def test_any_text_is_looked_for_and_means_nothing_else(several: list[Product], text: str, shop: str | None) -> None:
    searcher = Searcher(index_of(several))
    found = searcher.search(Query(text, shop), None, 100)
    assert found.total == len(found.hits)
    assert len(searcher.suggest(text, shop, 10)) <= 10
