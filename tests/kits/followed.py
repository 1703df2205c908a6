"""An index that follows a Mongo of its own, in the event loop of a test."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pymongo import AsyncMongoClient

from api.search.follower import Follower
from api.search.index import SearchIndex
from api.search.searcher import Searcher
from connectors.mongo.async_client import Documents
from connectors.mongo.product_feed import ProductFeed, connect_feed
from connectors.mongo.product_reads import product_document
from marketplace.catalog.products import Product
from marketplace.collections import CATEGORIES, PRODUCTS, STORES
from marketplace.search.queries import Query
from tests.kits.products import put_products
from tests.kits.stack import polled


@dataclass
class Followed:
    """A database and the index that follows it.

    Attributes:
        client: Waits long enough for a Mongo that is started again.
        database: The name; nobody else has it.
        index: What follows.
        follower: What keeps it.
    """

    client: Documents
    database: str
    index: SearchIndex
    follower: Follower

    @property
    def searcher(self) -> Searcher:
        return Searcher(self.index)

    def collection(self, name: str) -> Any:
        return self.client[self.database][name]

    async def put(self, *products: Product) -> None:
        await put_products(self.client, self.database, products)

    async def replace(self, product: Product) -> None:
        await self.collection(PRODUCTS.name).replace_one({"_id": product.id}, product_document(product))

    async def store(self, slug: str, title: str, *categories: tuple[str, str, str]) -> None:
        await self.collection(STORES.name).insert_one({"_id": slug, "title": title})
        await self.categories(slug, categories)

    async def categories(self, store: str, categories: Iterable[tuple[str, str, str]]) -> None:
        several = [{"id": each, "slug": slug, "name": name, "parent": None} for each, slug, name in categories]
        await self.collection(CATEGORIES.name).replace_one(
            {"_id": store}, {"_id": store, "version": 1, "categories": several}, upsert=True
        )

    def found(self, text: str = "", shop: str | None = None) -> list[str]:
        """The titles of what is found, in order."""
        return [hit.card.title for hit in self.searcher.search(Query(text, shop), None, 100).hits]

    async def finds(self, *titles: str, text: str = "") -> None:
        """Return when exactly these are found."""
        await until(lambda: sorted(self.found(text)) == sorted(titles), f"{titles} for {text!r}")


async def until(condition: Callable[[], bool], what: str, seconds: float = 15.0) -> None:
    """Return when something holds; fail where it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def followed(mongo_url: str, before: Sequence[Product] = ()) -> AsyncIterator[Followed]:
    """A database with one store and some products, and an index that begins to follow it."""
    client: Documents = AsyncMongoClient(polled(mongo_url))
    feed, index = connect_feed(polled(mongo_url)), SearchIndex()
    database = f"search_{uuid.uuid4().hex}"
    made = Followed(client, database, index, Follower(index, ProductFeed(feed, database)))
    await made.store("shop", "Shop", ("1", "mugs", "Mugs"))
    if before:
        await made.put(*before)
    running = asyncio.create_task(made.follower.run())
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await client.drop_database(database)
        await feed.close()
        await client.close()
