"""What somebody looks for. All of it is plain text: there are no operators, and no character means anything."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from marketplace.money import EXPONENTS
from marketplace.search.words import ends_in_a_word, words_of_query

MAX_CHARS: Final = 200
MAX_WORDS: Final = 10
"""Further ones are not looked at: what follows ten words does not change what is meant."""

MIN_BEGINNING_CHARS: Final = 2
"""Of a last word that may go on: a single letter is the beginning of everything."""

_BOUNDS: Final = (10, 25, 50, 100, 250, 500)
_WITHOUT_DECIMALS: Final = 100


class Sort(StrEnum):
    """In which order products are listed; products that are equal in it, by id."""

    RELEVANCE = "relevance"
    NEWEST = "newest"
    PRICE_UP = "price"
    PRICE_DOWN = "-price"
    RATING = "rating"


@dataclass(frozen=True)
class Filters:
    """What a product has to be; conditions on price and stock have to be met by one and the same variant.

    Attributes:
        category: The slug of a category; those below it count, too.
        currency: Of its prices.
        price_min: In minor units of the currency.
        price_max: The highest price, which counts, too.
        in_stock: Whether there has to be some of it.
        rating: The mean of its stars, at least.
    """

    category: str | None = None
    currency: str | None = None
    price_min: int | None = None
    price_max: int | None = None
    in_stock: bool = False
    rating: int | None = None


@dataclass(frozen=True)
class Query:
    """A question.

    Attributes:
        text: As it was typed; an empty one finds everything, and one without a letter or digit nothing.
        shop: A store's slug; None for all stores.
        filters: What a product has to be.
        sort: The order.
    """

    text: str = ""
    shop: str | None = None
    filters: Filters = Filters()
    sort: Sort = Sort.RELEVANCE


@dataclass(frozen=True)
class Words:
    """A text that is looked for.

    Attributes:
        words: Each of which has to match.
        open: Whether the last one may be the beginning of a word.
    """

    words: tuple[str, ...]
    open: bool


def words_in(text: str) -> Words | None:
    """The words of a query's text, each once; None for a text that asks for nothing in particular."""
    if not text.strip():
        return None
    every = words_of_query(text[:MAX_CHARS])[:MAX_WORDS]
    may_go_on = bool(every) and ends_in_a_word(text) and len(every[-1]) >= MIN_BEGINNING_CHARS
    # The last of equal words stays, because it may go on.
    return Words(tuple(reversed(dict.fromkeys(reversed(every)))), may_go_on)


def price_ranges(currency: str) -> tuple[tuple[int, int | None], ...]:
    """The ranges of prices that are counted, in minor units: from, and up to and with; None for no end."""
    exponent = EXPONENTS[currency]
    unit = 10**exponent * (1 if exponent else _WITHOUT_DECIMALS)
    bounds = [0, *(bound * unit for bound in _BOUNDS)]
    return tuple((low, high) for low, high in zip(bounds, [*(b - 1 for b in bounds[1:]), None], strict=True))
