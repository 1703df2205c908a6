"""What the page of a checkout shows, and what is typed into it, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from api.storefront.views import ShopName
from marketplace.orders.delivery import Address


@dataclass(frozen=True)
class CheckoutLine:
    """A line of a checkout, as it is now.

    Attributes:
        id: The variant's.
        product: The product's.
        url: The path of the product's page; empty where it is not sold any more.
        title: Of the product.
        choice: What was chosen; empty where there is no choice.
        image: The address of a picture; empty for none.
        quantity: Pieces.
        total_minor: Of all of them, at the price of now.
        currency: A code of ISO 4217.
        changes: What is different from what the buyer saw, as sentences.
        gone: Whether it cannot be had.
        left: How many can be had, where there are fewer than wanted; None where there are enough.
    """

    id: str
    product: str
    url: str
    title: str
    choice: str
    image: str
    quantity: int
    total_minor: int
    currency: str
    changes: Sequence[str] = ()
    gone: bool = False
    left: int | None = None


@dataclass(frozen=True)
class CheckoutPart:
    """What becomes one order.

    Attributes:
        shop: Whose.
        currency: A code of ISO 4217.
        lines: What is bought.
        total_minor: Of what can be had.
    """

    shop: ShopName
    currency: str
    lines: Sequence[CheckoutLine]
    total_minor: int


@dataclass(frozen=True)
class CheckoutPage:
    """A cart that is about to be ordered.

    Attributes:
        parts: One for each order.
        totals: Amounts by currency.
        count: Pieces.
        version: Of the cart.
        changes: Names what is different now; empty for nothing.
    """

    parts: Sequence[CheckoutPart] = ()
    totals: Sequence[tuple[int, str]] = ()
    count: int = 0
    version: int = 0
    changes: str = ""

    @property
    def lacking(self) -> str:
        """How many can be had of each variant of which there are fewer than wanted, as a form says it."""
        short = (line for part in self.parts for line in part.lines if line.left is not None)
        return ",".join(f"{line.id}:{line.left}" for line in short)

    @property
    def shops(self) -> int:
        """How many stores."""
        return len({part.shop.slug for part in self.parts})


@dataclass(frozen=True)
class Typed:
    """What somebody has typed into a checkout, without the card.

    Attributes:
        fields: Of the address, as they were typed.
        once: Of the form: what is sent with it twice is ordered once.
        version: Of the cart that was seen.
        changes: Names the differences that were seen; empty for none.
    """

    fields: Mapping[str, str] = field(default_factory=dict)
    once: str = ""
    version: int = 0
    changes: str = ""


@dataclass(frozen=True)
class Placed:
    """Orders that were placed together.

    Attributes:
        checkout: The id of the checkout.
        orders: Their ids.
        other: Whether the form was sent before with something else in it: what was ordered then is what there is.
    """

    checkout: str
    orders: Sequence[str]
    other: bool = False


ADDRESS: tuple[str, ...] = ("name", "street", "extra", "postcode", "city", "country")


def typed_of(address: Address | None, account: str = "") -> dict[str, str]:
    """The fields of an address; for none, empty ones but the name.

    Args:
        address: Where the last order went.
        account: What the account is called: who orders for the first time mostly orders for themselves.
    """
    if address is None:
        return {**dict.fromkeys(ADDRESS, ""), "name": account}
    return {name: getattr(address, name) for name in ADDRESS}
