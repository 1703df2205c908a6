"""Which product comes first: a formula of whole numbers, the same wherever a product is compared.

A product matches a query when each of the words does. For each word it gets the points of its best match: by the place
where the word stands, and by how well it fits. A match in the title is worth more than any other one, and one in the
SKU or the category more than any in the description; in one place the word itself is worth more than another form of
it, than a synonym, than a word that begins or ends so, and than a word that is one typing error from it.

This order, and the idea of adding up over words, is that of a BM25 with weighted fields without its two statistics: how
rare a word is changes nothing where all words have to match, and titles are too short for their length to mean much.

Of equally good matches, those that sell more come first, by powers of two, so that one sale more moves nothing; then
those that buyers rate higher, where few reviews count little; then the id decides, so that the order is total.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final

from marketplace.catalog.products import STARS


class Place(IntEnum):
    """Where a word stands, the best place last."""

    DESCRIPTION = 1
    NAME = 2
    """The SKU of a variant, or the category and those above it."""
    TITLE = 3


class Fit(IntEnum):
    """How a word of a product fits one of the query, the best fit first."""

    SAME = 0
    FORM = 1
    SYNONYM = 2
    PART = 3
    """It begins so, or it is a compound that ends so."""
    TYPO = 4


POINTS: Final[Sequence[Sequence[int]]] = tuple((0, *(5 * (place - 1) + 5 - fit for place in Place)) for fit in Fit)
"""By fit and place: 15 for the word itself in the title, 1 for a typing error in the description."""

_PRIOR_REVIEWS: Final = 5
_PRIOR_STARS_TENTHS: Final = 35
_RATINGS: Final = 512
_SOLD: Final = 64


def smoothed_rating(stars: Sequence[int]) -> int:
    """A rating in hundredths as if five more reviews had given 3.5 stars: one review alone moves it little.

    Args:
        stars: How many reviews gave 1, 2, 3, 4 and 5 stars.
    """
    total = sum(value * count for value, count in zip(STARS, stars, strict=True))
    return (100 * total + 10 * _PRIOR_REVIEWS * _PRIOR_STARS_TENTHS) // (sum(stars) + _PRIOR_REVIEWS)


def standing(sold: int, stars: Sequence[int]) -> int:
    """What a product's place is decided by beside the query: by what was sold, and then by rating."""
    return min(max(sold, 0).bit_length(), _SOLD - 1) * _RATINGS + smoothed_rating(stars)


MAX_STANDING: Final = _SOLD * _RATINGS
"""Points of a query are multiplied by it, so that the sum orders by points first."""


def rating_of(stars: Sequence[int]) -> int:
    """The mean of stars, rounded down; 0 without reviews."""
    count = sum(stars)
    return sum(value * each for value, each in zip(STARS, stars, strict=True)) // count if count else 0
