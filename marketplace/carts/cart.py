"""Carts: lines over several stores and currencies, with what the buyer saw of each when it was put in.

Nothing here changes a line because its product changed: :func:`revalidate` says what is different now, and
:func:`accept` takes it over once the buyer has seen it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from marketplace.catalog.products import Availability, Product, ProductState, Variant


@dataclass(frozen=True)
class CartPolicy:
    """The limits of a cart.

    Attributes:
        max_lines: Nothing is put into a cart that has so many. A merge can bring a cart of at most so many to twice
            the number, so that it loses no line.
        max_quantity: Of one line.
    """

    max_lines: int = 100
    max_quantity: int = 99


POLICY: Final = CartPolicy()
"""The one of the platform."""

GUEST_DAYS: Final = 30
"""How long a guest's cart is kept after its last change."""

EMPTY_GUEST_DAYS: Final = 1
"""The same of one without a line: anybody can make them."""


class CartError(Exception):
    """What was asked for is refused, and nothing was changed; the message says why."""


class NoSuchCart(CartError):
    """There is no cart of that secret: there never was, it has expired, or it was merged or deleted."""


class NoSuchLine(CartError):
    """The cart has no line of that variant."""


class NotForSale(CartError):
    """There is no such product or variant that is for sale: unknown, a draft, archived, or of a store that is gone."""


class OutOfStock(CartError):
    """There is none of the variant now."""


class TooMany(CartError):
    """The line would have more pieces than a line may have."""


class CartFull(CartError):
    """The cart has as many lines as it may have."""


class ChangedAgain(CartError):
    """What is different now is not what the buyer has seen."""


@dataclass(frozen=True)
class Seen:
    """What a buyer saw of a variant.

    Attributes:
        title: Of the product.
        slug: Of the product.
        options: Names and values that were chosen, in the product's order.
        price_minor: Of one piece, in minor units.
        currency: A code of ISO 4217.
        availability: How much there was.
        image: The address of a picture; empty for none.
        image_alt: What it shows.
        version: Of the product.
    """

    title: str
    slug: str
    options: tuple[tuple[str, str], ...]
    price_minor: int
    currency: str
    availability: Availability
    image: str
    image_alt: str
    version: int


@dataclass(frozen=True)
class Line:
    """Pieces of one variant.

    Attributes:
        product: Its id.
        variant: Its id; no other line of the cart has it.
        store: The slug.
        quantity: From one to the limit.
        seen: What the buyer saw.
        added_at: Epoch milliseconds.
    """

    product: str
    variant: str
    store: str
    quantity: int
    seen: Seen
    added_at: int


@dataclass(frozen=True)
class Cart:
    """Lines in the order in which they were put in."""

    lines: tuple[Line, ...] = ()

    @property
    def pieces(self) -> int:
        """Of all lines."""
        return sum(line.quantity for line in self.lines)

    def line(self, variant: str) -> Line | None:
        """The line of a variant."""
        return next((line for line in self.lines if line.variant == variant), None)


@dataclass(frozen=True)
class Capped:
    """A line of a merge that has fewer pieces than both carts had.

    Attributes:
        variant: Whose line.
        wanted: Pieces of both carts.
        kept: Pieces that it has.
    """

    variant: str
    wanted: int
    kept: int


@dataclass(frozen=True)
class Merged:
    """Two carts as one.

    Attributes:
        cart: The one.
        capped: Lines that have fewer pieces than both had.
    """

    cart: Cart
    capped: tuple[Capped, ...] = ()


def is_for_sale(product: Product | None, variant: str) -> bool:
    """Whether a variant can be seen and bought by anybody, whatever there is of it."""
    return product is not None and product.state is ProductState.ACTIVE and product.variant(variant) is not None


def seen_of(product: Product, variant: Variant) -> Seen:
    """What a buyer sees of a variant now."""
    image = product.images[0] if product.images else None
    return Seen(
        title=product.title,
        slug=product.slug,
        options=tuple((option.name, value) for option, value in zip(product.options, variant.values, strict=False)),
        price_minor=variant.price_minor,
        currency=product.currency,
        availability=variant.availability,
        image=image.url if image else "",
        image_alt=image.alt if image else "",
        version=product.version,
    )


def add(
    cart: Cart, product: Product | None, variant: str, quantity: int, now_ms: int, policy: CartPolicy = POLICY
) -> Cart:
    """Put further pieces of a variant into a cart; a line that is there keeps what its buyer saw.

    Args:
        cart: The cart.
        product: As it is now; None where there is none.
        variant: Its id.
        quantity: At least one.
        now_ms: Epoch milliseconds.
        policy: The limits.

    Raises:
        NotForSale: The variant is not.
        OutOfStock: There is none of it.
        TooMany: The line would have too many pieces.
        CartFull: There are too many lines.
    """
    there = cart.line(variant)
    return _with_quantity(cart, product, variant, (there.quantity if there else 0) + quantity, now_ms, policy)


def put(
    cart: Cart, product: Product | None, variant: str, quantity: int, now_ms: int, policy: CartPolicy = POLICY
) -> Cart:
    """Let a cart have so many pieces of a variant, however many it had: done twice it is done once.

    Args:
        cart: The cart.
        product: As it is now; None where there is none.
        variant: Its id.
        quantity: At least one.
        now_ms: Epoch milliseconds.
        policy: The limits.

    Raises:
        NotForSale: The variant is not.
        OutOfStock: There is none of it.
        TooMany: The line would have too many pieces.
        CartFull: There are too many lines.
    """
    return _with_quantity(cart, product, variant, quantity, now_ms, policy)


def _with_quantity(
    cart: Cart, product: Product | None, variant: str, quantity: int, now_ms: int, policy: CartPolicy
) -> Cart:
    chosen = product.variant(variant) if product is not None and is_for_sale(product, variant) else None
    if product is None or chosen is None:
        raise NotForSale("there is no such product or variant that is for sale")
    if chosen.availability is Availability.NONE:
        raise OutOfStock("there is none of it now")
    if cart.line(variant) is not None:
        return set_quantity(cart, variant, quantity, policy)
    _check_quantity(quantity, policy)
    if len(cart.lines) >= policy.max_lines:
        raise CartFull(f"a cart has at most {policy.max_lines} lines")
    line = Line(product.id, variant, product.store, quantity, seen_of(product, chosen), now_ms)
    return Cart((*cart.lines, line))


def set_quantity(cart: Cart, variant: str, quantity: int, policy: CartPolicy = POLICY) -> Cart:
    """Change how many pieces a line has, whatever became of its product.

    Raises:
        NoSuchLine: There is no such line.
        TooMany: It would have too many pieces.
    """
    if cart.line(variant) is None:
        raise NoSuchLine("the cart has no such line")
    _check_quantity(quantity, policy)
    return Cart(tuple(replace(each, quantity=quantity) if each.variant == variant else each for each in cart.lines))


def _check_quantity(quantity: int, policy: CartPolicy) -> None:
    if quantity < 1:
        raise ValueError("a line has at least one piece: remove it")
    if quantity > policy.max_quantity:
        raise TooMany(f"a line has at most {policy.max_quantity} pieces")


def remove(cart: Cart, variant: str) -> Cart:
    """Take a line out.

    Raises:
        NoSuchLine: There is no such line.
    """
    if cart.line(variant) is None:
        raise NoSuchLine("the cart has no such line")
    return Cart(tuple(line for line in cart.lines if line.variant != variant))


def merge(own: Cart, guest: Cart, policy: CartPolicy = POLICY) -> Merged:
    """One cart of two: no line is lost and none is there twice.

    A variant that both have becomes one line with the pieces of both, up to the limit, and with what was seen of the
    later version of the product.

    Args:
        own: The one that stays; its lines come first.
        guest: The one that ends.
        policy: The limits.

    Raises:
        CartFull: The one that stays has more lines than a cart may have, and there is a line that it does not have.
    """
    lines, capped = {line.variant: line for line in own.lines}, []
    for line in guest.lines:
        there = lines.get(line.variant)
        if there is None:
            lines[line.variant] = line
            continue
        wanted = there.quantity + line.quantity
        kept = min(wanted, policy.max_quantity)
        if kept < wanted:
            capped.append(Capped(line.variant, wanted, kept))
        seen = max(there.seen, line.seen, key=lambda each: each.version)
        lines[line.variant] = replace(there, quantity=kept, seen=seen, added_at=min(there.added_at, line.added_at))
    if len(lines) > max(len(own.lines), policy.max_lines) and len(own.lines) > policy.max_lines:
        raise CartFull(f"a cart has at most {policy.max_lines} lines: remove some first")
    return Merged(Cart(tuple(lines.values())), tuple(capped))


@dataclass(frozen=True)
class Total:
    """What lines of one store in one currency cost together.

    Attributes:
        store: The slug.
        currency: A code of ISO 4217.
        quantity: Pieces.
        total_minor: In minor units.
    """

    store: str
    currency: str
    quantity: int
    total_minor: int


def totals(lines: Iterable[Line]) -> tuple[Total, ...]:
    """What lines cost at the prices that were seen, by store and currency in the order of the lines."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for line in lines:
        key = line.store, line.seen.currency
        pieces, minor = found.get(key, (0, 0))
        found[key] = pieces + line.quantity, minor + line.quantity * line.seen.price_minor
    return tuple(Total(*key, pieces, minor) for key, (pieces, minor) in found.items())
