"""What the storefront asks of the market: pages are made of these answers, whatever gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from api.callers import Caller
from api.storefront.views import (
    CartView,
    CategoryPage,
    Front,
    Moved,
    ProductPage,
    Reviews,
    SearchPage,
    ShopFront,
    ShopName,
    Suggestion,
)


class Refused(Exception):
    """What somebody wanted is not done.

    Args:
        message: Why, as a sentence for people.
        field: The field of the form that is wrong; empty for none.
    """

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.message, self.field = message, field


@dataclass(frozen=True)
class CartOwner:
    """Whose cart it is.

    Attributes:
        caller: Who is signed in; None for a guest.
        guest: The secret of a guest's cart; empty where there is none yet.
    """

    caller: Caller | None = None
    guest: str = ""

    @property
    def nobody(self) -> bool:
        """Whether there can be no cart."""
        return self.caller is None and not self.guest


class Shop(Protocol):
    """Answers the storefront. Each call raises ``Unavailable`` where a part does not answer."""

    async def front(self) -> Front:
        """The front of the marketplace."""

    async def shop(self, slug: str) -> ShopName | None:
        """A store; None where there is none of that slug."""

    async def shop_front(self, slug: str) -> ShopFront | None:
        """The front of a store; None where there is none of that slug."""

    async def category(self, shop: str, category: str, query: Mapping[str, str]) -> CategoryPage | Moved | None:
        """A category of a store; None where there is none."""

    async def search(self, query: Mapping[str, str]) -> SearchPage | None:
        """Results of a search; None where it is for a store that there is not.

        Raises:
            Refused: The query cannot be read.
        """

    async def suggest(self, text: str, shop: str) -> Sequence[Suggestion]:
        """What somebody who has typed so much may mean."""

    async def product(self, shop: str, slug: str, viewer: Caller | None) -> ProductPage | Moved | None:
        """A product that can be seen; None where there is none."""

    async def reviews(self, product: ProductPage, viewer: Caller | None, after: str) -> Reviews:
        """More reviews of a product."""

    async def write_review(self, product: ProductPage, viewer: Caller, stars: int, text: str) -> None:
        """Write a review, or edit the own one.

        Raises:
            Refused: It is not taken.
        """

    async def remove_review(self, product: ProductPage, viewer: Caller) -> None:
        """Remove the own review; none is no error."""

    async def vote(self, product: ProductPage, viewer: Caller, review: str, *, helpful: bool) -> None:
        """Say that a review is helpful, or take that back.

        Raises:
            Refused: There is no such review, or it is the own one.
        """

    async def report(self, product: ProductPage, viewer: Caller, review: str, reason: str) -> None:
        """Report a review.

        Raises:
            Refused: There is no such review, or the report is not taken.
        """

    async def cart(self, owner: CartOwner) -> CartView:
        """A cart, compared with what holds now."""

    async def cart_count(self, owner: CartOwner) -> int:
        """How many pieces are in a cart."""

    async def add(self, owner: CartOwner, product: str, variant: str, quantity: int, once: str) -> str:
        """Put something into a cart.

        Args:
            owner: Whose cart.
            product: The product's id.
            variant: The variant's id.
            quantity: Pieces.
            once: Of the form: one that was sent before adds nothing.

        Returns:
            The secret of the guest's cart, which may be a new one; empty for somebody who is signed in.

        Raises:
            Refused: It is not put in.
        """

    async def set_quantity(self, owner: CartOwner, line: str, quantity: int) -> None:
        """Change a line's quantity; none removes it.

        Raises:
            Refused: The quantity is not taken.
        """

    async def accept(self, owner: CartOwner, changes: str) -> bool:
        """Take a cart as it is now; False where it has changed since it was shown."""

    async def merge(self, caller: Caller, guest: str) -> Sequence[str]:
        """Put a guest's cart into that of who has signed in; what did not fit, as sentences."""
