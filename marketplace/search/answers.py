"""What a search answers, whatever answers it: an index in memory here, and a search server behind the same calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from marketplace.search.entries import Card
from marketplace.search.queries import Query


class NoSuchShop(LookupError):
    """There is no store of that slug, or it was deleted."""


@dataclass(frozen=True)
class Place:
    """Where a page ends: the next one begins after it, whatever was added or deleted meanwhile.

    Attributes:
        key: The sort key of the last product.
        id: Its id.
        lenient: Whether the words of this list may have typing errors.
    """

    key: int
    id: str
    lenient: bool


@dataclass(frozen=True)
class Hit:
    """A product that was found.

    Attributes:
        card: What is shown.
        store_title: Of its store.
    """

    card: Card
    store_title: str


@dataclass(frozen=True)
class CategoryCount:
    """Hits in a category or below it.

    Attributes:
        slug: Its own.
        name: For people; where stores call it differently, as most hits do.
        parent: The slug of the one above it; None for none.
        count: Of products.
    """

    slug: str
    name: str
    parent: str | None
    count: int


@dataclass(frozen=True)
class PriceCount:
    """Hits in a range of prices.

    Attributes:
        currency: Of the prices.
        price_min: In minor units.
        price_max: Counts, too; None for no end.
        count: Of products with a variant in it.
    """

    currency: str
    price_min: int
    price_max: int | None
    count: int


@dataclass(frozen=True)
class Facets:
    """How many products there would be with another choice of one filter, all other filters being as they are.

    Attributes:
        categories: Those with most hits first.
        currencies: The currency, and the hits without a condition on the price.
        prices: By currency and price.
        in_stock: With a variant of which there is some.
        ratings: The lowest mean of stars, and the hits.
    """

    categories: tuple[CategoryCount, ...]
    currencies: tuple[tuple[str, int], ...]
    prices: tuple[PriceCount, ...]
    in_stock: int
    ratings: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Found:
    """A page of hits.

    Attributes:
        hits: In the order of the query.
        total: How many there are on all pages.
        facets: Of the whole list.
        next: Where the next page begins; None where there is none.
        lenient: Whether words may have typing errors, because nothing was found without.
        complete: Whether all products were looked at; not while they are read for the first time.
    """

    hits: tuple[Hit, ...]
    total: int
    facets: Facets
    next: Place | None
    lenient: bool
    complete: bool


@dataclass(frozen=True)
class Suggestion:
    """Something that somebody who types may mean.

    Attributes:
        text: For people.
        kind: ``category`` or ``product``.
        slug: Of the category, or of the product.
        store: The slug of the product's store; None for a category.
    """

    text: str
    kind: str
    slug: str
    store: str | None


class Search(Protocol):
    """Answers queries."""

    def search(self, query: Query, after: Place | None, limit: int) -> Found:
        """A page of products.

        Raises:
            NoSuchShop: There is none of the slug that is asked for.
        """

    def suggest(self, text: str, shop: str | None, limit: int) -> list[Suggestion]:
        """What a text may go on to, the best first.

        Raises:
            NoSuchShop: There is none of the slug that is asked for.
        """
