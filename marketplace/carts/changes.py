"""What became of a cart's products since they were put in, and how a buyer takes it over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256

import msgspec

from marketplace.carts.cart import Cart, ChangedAgain, Line, Seen, is_for_sale, seen_of
from marketplace.catalog.products import Availability, Product


class ChangeKind(StrEnum):
    """What is different."""

    GONE = "gone"
    AVAILABILITY = "availability"
    PRICE = "price"
    CURRENCY = "currency"
    TITLE = "title"
    OPTIONS = "options"


@dataclass(frozen=True)
class Change:
    """One thing of a line that is different from what its buyer saw.

    Attributes:
        variant: Whose line.
        kind: What it is.
        before: What the buyer saw; None for a line that is gone.
        after: What it is now; None for a line that is gone.
    """

    variant: str
    kind: ChangeKind
    before: str | int | None = None
    after: str | int | None = None


def revalidate(cart: Cart, products: Mapping[str, Product]) -> tuple[Change, ...]:
    """What is different now, line by line; the cart stays as it is.

    Args:
        cart: The cart.
        products: Those of its lines that there are in a store that there is, by id.
    """
    return tuple(change for line in cart.lines for change in _changes(line, products.get(line.product)))


def _changes(line: Line, product: Product | None) -> list[Change]:
    now = _now(line, product)
    if now is None:
        return [Change(line.variant, ChangeKind.GONE)]
    seen = line.seen
    pairs: list[tuple[ChangeKind, str | int, str | int]] = [
        (ChangeKind.AVAILABILITY, seen.availability.value, now.availability.value),
        (ChangeKind.PRICE, seen.price_minor, now.price_minor),
        (ChangeKind.CURRENCY, seen.currency, now.currency),
        (ChangeKind.TITLE, seen.title, now.title),
        (ChangeKind.OPTIONS, options_text(seen), options_text(now)),
    ]
    return [Change(line.variant, kind, before, after) for kind, before, after in pairs if before != after]


def _now(line: Line, product: Product | None) -> Seen | None:
    if product is None or not is_for_sale(product, line.variant):
        return None
    variant = product.variant(line.variant)
    return None if variant is None else seen_of(product, variant)


def options_text(seen: Seen) -> str:
    """Options and their values for people: ``Size: L, Colour: red``."""
    return ", ".join(f"{name}: {value}" for name, value in seen.options)


def changes_id(changes: Sequence[Change]) -> str | None:
    """Names these changes, so that a buyer accepts those that were shown and no others; None where there are none."""
    if not changes:
        return None
    return sha256(msgspec.json.encode([msgspec.to_builtins(change) for change in changes])).hexdigest()[:32]


def accept(cart: Cart, products: Mapping[str, Product], shown: str) -> Cart:
    """Take over what is different now: lines that are gone go, the others have been seen as they are now.

    Args:
        cart: The cart.
        products: Those of its lines that there are in a store that there is, by id.
        shown: The :func:`changes_id` of what the buyer has seen.

    Raises:
        ChangedAgain: Something else is different by now.
    """
    changes = revalidate(cart, products)
    if not changes:
        return cart
    if changes_id(changes) != shown:
        raise ChangedAgain("something else is different by now: read the cart again")
    now = ((line, _now(line, products.get(line.product))) for line in cart.lines)
    return Cart(tuple(replace(line, seen=seen) for line, seen in now if seen is not None))


def orderable(cart: Cart, products: Mapping[str, Product]) -> tuple[Line, ...]:
    """The lines of which there is something now."""
    now = ((line, _now(line, products.get(line.product))) for line in cart.lines)
    return tuple(line for line, seen in now if seen is not None and seen.availability is not Availability.NONE)
