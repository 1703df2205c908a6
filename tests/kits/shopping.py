"""A product, and carts with it, for requests to every route of a shop."""

from __future__ import annotations

from typing import Final

from connectors.mongo.carts import Carts, Holder
from marketplace.carts.cart import Cart, put
from marketplace.carts.changes import changes_id, revalidate
from marketplace.catalog.products import Product, Variant
from tests.kits.products import product, put_products
from tests.kits.tenancy import World

PRODUCT: Final = "a1" * 16
VARIANT: Final = "b2" * 16
GUEST_SECRET: Final = "g" * 43
GUEST_HEADERS: Final = {"x-cart": GUEST_SECRET}


def mug(price_minor: int = 1250) -> Product:
    """The product of the store ``shop``."""
    return product("Blue mug", id=PRODUCT, slug="blue-mug", variants=(Variant(VARIANT, "MUG", (), price_minor),))


def _cart() -> Cart:
    return put(Cart(), mug(1000), VARIANT, 1, 0)


CHANGES_ID: Final = changes_id(revalidate(_cart(), {PRODUCT: mug()})) or ""
"""What is different in each of the carts: the price has changed."""


async def settle_shop(world: World, *users: str) -> None:
    """The product, and a cart with it of a guest and of each of the accounts."""
    await put_products(world.client, world.database, [mug()])
    carts = Carts(world.client, world.database)
    await carts.create_guest(GUEST_SECRET, world.now)
    for holder in (Holder.guest(GUEST_SECRET), *(Holder.account(user) for user in users)):
        await carts.change(holder, lambda _: _cart(), world.now)
