"""Addresses of lists: what a link asks is what its address says, and a choice is given up by its own link."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.search.pages import place_after
from api.storefront.listings import listing_of, query_asked
from api.storefront.views import Link, Listing
from marketplace.catalog.slugs import is_slug
from marketplace.search.answers import CategoryCount, Facets, Found, Place, PriceCount
from marketplace.search.queries import Sort, price_ranges

CATEGORIES = (CategoryCount("tea", "Tea", None, 3), CategoryCount("green-tea", "Green tea", "tea", 1))
CURRENCIES = ("EUR", "JPY", "KWD")

RANGES = [(code, *bounds) for code in CURRENCIES for bounds in price_ranges(code)]
ADDRESSES = st.fixed_dictionaries(
    {},
    optional={
        "q": st.text(min_size=1, max_size=20),
        "category": st.sampled_from([each.slug for each in CATEGORIES]),
        "price": st.sampled_from(
            [f"{code}-{low}-{'' if high is None else high}" for code, low, high in RANGES] + list(CURRENCIES)
        ),
        "stock": st.just("1"),
        "rating": st.sampled_from("2345"),
        "sort": st.sampled_from([sort.value for sort in Sort if sort is not Sort.RELEVANCE]),
        "utm_source": st.text(),
    },
)


def found_with(after: Place | None = None) -> Found:
    prices = tuple(PriceCount(code, low, high, 1) for code, low, high in RANGES)
    facets = Facets(CATEGORIES, tuple((code, 2) for code in CURRENCIES), prices, 2, ((4, 1), (3, 2)))
    return Found((), 3, facets, after, lenient=False, complete=True)


def shown(query: dict[str, str], after: Place | None = None) -> Listing:
    return listing_of(found_with(after), query_asked(query, None), query, "/shop/search")


def parameters(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def links_of(listing: Listing) -> list[Link]:
    return [*(link for facet in listing.facets for link in facet.links), *listing.sorts]


@given(ADDRESSES)
def test_every_link_of_a_list_can_be_read(query: dict[str, str]) -> None:
    for link in links_of(shown(query)):
        asked = query_asked(parameters(link.url), None)
        assert asked.text == query.get("q", "")


@pytest.mark.parametrize("slug", ["tea", "a", "green--tea", "a" * 63])
def test_every_slug_that_a_category_can_have_can_be_asked_for(slug: str) -> None:
    assert is_slug(slug)
    assert query_asked({"category": slug}, None).filters.category == slug


@given(ADDRESSES)
def test_a_choice_is_given_up_by_its_own_link(query: dict[str, str]) -> None:
    own = {name: value for name, value in query.items() if name != "utm_source"}
    for facet in shown(query).facets:
        for link in facet.links:
            again = next(
                (each for other in shown(parameters(link.url)).facets for each in other.links
                 if (other.title, each.title) == (facet.title, link.title)),
                None,
            )  # fmt: skip
            assert again is not None or link.chosen
            if again is not None:
                assert again.chosen is not link.chosen
        chosen = [link for link in facet.links if link.chosen]
        assert len(chosen) <= 2
        assert all(len(parameters(link.url)) < len(own) or facet.title == "Price" for link in chosen)


@given(ADDRESSES, st.integers(-(10**17), 10**17), st.text("0123456789abcdef", min_size=32, max_size=32), st.booleans())
def test_the_next_page_begins_where_this_one_ends(query: dict[str, str], key: int, product: str, lenient: bool) -> None:
    place = Place(key, product, lenient)
    following = parameters(shown(query, place).next_url)
    assert place_after(query_asked(following, None), following["after"]) == place
