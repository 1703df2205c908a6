"""Search over a dump of products, as its documentation describes it: slow, plain, and without a line of the product's.

Its words are ASCII of a small vocabulary, so that the forms and synonyms of each can be listed here by hand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from marketplace.catalog.products import Product

FORMS = [{"mug", "mugs"}, {"tasse", "tassen"}, {"kaffee", "kaffees"}, {"red"}, {"teetasse", "teetassen"}]
COMPOUNDS = {"teetasse": {"tasse", "tassen"}, "teetassen": {"tasse", "tassen"}}
SYNONYMS = [[{"mug", "mugs"}, {"tasse", "tassen"}], [{"kaffee", "kaffees"}, {"coffee"}, {"cafe"}]]
VOCABULARY = (
    "mug", "mugs", "tasse", "tassen", "kaffee", "kaffees", "coffee", "cafe", "kafee", "coffer", "mu", "gift", "zz",
    "magic", "magical", "tassel", "teetasse", "teetassen",
)  # fmt: skip
RANGES = {
    "EUR": [(0, 999), (1000, 2499), (2500, 4999), (5000, 9999), (10000, 24999), (25000, 49999), (50000, None)],
    "JPY": [(0, 999), (1000, 2499), (2500, 4999), (5000, 9999), (10000, 24999), (25000, 49999), (50000, None)],
}


@dataclass
class Asked:
    """A question, in the words of the API."""

    text: str = ""
    shop: str | None = None
    category: str | None = None
    currency: str | None = None
    price_min: int | None = None
    price_max: int | None = None
    in_stock: bool = False
    rating: int | None = None
    sort: str = "relevance"


@dataclass
class Dump:
    """Everything: products, the titles of stores that can be seen, and categories by store and id."""

    products: list[Product]
    stores: set[str]
    categories: Mapping[str, Mapping[str, tuple[str, str, str | None]]]

    def path(self, product: Product) -> list[tuple[str, str, str | None]]:
        found, own = [], self.categories.get(product.store, {})
        at = product.category
        while at is not None and at in own:
            found.append(own[at])
            at = own[at][2]
        return found


def one_error(one: str, other: str) -> bool:
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    if len(one) == len(other):
        differ = [at for at in range(len(one)) if one[at] != other[at]]
        swapped = len(differ) == 2 and differ[1] == differ[0] + 1 and one[differ[0]] == other[differ[1]]
        return len(differ) == 1 or (swapped and one[differ[1]] == other[differ[0]])
    longer, shorter = sorted((one, other), key=len, reverse=True)
    return any(longer[:at] + longer[at + 1 :] == shorter for at in range(len(longer)))


def fit(word: str, there: str, beginning: bool, lenient: bool) -> int | None:
    """How a word fits one that is asked for: 0 is best."""
    if word == there:
        return 0
    if any({word, there} <= forms for forms in FORMS):
        return 1
    for group in SYNONYMS:
        mine = [forms for forms in group if word in forms]
        if mine and any(there in forms for forms in group if forms is not mine[0]):
            return 2
    if beginning and len(word) >= 2 and there.startswith(word):
        return 3
    if word in COMPOUNDS.get(there, ()):
        return 3
    if lenient and len(word) >= 5 and one_error(word, there):
        return 4
    return None


def points(dump: Dump, product: Product, asked: str, lenient: bool) -> int | None:
    """The points of a product for a text; None where it does not match."""
    words = list(dict.fromkeys(reversed(asked.lower().split())))
    places = {
        3: product.title.lower().split(),
        2: [w for v in product.variants for w in v.sku.lower().split()]
        + [w for _, name, _ in dump.path(product) for w in name.lower().split()],
        1: product.description.lower().split(),
    }
    total = 0
    for at, word in enumerate(words):
        beginning = at == 0 and not asked.endswith(" ")
        best = 0
        for place, there in places.items():
            for each in there:
                how = fit(word, each, beginning, lenient)
                if how is not None:
                    best = max(best, 5 * (place - 1) + 5 - how)
        if not best:
            return None
        total += best
    return total


def matches(dump: Dump, asked: Asked) -> tuple[dict[str, int], bool]:
    """The points of all products that match the text, by id, and whether errors were allowed."""
    seen = [p for p in dump.products if p.state.value == "active" and p.store in dump.stores]
    seen = [p for p in seen if asked.shop is None or p.store == asked.shop]
    if not asked.text.strip():
        return {p.id: 0 for p in seen}, False
    for lenient in (False, True):
        found = {p.id: points(dump, p, asked.text, lenient) for p in seen}
        good = {product_id: each for product_id, each in found.items() if each is not None}
        if good:
            return good, lenient
    return {}, True


def mean(product: Product) -> float:
    return sum((at + 1) * count for at, count in enumerate(product.stars)) / max(1, sum(product.stars))


def meets(dump: Dump, product: Product, asked: Asked, without: Iterable[str] = ()) -> bool:
    """Whether a product meets the filters, but for those that are left out."""
    given = {name: value for name, value in vars(asked).items() if name not in without}
    if given.get("category") and given["category"] not in [slug for slug, _, _ in dump.path(product)]:
        return False
    if given.get("currency") and product.currency != given["currency"]:
        return False
    if given.get("rating") and not (sum(product.stars) and mean(product) >= given["rating"]):
        return False
    low, high = given.get("price_min"), given.get("price_max")
    return any(
        (low is None or variant.price_minor >= low)
        and (high is None or variant.price_minor <= high)
        and (not given.get("in_stock") or variant.availability.value != "none")
        for variant in product.variants
    )


def key(product: Product, sort: str, its_points: int) -> tuple[Any, ...]:
    """By which products are in order."""
    liked = (100 * sum((at + 1) * n for at, n in enumerate(product.stars)) + 1750) // (sum(product.stars) + 5)
    sold = 0 if product.sold == 0 else int(math.log2(product.sold)) + 1
    price = min(variant.price_minor for variant in product.variants) * (10 if product.currency == "EUR" else 1000)
    ordered: dict[str, tuple[Any, ...]] = {
        "relevance": (-its_points, -sold, -liked),
        "newest": (-product.created_at,),
        "price": (price,),
        "-price": (-price,),
        "rating": (-liked,),
    }
    return (*ordered[sort], product.id)


def hits(dump: Dump, asked: Asked) -> list[str]:
    """The ids of all hits, in order."""
    good, _ = matches(dump, asked)
    found = [p for p in dump.products if p.id in good and meets(dump, p, asked)]
    return [p.id for p in sorted(found, key=lambda p: key(p, asked.sort, good[p.id]))]


def count(dump: Dump, asked: Asked, without: Sequence[str] = (), **chosen: Any) -> int:
    """How many hits there are with some filters left out and others chosen."""
    good, _ = matches(dump, asked)
    changed = Asked(**{**vars(asked), **dict.fromkeys(without, None), **chosen})
    return sum(meets(dump, p, changed) for p in dump.products if p.id in good)
