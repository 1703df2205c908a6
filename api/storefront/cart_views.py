"""What the page of a cart shows, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from api.storefront.views import ShopName


@dataclass(frozen=True)
class CartLine:
    """A line of a cart, as its buyer saw it last.

    Attributes:
        id: Names it in forms.
        product: The product's id.
        url: The path of the product's page; empty where it is not sold any more.
        title: Of the product.
        choice: Options and their values; empty where there are none.
        image: The address of a picture; empty for none.
        quantity: Pieces.
        price_minor: Of one piece.
        currency: A code of ISO 4217.
        changes: What is different now, as sentences.
        buyable: Whether there is some of it.
    """

    id: str
    product: str
    url: str
    title: str
    choice: str
    image: str
    quantity: int
    price_minor: int
    currency: str
    changes: Sequence[str] = ()
    buyable: bool = True


@dataclass(frozen=True)
class CartShop:
    """The lines of a cart that are of one store.

    Attributes:
        shop: The store.
        lines: Its lines.
        totals: Amounts by currency, of what can be had.
    """

    shop: ShopName
    lines: Sequence[CartLine]
    totals: Sequence[tuple[int, str]]


@dataclass(frozen=True)
class CartPage:
    """A cart.

    Attributes:
        shops: Its lines by store.
        totals: Amounts by currency, of what can be had.
        count: Pieces.
        changes: Names what has changed, so that what was shown is taken and nothing else; empty for nothing.
    """

    shops: Sequence[CartShop] = ()
    totals: Sequence[tuple[int, str]] = ()
    count: int = 0
    changes: str = ""
