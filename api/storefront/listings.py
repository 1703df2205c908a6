"""Lists of products as pages: what an address asks of search, and what of the answer is a link."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from api.search.pages import cursor_of
from api.storefront.addresses import with_query
from api.storefront.shop import Refused
from api.storefront.views import Card, FacetView, Link, Listing, ShopName
from marketplace.catalog.slugs import is_slug
from marketplace.money import EXPONENTS, MAX_MINOR, shown_amount
from marketplace.search.answers import CategoryCount, Facets, Found, Hit
from marketplace.search.queries import Filters, Query, Sort

_MAX_CATEGORIES: Final = 14
_MAX_CURRENCIES: Final = 8
_PRICE: Final = re.compile(r"([A-Z]{3})(?:-([0-9]{1,12})-([0-9]{0,12}))?", re.ASCII)
_SORTS: Final[Mapping[Sort, str]] = {
    Sort.RELEVANCE: "Best match",
    Sort.NEWEST: "Newest",
    Sort.PRICE_UP: "Price, low first",
    Sort.PRICE_DOWN: "Price, high first",
    Sort.RATING: "Best rated",
}
_KEPT: Final = ("q", "shop", "category", "price", "stock", "rating", "sort")
"""Parameters of a list, in the order of its addresses."""

Address = Callable[[Mapping[str, str]], str]
"""The address of a list with parameters."""


def query_asked(query: Mapping[str, str], shop: str | None, category: str | None = None) -> Query:
    """What an address asks of search.

    Args:
        query: Its parameters.
        shop: The slug of the one store that is searched; None for all.
        category: The slug of the category whose page it is; None for another page.

    Raises:
        Refused: A parameter cannot be read.
    """
    asked = category or query.get("category") or None
    if asked is not None and not is_slug(asked):
        raise Refused("there is no such category", "category")
    currency, low, high = _price(query.get("price", ""))
    rating = query.get("rating", "")
    if rating not in ("", "1", "2", "3", "4", "5"):
        raise Refused("give 1 to 5", "rating")
    try:
        sort = Sort(query.get("sort") or Sort.RELEVANCE)
    except ValueError as error:
        raise Refused("there is no such order", "sort") from error
    filters = Filters(asked, currency, low, high, query.get("stock") == "1", int(rating) if rating else None)
    return Query(query.get("q", ""), shop, filters, sort)


def listing_of(
    found: Found, asked: Query, query: Mapping[str, str], path: str, *, with_categories: bool = True
) -> Listing:
    """A page of results.

    Args:
        found: What search has found.
        asked: What it was asked.
        query: The parameters of the address.
        path: Of the address.
        with_categories: Whether the list can be narrowed by category.
    """
    own = {name: query[name] for name in _KEPT if query.get(name)}

    def address(change: Mapping[str, str]) -> str:
        return with_query(path, **{name: {**own, **change}.get(name, "") for name in _KEPT})

    after = cursor_of(asked, found.next) if found.next else ""
    return Listing(
        cards=[card_of(hit) for hit in found.hits],
        total=found.total,
        facets=facets_of(found.facets, asked.filters, address, with_categories=with_categories),
        sorts=[
            Link(title, address({"sort": "" if sort is Sort.RELEVANCE else sort.value}), None, sort is asked.sort)
            for sort, title in _SORTS.items()
        ],
        next_url=with_query(path, **own, after=after) if after else "",
        first_url=address({}) if query.get("after") else "",
        at_least=not found.complete,
    )


def facets_of(facets: Facets, chosen: Filters, address: Address, *, with_categories: bool) -> list[FacetView]:
    """What a list can be narrowed by; a value that is chosen is given up by its link."""

    def link(title: str, name: str, value: str, count: int | None, is_chosen: bool) -> Link:
        return Link(title, address({name: "" if is_chosen else value}), count, is_chosen)

    found = []
    if with_categories:
        categories = _chosen_first(facets.categories, chosen.category)
        found.append(
            FacetView(
                "Category",
                [
                    link(each.name, "category", each.slug, each.count, each.slug == chosen.category)
                    for each in categories
                ],
            )
        )
    found.append(FacetView("Price", _prices(facets, chosen, link)))
    if facets.in_stock or chosen.in_stock:
        found.append(FacetView("Availability", [link("In stock", "stock", "1", facets.in_stock, chosen.in_stock)]))
    ratings = [(least, count) for least, count in facets.ratings if least > 1 and (count or least == chosen.rating)]
    found.append(
        FacetView(
            "Rating",
            [
                link(f"{least} stars and more" if least < 5 else "5 stars", "rating", str(least), count,
                     least == chosen.rating)
                for least, count in ratings
            ],
        )
    )  # fmt: skip
    return [each for each in found if each.links]


def card_of(hit: Hit) -> Card:
    """A hit as lists show it."""
    card = hit.card
    return Card(
        card.id, ShopName(card.store, hit.store_title), card.slug, card.title, card.currency, card.lowest_minor,
        card.highest_minor, card.compare_at_minor, card.image or "", card.image_alt, card.rating, card.reviews,
        card.availability,
    )  # fmt: skip


def _prices(facets: Facets, chosen: Filters, link: Callable[[str, str, str, int | None, bool], Link]) -> list[Link]:
    # Ranges are those of one currency: with several of them a buyer chooses one first.
    currencies = [(code, count) for code, count in facets.currencies if count or code == chosen.currency]
    if chosen.currency is None and len(currencies) > 1:
        return [link(f"In {code}", "price", code, count, False) for code, count in currencies[:_MAX_CURRENCIES]]
    only = chosen.currency or (currencies[0][0] if currencies else "")
    found = []
    if chosen.currency is not None and len(currencies) > 1:
        found.append(link(f"In {only}", "price", only, None, True))
    for each in facets.prices:
        is_chosen = (each.currency, each.price_min, each.price_max) == (only, chosen.price_min, chosen.price_max)
        if each.currency == only and (each.count or is_chosen):
            value = f"{each.currency}-{each.price_min}-{'' if each.price_max is None else each.price_max}"
            title = _range_title(each.currency, each.price_min, each.price_max)
            found.append(link(title, "price", value, each.count, is_chosen))
    return found


def _range_title(currency: str, low: int, high: int | None) -> str:
    if high is None:
        return f"{shown_amount(low, currency)} and more"
    # Ranges end one minor unit before the next one begins.
    return f"below {shown_amount(high + 1, currency)}" if low == 0 else (
        f"{shown_amount(low, currency)} to {shown_amount(high + 1, currency)}"
    )  # fmt: skip


def _chosen_first(categories: tuple[CategoryCount, ...], chosen: str | None) -> list[CategoryCount]:
    return sorted(categories, key=lambda each: each.slug != chosen)[:_MAX_CATEGORIES]


def _price(text: str) -> tuple[str | None, int | None, int | None]:
    if not text:
        return None, None, None
    found = _PRICE.fullmatch(text)
    if found is None or found[1] not in EXPONENTS:
        raise Refused("this is no range of prices", "price")
    low, high = (int(each) if each else None for each in found.group(2, 3))
    if max(low or 0, high or 0) > MAX_MINOR:
        raise Refused("this is no range of prices", "price")
    return found[1], low, high
