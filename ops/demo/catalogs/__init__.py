"""What the demo's shops sell, one text file a shop.

A file begins with the currency and an option that many lines share. ``[Coffee > Decaf] bag`` begins a category, whose
pictures show a bag, or what the shop's do where nothing is said. Each line after it is a product: title, price, what
its variants differ in, and a sentence or two. ``Size: S, M, L *1.5`` are variants, of which the last one costs half as
much again; ``-`` is none. ``(cup)`` before a title is what its own picture shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from typing import Final

from marketplace.catalog.slugs import slug_of_title
from marketplace.money import EXPONENTS

_MOTIF: Final = re.compile(r"(?:\(([a-z]+)\) )?(.*)")
_WHOLE: Final = Decimal(1)


@dataclass(frozen=True)
class CatalogVariant:
    """A variant: what is chosen, and its price in minor units."""

    value: str
    price_minor: int


@dataclass(frozen=True)
class CatalogProduct:
    """A product of a demo's shop.

    Attributes:
        id: The same in every demo, so that numbers of an earlier one keep their title.
        slug: Of its title.
        title: For people.
        description: A sentence or two.
        category: Names from the top down.
        motif: What its picture shows; empty for what the shop's do.
        option: What its variants differ in; empty for none.
        variants: At least one.
    """

    id: str
    slug: str
    title: str
    description: str
    category: tuple[str, ...]
    motif: str
    option: str
    variants: tuple[CatalogVariant, ...]


@dataclass(frozen=True)
class Catalog:
    """All of a shop: products by popularity, the most popular first."""

    currency: str
    products: tuple[CatalogProduct, ...]


@cache
def catalog_of(shop: str) -> Catalog:
    """The catalog of a shop, by its name.

    Raises:
        ValueError: Its file has a line that is none.
    """
    lines = files(__package__).joinpath(f"{shop}.txt").read_text(encoding="utf-8").splitlines()
    currency, shared = lines[0].removeprefix("currency "), lines[1].removeprefix("option ")
    found = [
        (place, number, product) for number, (place, product) in enumerate(_products(shop, lines[2:], shared, currency))
    ]
    # Every category has its best sellers: the first ones of all are more popular than the last ones of one.
    return Catalog(currency, tuple(product for _, _, product in sorted(found, key=lambda each: each[:2])))


def _products(shop: str, lines: list[str], shared: str, currency: str) -> Iterator[tuple[int, CatalogProduct]]:
    category: tuple[str, ...] = ()
    place, motif = 0, ""
    for line in filter(None, map(str.strip, lines)):
        if line.startswith("["):
            names, _, motif = (part.strip() for part in line[1:].partition("]"))
            category, place = tuple(part.strip() for part in names.split(">")), 0
            continue
        named, price, options, description = (part.strip() for part in line.split(" | "))
        own_motif, title = _MOTIF.fullmatch(named).groups()  # type: ignore[union-attr]  # it matches any line
        slug = slug_of_title(title)
        option, _, values = (shared if options == shared.split(":")[0] else options).partition(":")
        variants = _variants(Decimal(price), values, currency)
        if options == "-":
            option, variants = "", (_variant("", price, currency),)
        own = blake2b(f"{shop} {slug}".encode(), digest_size=16).hexdigest()
        yield place, CatalogProduct(own, slug, title, description, category, own_motif or motif, option, variants)
        place += 1


def _variants(price: Decimal, values: str, currency: str) -> tuple[CatalogVariant, ...]:
    made = []
    for text in values.split(","):
        value, _, factor = text.partition("*")
        made.append(_variant(value.strip(), price * Decimal(factor.strip() or 1), currency))
    return tuple(made)


def _variant(value: str, price: Decimal | str, currency: str) -> CatalogVariant:
    # Prices that were multiplied end at half a unit, as prices in shops do.
    rounded = (Decimal(price) * 2).quantize(_WHOLE, ROUND_HALF_UP) / 2
    exact = rounded if isinstance(price, Decimal) else Decimal(price)
    return CatalogVariant(value, int(exact * 10 ** EXPONENTS[currency]))
