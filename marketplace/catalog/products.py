"""Products: what a store sells, in which variants and at which price."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MAX_OPTIONS: Final = 3
MAX_OPTION_VALUES: Final = 30
MAX_VARIANTS: Final = 100
MAX_IMAGES: Final = 12
STARS: Final = (1, 2, 3, 4, 5)


class ProductState(StrEnum):
    """What of a product can be seen: only active ones are, outside of their store."""

    DRAFT = "draft"
    ACTIVE = "active"
    ARCHIVED = "archived"


class Availability(StrEnum):
    """How much of a variant there is, as buyers are told."""

    MANY = "many"
    FEW = "few"
    NONE = "none"


@dataclass(frozen=True)
class Option:
    """Something that a buyer chooses, such as a size.

    Attributes:
        name: For people.
        values: What can be chosen, in the order in which it is shown.
    """

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Variant:
    """What is put into a cart: one choice of each option.

    Attributes:
        id: Made by us; it never changes and is never given to another variant.
        sku: The seller's own name of it, unique in the store.
        values: One of each option's, in the order of the options; empty for a product without options.
        price_minor: In minor units of the product's currency.
        compare_at_minor: An earlier, higher price; None for none.
        availability: How much there is.
    """

    id: str
    sku: str
    values: tuple[str, ...]
    price_minor: int
    compare_at_minor: int | None = None
    availability: Availability = Availability.MANY


@dataclass(frozen=True)
class Image:
    """A picture by its address, which is checked and never fetched.

    Attributes:
        url: ``https://...``, or a path of this platform that begins with ``/``.
        alt: What it shows, for people who do not see it.
    """

    url: str
    alt: str = ""


@dataclass(frozen=True)
class Product:
    """A product.

    Attributes:
        id: 32 hexadecimal digits; it never changes.
        store: The slug of its store.
        slug: Its name in addresses, unique in the store; earlier ones lead to it.
        title: For people.
        description: Plain text; empty where there is none.
        state: What of it can be seen.
        currency: A code of ISO 4217, of all its prices.
        variants: At least one.
        options: What its variants differ in.
        images: The first one stands for it in lists.
        category: The id of one of the store's categories; None for none.
        stars: How many visible reviews gave 1, 2, 3, 4 and 5 stars.
        sold: Pieces that were paid, all in all.
        version: Goes up by one with every edit, and not with stars and sales.
        created_at: Epoch milliseconds.
        created_by: The id of an account.
        changed_at: Epoch milliseconds, of the newest edit.
        changed_by: The id of an account.
    """

    id: str
    store: str
    slug: str
    title: str
    description: str
    state: ProductState
    currency: str
    variants: tuple[Variant, ...]
    options: tuple[Option, ...] = ()
    images: tuple[Image, ...] = ()
    category: str | None = None
    stars: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    sold: int = 0
    version: int = 1
    created_at: int = 0
    created_by: str = ""
    changed_at: int = 0
    changed_by: str = ""

    @property
    def lowest_minor(self) -> int:
        """The price of its cheapest variant."""
        return min(variant.price_minor for variant in self.variants)

    @property
    def availability(self) -> Availability:
        """That of the variant of which there is most."""
        order = list(Availability)
        return min((variant.availability for variant in self.variants), key=order.index)

    @property
    def reviews(self) -> int:
        """How many reviews can be seen."""
        return sum(self.stars)

    @property
    def rating(self) -> float | None:
        """The mean of its stars, to a hundredth; None without reviews."""
        total = sum(stars * count for stars, count in zip(STARS, self.stars, strict=True))
        return round(total / self.reviews, 2) if self.reviews else None

    def variant(self, variant_id: str) -> Variant | None:
        """The variant of that id."""
        return next((variant for variant in self.variants if variant.id == variant_id), None)
