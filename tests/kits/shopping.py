"""Products, reviews of them and carts with them, for requests to every route of a shop."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from connectors.mongo.carts import Carts, Holder
from connectors.mongo.review_documents import review_document
from marketplace.carts.cart import Cart, put
from marketplace.carts.changes import changes_id, revalidate
from marketplace.catalog.products import Product, Variant
from marketplace.collections import REVIEWS
from marketplace.reviews.reviews import Reply, Review
from tests.kits.products import product, put_products
from tests.kits.tenancy import World

PRODUCT: Final = "a1" * 16
VARIANT: Final = "b2" * 16
REVIEWED: Final = "c3" * 16
REVIEW: Final = "d4" * 16
REVIEW_IN_SHOP: Final = "e5" * 16
GUEST_SECRET: Final = "g" * 43
GUEST_HEADERS: Final = {"x-cart": GUEST_SECRET}


def mug(price_minor: int = 1250) -> Product:
    """The product of the store ``shop``."""
    return product(
        "Blue mug",
        id=PRODUCT,
        slug="blue-mug",
        variants=(Variant(VARIANT, "MUG", (), price_minor),),
        stars=(0, 0, 0, 1, 0),
    )


def _cart() -> Cart:
    return put(Cart(), mug(1000), VARIANT, 1, 0)


CHANGES_ID: Final = changes_id(revalidate(_cart(), {PRODUCT: mug()})) or ""
"""What is different in each of the carts: the price has changed."""


def review(user: str, product_id: str = REVIEWED, review_id: str = "", **fields: Any) -> Review:
    """A review with four stars of a product of the store ``market``; fields replace what it has."""
    made = Review(review_id or uuid.uuid4().hex, product_id, "market", user, 4, "It is good.", 1_796_000_000_000)
    return replace(made, **fields)


async def put_reviews(world: World, reviews: Iterable[Review]) -> None:
    """Write reviews past all rules; the counters of products stay as they are."""
    documents = [review_document(each) for each in reviews]
    await world.client[world.database][REVIEWS.name].insert_many(documents)


async def settle_reviews(world: World, *users: str) -> None:
    """A store ``market`` of somebody else, whose product each of the accounts and a further one has reviewed."""
    await world.store("market", zoe="owner")
    await world.user("tim")
    about = product("Red mug", id=REVIEWED, store="market", slug="red-mug", stars=(0, 0, 0, len(users) + 1, 0))
    await put_products(world.client, world.database, [about])
    reply = Reply("Thank you!", "olga", 1_796_000_000_000)
    in_shop = review("tim", PRODUCT, REVIEW_IN_SHOP, store="shop", reply=reply)
    await put_reviews(world, [review("tim", review_id=REVIEW), in_shop, *(review(user) for user in users)])


async def settle_shop(world: World, *users: str) -> None:
    """The product, and a cart with it of a guest and of each of the accounts."""
    await put_products(world.client, world.database, [mug()])
    carts = Carts(world.client, world.database)
    await carts.create_guest(GUEST_SECRET, world.now)
    for holder in (Holder.guest(GUEST_SECRET), *(Holder.account(user) for user in users)):
        await carts.change(holder, lambda _: _cart(), world.now)
