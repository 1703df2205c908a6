"""What the demo's shops sell, and what their buyers say of it, as the marketplace keeps it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, TypeVar

from connectors.mongo.accounts import user_document
from connectors.mongo.async_client import Documents, connect_async, in_transaction
from connectors.mongo.categories import tree_document
from connectors.mongo.product_reads import product_document, product_of, slug_id
from connectors.mongo.products import PRODUCT_COUNT, change_document
from connectors.mongo.review_documents import review_document
from connectors.mongo.times import milliseconds
from marketplace.catalog.categories import Category, Tree, with_added
from marketplace.catalog.products import (
    STARS,
    Availability,
    Image,
    Option,
    Product,
    ProductState,
    Variant,
)
from marketplace.collections import CATEGORIES, PRODUCT_CHANGES, PRODUCT_SLUGS, PRODUCTS, REVIEWS, STORES, USERS
from marketplace.identity.accounts import User
from marketplace.reviews.reviews import Reply, Review
from ops.demo.catalogs import Catalog, CatalogProduct, catalog_of
from ops.demo.traffic.shops import DemoStore, Shop
from runtime.sections import Settings

_DAY_MS: Final = 24 * 3_600_000
_BY: Final = "demo"
"""Who has put the products up: no account, as the shops are the demo's before anybody owns them."""

_NOBODYS_PASSWORD: Final = "!"
"""No hash of any password."""

_BUYERS: Final = (
    "Amara", "Ben", "Chiara", "Deepak", "Elif", "Farid", "Grace", "Hiro", "Ines", "Jonas", "Kavya", "Liam", "Mei",
    "Noor", "Olga", "Pemba", "Quentin", "Rosa", "Sven", "Tala", "Uma", "Viktor", "Wanjiru", "Ximena", "Yusuf", "Zoë",
)  # fmt: skip

_SAID: Final[dict[int, tuple[str, ...]]] = {
    5: (
        "Exactly what I hoped for. I have ordered it twice since.",
        "Better than the one I had for ten years, and half the fuss.",
        "Came in two days, well packed. My sister wants one now.",
        "I did not expect to write a review of this, but here we are.",
        "",
    ),
    4: (
        "Very good. One star less because the box was larger than it needed to be.",
        "Does what it says. The description could be longer.",
        "Good quality for the price; I would buy it again.",
        "",
    ),
    3: (
        "It is all right. Not bad, not special.",
        "Good, but smaller than the picture made me think.",
        "Took a while to arrive. The thing itself is fine.",
    ),
    2: ("Not what I expected, and the colour is off.", "It works, but it feels cheap for what it costs."),
    1: ("Broke within a week.",),
}
_REPLIES: Final = (
    "Thank you, that is good to read.",
    "We are sorry about that: write to us, and we make it right.",
)

_Result = TypeVar("_Result")


def ensure_catalogs(settings: Settings, opened: Sequence[DemoStore], now: datetime) -> None:
    """Fill the shops that sell nothing yet; what a seller has changed since stays.

    Raises:
        Unavailable: Mongo does not answer. Calling it again completes what was begun.
    """

    async def fill(client: Documents) -> None:
        for each in opened:
            await _fill(client, settings.database, each, milliseconds(now))

    _run(settings, fill)


def ensure_reviews(settings: Settings, opened: Sequence[DemoStore], now: datetime) -> None:
    """Let buyers say what they think of the shops' products, where nobody has yet.

    Raises:
        Unavailable: Mongo does not answer. Calling it again completes what was begun.
    """

    async def fill(client: Documents) -> None:
        await _make_buyers(client, settings.database, milliseconds(now))
        for each in opened:
            await _review(client, settings.database, each, milliseconds(now))

    _run(settings, fill)


def _run(settings: Settings, work: Callable[[Documents], Coroutine[Any, Any, _Result]]) -> _Result:
    async def with_client() -> _Result:
        client = connect_async(settings.urls.mongo)
        try:
            return await work(client)
        finally:
            await client.close()

    return asyncio.run(with_client())


async def _fill(client: Documents, database: str, opened: DemoStore, now_ms: int) -> None:
    mongo, slug = client[database], opened.store.slug
    catalog = catalog_of(opened.shop.name)
    tree = _tree(slug, catalog)
    by_path = _ids_by_path(tree)
    products = [
        _product(opened, catalog, at, line, by_path[line.category], now_ms) for at, line in enumerate(catalog.products)
    ]

    async def work(session: Any) -> None:
        there = await mongo[PRODUCTS.name].find_one({"store": slug}, {"_id": 1}, session=session)
        # Shops of one name in one database have products of their own; their numbers keep the first one's titles.
        taken = await mongo[PRODUCTS.name].find_one({"_id": products[0].id}, {"_id": 1}, session=session)
        if there is not None:
            return
        made = products if taken is None else [_of_its_own(each) for each in products]
        await mongo[CATEGORIES.name].replace_one(
            {"_id": slug}, tree_document(slug, 1, tree), upsert=True, session=session
        )
        await mongo[PRODUCTS.name].insert_many([product_document(each) for each in made], session=session)
        await mongo[PRODUCT_SLUGS.name].insert_many(
            [{"_id": slug_id(slug, each.slug), "product": each.id} for each in made], session=session
        )
        changes = [change_document(each, "created") for each in made]
        await mongo[PRODUCT_CHANGES.name].insert_many(changes, session=session)
        counted = {"$set": {PRODUCT_COUNT: len(made)}}
        await mongo[STORES.name].update_one({"_id": slug}, counted, session=session)

    await in_transaction(client, work)


def _of_its_own(product: Product) -> Product:
    """The same product with ids that no other store's has."""
    variants = tuple(replace(each, id=_digest(product.store, each.id)) for each in product.variants)
    return replace(product, id=_digest(product.store, product.id), variants=variants)


def _tree(store: str, catalog: Catalog) -> Tree:
    tree: Tree = ()
    for product in sorted(catalog.products, key=lambda each: len(each.category)):
        for depth in range(1, len(product.category) + 1):
            path = product.category[:depth]
            known = _ids_by_path(tree)
            if path not in known:
                tree = with_added(tree, _digest(store, *path), path[-1], parent=known.get(path[:-1]))
    return tree


def _ids_by_path(tree: Iterable[Category]) -> dict[tuple[str, ...], str]:
    by_id = {each.id: each for each in tree}

    def path(category: Category) -> tuple[str, ...]:
        return (*(path(by_id[category.parent]) if category.parent else ()), category.name)

    return {path(each): each.id for each in by_id.values()}


def _product(
    opened: DemoStore, catalog: Catalog, place: int, line: CatalogProduct, category: str, now_ms: int
) -> Product:
    chance = random.Random(line.id)
    state = ProductState.DRAFT if place == len(catalog.products) - 3 else ProductState.ACTIVE
    unseen = place == len(catalog.products) - 5
    images = () if unseen else (Image(picture_of(opened.shop, line), ""),)
    reduced = chance.random() < 0.12
    variants = tuple(
        Variant(
            id=_digest(line.id, each.value),
            sku=f"{opened.shop.name[:3].upper()}-{_digest(line.id, each.value)[:8].upper()}",
            values=(each.value,) if line.option else (),
            price_minor=each.price_minor,
            compare_at_minor=round(each.price_minor * 1.25 / 100) * 100 if reduced else None,
            availability=_availability(chance, place),
        )
        for each in line.variants
    )
    made_ms = now_ms - chance.randrange(40, 400) * _DAY_MS if place % 7 else now_ms - chance.randrange(1, 9) * _DAY_MS
    return Product(
        id=line.id,
        store=opened.store.slug,
        slug=line.slug,
        title=line.title,
        description=line.description,
        state=state,
        currency=catalog.currency,
        variants=variants,
        options=(Option(line.option, tuple(each.value for each in line.variants)),) if line.option else (),
        images=images,
        category=category,
        sold=round(opened.shop.share * 900 / (place + 2)),
        created_at=made_ms,
        created_by=_BY,
        changed_at=made_ms,
        changed_by=_BY,
    )


def picture_of(shop: Shop, line: CatalogProduct) -> str:
    """The address of the picture that is drawn for a product."""
    return f"/shop/pictures/{line.motif or shop.motif}/{shop.hue}/{line.slug}.svg"


def _availability(chance: random.Random, place: int) -> Availability:
    if place % 20 == 13:
        return Availability.NONE
    luck = chance.random()
    return Availability.NONE if luck < 0.05 else Availability.FEW if luck < 0.2 else Availability.MANY


async def _make_buyers(client: Documents, database: str, now_ms: int) -> None:
    users = client[database][USERS.name]
    for name in _BUYERS:
        buyer = User(_buyer(name), f"{_buyer(name)[:8]}@buyers.example", name, _NOBODYS_PASSWORD, now_ms)
        fresh = {key: value for key, value in user_document(buyer).items() if key != "_id"}
        await users.update_one({"_id": buyer.id}, {"$setOnInsert": fresh}, upsert=True)


async def _review(client: Documents, database: str, opened: DemoStore, now_ms: int) -> None:
    mongo, slug = client[database], opened.store.slug

    async def work(session: Any) -> None:
        there = await mongo[REVIEWS.name].find_one({"store": slug}, {"_id": 1}, session=session)
        found = await mongo[PRODUCTS.name].find({"store": slug, "created_by": _BY}, session=session).to_list()
        if there is not None:
            return
        products = sorted(map(product_of, found), key=lambda each: -each.sold)
        reviews = [review for place, each in enumerate(products) for review in _reviews(each, place, now_ms)]
        if not reviews:
            return
        await mongo[REVIEWS.name].insert_many([review_document(each) for each in reviews], session=session)
        for product in products:
            given = [each.stars for each in reviews if each.product == product.id]
            counts = {f"stars.{stars}": given.count(stars) for stars in STARS if stars in given}
            if counts:
                await mongo[PRODUCTS.name].update_one({"_id": product.id}, {"$inc": counts}, session=session)

    await in_transaction(client, work)


def _reviews(product: Product, place: int, now_ms: int) -> list[Review]:
    if product.state is not ProductState.ACTIVE:
        return []
    chance = random.Random(f"{product.id} reviews")
    most = max(0, 9 - place // 6)
    liked = chance.choice((6, 8, 10))
    made = []
    for name in chance.sample(_BUYERS, chance.randint(0, most)):
        stars = chance.choices((5, 4, 3, 2, 1), (liked, 4, 2, 1, 0.5))[0]
        written = now_ms - chance.randrange(1, 60 * 24) * 3_600_000
        reply = None
        if stars < 3 or chance.random() < 0.15:
            reply = Reply(_REPLIES[stars < 3], _BY, min(now_ms, written + 5 * 3_600_000))
        made.append(
            Review(
                id=_digest(product.id, name),
                product=product.id,
                store=product.store,
                user=_buyer(name),
                stars=stars,
                text=chance.choice(_SAID[stars]),
                written_at=written,
                helpful=0,
                reply=reply,
            )
        )
    return made


def _buyer(name: str) -> str:
    return _digest("buyer", name)


def _digest(*parts: str) -> str:
    return blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()
