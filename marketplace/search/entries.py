"""A product as search keeps it: its words with their places, what is filtered and sorted by, and its card."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

import msgspec

from marketplace.catalog.products import Availability, Product, ProductState
from marketplace.money import EXPONENTS, checked_minor
from marketplace.search.queries import price_ranges
from marketplace.search.ranking import Place, rating_of, smoothed_rating, standing
from marketplace.search.words import words_of

MAX_DESCRIPTION_WORDS: Final = 200
"""What follows them in a description is not found: descriptions begin with what they are about."""

MAX_SKU_WORDS: Final = 250
"""Of all SKUs of a product: with a hundred variants of twelve words each, one store would fill the memory of search."""

_DESCRIPTION_CHARS: Final = 4_000
_MAX_EXPONENT: Final = 3
_TOO_MUCH: Final = 2**53


class Card(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a list shows of a product; the title of its store comes from elsewhere.

    Attributes:
        id: The product's.
        store: The slug of its store.
        slug: Its own.
        title: For people.
        currency: Of its prices.
        lowest_minor: The price of its cheapest variant.
        highest_minor: The price of its dearest variant.
        compare_at_minor: An earlier, higher price of the cheapest variant.
        image: The address of its first picture.
        image_alt: What that one shows.
        rating: The mean of its stars, to a hundredth.
        reviews: How many there are.
        availability: Of the variant of which there is most.
    """

    id: str
    store: str
    slug: str
    title: str
    currency: str
    lowest_minor: int
    highest_minor: int
    compare_at_minor: int | None
    image: str | None
    image_alt: str
    rating: float | None
    reviews: int
    availability: str


encode_card: Final = msgspec.msgpack.Encoder().encode
decode_card: Final = msgspec.msgpack.Decoder(Card).decode
"""Raises a ``ValueError`` for values that are not of their types."""


@dataclass(frozen=True)
class Entry:
    """An active product in the index.

    Attributes:
        card: What is shown.
        category: The id of one of its store's categories.
        words: The best place of each of its words.
        offers: The prices of its variants, and for each whether there is some of it.
        price_rank: Its lowest price in thousandths of the currency, which compares numbers and not values.
        ranges: A bit for each range of prices that one of its variants is in.
        stocked_ranges: The same of variants of which there is some.
        created_at: Epoch milliseconds.
        standing: What its place is decided by beside the query.
        rating: The mean of its stars, rounded down.
        rating_rank: The rating by which lists are sorted.
    """

    card: Card
    category: str | None
    words: dict[str, int]
    offers: tuple[tuple[int, bool], ...]
    price_rank: int
    ranges: int
    stocked_ranges: int
    created_at: int
    standing: int
    rating: int
    rating_rank: int


def entry_of(product: Product) -> Entry | None:
    """What search keeps of a product; None of one that nobody can see.

    Raises:
        ValueError: A number is none, or there is no variant.
        KeyError: Its currency is none.
        TypeError: A text is none.
        AttributeError: The same.
    """
    if product.state is not ProductState.ACTIVE:
        return None
    numbers = (product.created_at, product.sold, *product.stars)
    if not all(isinstance(each, int) and 0 <= each < _TOO_MUCH for each in numbers):
        raise ValueError("a number is none, or not possible")
    if not isinstance(product.category, str | None):
        raise TypeError("the category is no text")
    offers = tuple(
        sorted({(checked_minor(v.price_minor), v.availability is not Availability.NONE) for v in product.variants})
    )
    cheapest = min(product.variants, key=lambda variant: variant.price_minor)
    image = product.images[0] if product.images else None
    card = Card(
        product.id,
        product.store,
        product.slug,
        product.title,
        product.currency,
        cheapest.price_minor,
        max(variant.price_minor for variant in product.variants),
        cheapest.compare_at_minor,
        image.url if image else None,
        image.alt if image else "",
        product.rating,
        product.reviews,
        product.availability.value,
    )
    return Entry(
        decode_card(encode_card(card)),
        product.category,
        _words(product),
        offers,
        cheapest.price_minor * 10 ** (_MAX_EXPONENT - EXPONENTS[product.currency]),
        _ranges(product.currency, (price for price, _ in offers)),
        _ranges(product.currency, (price for price, stocked in offers if stocked)),
        product.created_at,
        standing(product.sold, product.stars),
        rating_of(product.stars),
        smoothed_rating(product.stars),
    )


def _words(product: Product) -> dict[str, int]:
    described = words_of(product.description[:_DESCRIPTION_CHARS])
    found: dict[str, int] = dict.fromkeys(islice(dict.fromkeys(described), MAX_DESCRIPTION_WORDS), Place.DESCRIPTION)
    of_skus = dict.fromkeys(word for variant in product.variants for word in words_of(variant.sku))
    found |= dict.fromkeys(islice(of_skus, MAX_SKU_WORDS), Place.NAME)
    return found | dict.fromkeys(words_of(product.title), Place.TITLE)


def _ranges(currency: str, prices: Iterable[int]) -> int:
    bits, ranges = 0, price_ranges(currency)
    for price in prices:
        for at, (low, high) in enumerate(ranges):
            if low <= price and (high is None or price <= high):
                bits |= 1 << at
    return bits
