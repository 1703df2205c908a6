"""Carts: what the routes and the storefront do, without HTTP."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from connectors.mongo.async_client import Documents
from connectors.mongo.carts import Carts, Holder, KeptCart
from connectors.mongo.product_reads import ProductReads
from connectors.mongo.tenant_stores import TenantStores
from connectors.mongo.times import milliseconds
from marketplace.carts.cart import (
    Capped,
    Cart,
    Line,
    NoSuchCart,
    Total,
    add,
    put,
    remove,
    set_quantity,
    totals,
)
from marketplace.carts.changes import Change, accept, changes_id, orderable, revalidate
from marketplace.catalog.products import Product

_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class CartView:
    """A cart as its buyer is shown it.

    Attributes:
        cart: Its lines, as they were seen.
        version: Goes up with every change of it.
        expires_at: Epoch milliseconds; None for an account's.
        changes: What is different now.
        changes_id: Names these changes; None where there are none.
        totals: Of the lines of which there is something, at the prices that were seen.
        store_titles: Of the stores of its lines that there are, by slug.
    """

    cart: Cart
    version: int
    expires_at: int | None
    changes: tuple[Change, ...]
    changes_id: str | None
    totals: tuple[Total, ...]
    store_titles: Mapping[str, str]

    @property
    def pieces(self) -> int:
        """Of all lines."""
        return self.cart.pieces

    def changes_of(self, line: Line) -> tuple[Change, ...]:
        """What is different of one line."""
        return tuple(change for change in self.changes if change.variant == line.variant)


@dataclass(frozen=True)
class MergeView:
    """What came of a merge.

    Attributes:
        view: The account's cart.
        merged: Whether there was a guest's cart.
        capped: Lines that have fewer pieces than both carts had.
    """

    view: CartView
    merged: bool
    capped: tuple[Capped, ...]


class CartService:
    """Reads and changes carts.

    Args:
        carts: Where they are.
        products: What is sold.
        stores: Who sells it.
        clock: The time.
    """

    def __init__(
        self,
        carts: Carts,
        products: ProductReads,
        stores: TenantStores,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._carts, self._products, self._stores, self._clock = carts, products, stores, clock

    @staticmethod
    def on_mongo(
        client: Documents, database: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> CartService:
        """On the collections of a database; the caller closes the client."""
        return CartService(
            Carts(client, database), ProductReads(client, database), TenantStores(client, database), clock
        )

    @staticmethod
    def holder(user: str | None, secret: str = "") -> Holder:
        """Whose cart is meant: the account's where somebody is signed in, and otherwise the one of the secret.

        Raises:
            NoSuchCart: The secret is none of ours.
        """
        if user is not None:
            return Holder.account(user)
        if not _SECRET.fullmatch(secret):
            raise NoSuchCart("there is no such cart")
        return Holder.guest(secret)

    async def create_guest(self, secret: str = "") -> tuple[str, CartView]:
        """Make an empty cart for somebody who is not signed in.

        Args:
            secret: 43 of A-Z, a-z, 0-9, ``_`` and ``-`` that nobody can guess: asked for twice with one, there is one
                cart. Empty for a new one.

        Returns:
            Its secret, which is kept nowhere, and the cart.

        Raises:
            Unavailable: Mongo does not answer; it may be made.
        """
        secret = secret or secrets.token_urlsafe(32)
        return secret, await self._view(await self._carts.create_guest(secret, self._clock()))

    async def get(self, holder: Holder) -> CartView:
        """A cart, with what is different now; see :meth:`Carts.get` for the errors."""
        return await self._view(await self._carts.get(holder, self._clock()))

    async def pieces(self, holder: Holder) -> int:
        """How many pieces are in a cart, whatever became of its products; see :meth:`Carts.get` for the errors."""
        return (await self._carts.get(holder, self._clock())).cart.pieces

    async def add(self, holder: Holder, product: str, variant: str, quantity: int) -> CartView:
        """Put further pieces of a variant in; see :func:`add` and :meth:`Carts.change` for the errors."""
        sold, now = await self._sold(product), self._clock()
        edit = lambda cart: add(cart, sold, variant, quantity, milliseconds(now))  # noqa: E731  # it is handed on, and has the type that is asked for
        return await self._view(await self._carts.change(holder, edit, now))

    async def put(self, holder: Holder, product: str, variant: str, quantity: int) -> CartView:
        """Let it have so many pieces of a variant; see :func:`put` and :meth:`Carts.change` for the errors."""
        sold, now = await self._sold(product), self._clock()
        edit = lambda cart: put(cart, sold, variant, quantity, milliseconds(now))  # noqa: E731  # it is handed on, and has the type that is asked for
        return await self._view(await self._carts.change(holder, edit, now))

    async def set_quantity(self, holder: Holder, variant: str, quantity: int) -> CartView:
        """Change a line's pieces; see :func:`set_quantity` and :meth:`Carts.change` for the errors."""
        return await self._edited(holder, lambda cart: set_quantity(cart, variant, quantity))

    async def remove(self, holder: Holder, variant: str) -> CartView:
        """Take a line out; see :func:`remove` and :meth:`Carts.change` for the errors."""
        return await self._edited(holder, lambda cart: remove(cart, variant))

    async def delete(self, holder: Holder) -> None:
        """Delete a cart; see :meth:`Carts.delete` for the errors."""
        await self._carts.delete(holder, self._clock())

    async def accept(self, holder: Holder, shown: str) -> CartView:
        """Take over what is different now, if it is what the buyer was shown.

        Args:
            holder: Whose cart.
            shown: ``changes_id`` of the view that was shown.

        Raises:
            ChangedAgain: Something else is different by now; the cart stays as it is.
            NoSuchCart: It is a guest's, and there is none or it has expired.
            NoSuchUser: There is no such account any more, or it is banned.
            Unavailable: Mongo does not answer; it may be changed.
        """
        now = self._clock()
        products, _ = await self._known((await self._carts.get(holder, now)).cart)
        return await self._edited(holder, lambda cart: accept(cart, products, shown))

    async def merge(self, user: str, secret: str) -> MergeView:
        """Put a guest's cart into an account's, once; see :meth:`Carts.merge` for the errors.

        One that was merged already, or has expired, adds nothing.
        """
        kept, capped = await self._carts.merge(user, secret, self._clock())
        return MergeView(await self._view(kept), capped is not None, capped or ())

    async def _edited(self, holder: Holder, edit: Callable[[Cart], Cart]) -> CartView:
        return await self._view(await self._carts.change(holder, edit, self._clock()))

    async def _sold(self, product: str) -> Product | None:
        """A product of a store that there is."""
        found = await self._products.get(product)
        return found if found is not None and await self._stores.several([found.store]) else None

    async def _known(self, cart: Cart) -> tuple[dict[str, Product], dict[str, str]]:
        """The products of a cart in stores that there are, and the titles of these."""
        products = await self._products.many(line.product for line in cart.lines)
        stores = await self._stores.several({line.store for line in cart.lines}) if products else {}
        titles = {slug: record.store.title for slug, record in stores.items()}
        return {key: product for key, product in products.items() if product.store in titles}, titles

    async def _view(self, kept: KeptCart) -> CartView:
        products, titles = await self._known(kept.cart)
        changes = revalidate(kept.cart, products)
        return CartView(
            cart=kept.cart,
            version=kept.version,
            expires_at=kept.expires_at,
            changes=changes,
            changes_id=changes_id(changes),
            totals=totals(orderable(kept.cart, products)),
            store_titles=titles,
        )
