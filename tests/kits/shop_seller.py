"""What a seller does to a catalog while others buy and write reviews, and what holds however it comes out."""

from __future__ import annotations

import itertools
import uuid
from collections import Counter
from dataclasses import replace
from typing import Any, Final

from connectors.mongo.async_client import Documents
from connectors.mongo.products import Products
from connectors.mongo.turns import Turns
from marketplace.catalog.products import Availability, ProductState
from marketplace.collections import PRODUCT_CHANGES, PRODUCT_SLUGS, PRODUCTS, STORES
from tests.kits.products import product
from tests.kits.tenancy import NOW

LIMIT: Final = 3
"""Products that the store may have; it has two from the beginning."""

SLUGS: Final = ("mug", "bowl", "cup")
SELLER: Final = "olga"
_STATES: Final = (ProductState.ACTIVE, ProductState.ACTIVE, ProductState.ARCHIVED, ProductState.DRAFT)
_prices = itertools.count(100)


class Seller:
    """The seller of one store, with the writes of one process.

    Args:
        client: A connected client.
        database: The database's name.
        store: The slug.
    """

    def __init__(self, client: Documents, database: str, store: str) -> None:
        self._products = Products(client, database, Turns())
        self._mongo, self._store = client[database], store

    async def put_up(self, number: int) -> None:
        """Put up one more product, under a slug that others may want."""
        new = product(store=self._store, created_by=SELLER, changed_by=SELLER)
        await self._products.create(new, [SLUGS[number % len(SLUGS)]], LIMIT)

    async def rename(self, id: str, number: int) -> None:
        """Give a product another slug."""
        await self._edit(id, slug=SLUGS[number % len(SLUGS)])

    async def change_state(self, id: str, number: int) -> None:
        """Show a product, or take it off."""
        await self._edit(id, state=_STATES[number % len(_STATES)])

    async def reprice(self, id: str, number: int) -> None:
        """Change the price, and how much there is."""
        price, availability = next(_prices), list(Availability)[number % 3]
        await self._products.edit(
            self._store,
            SELLER,
            id,
            None,
            lambda before: replace(
                before,
                variants=tuple(replace(v, price_minor=price, availability=availability) for v in before.variants),
            ),
            NOW,
        )

    async def withdraw(self, kept: list[str]) -> None:
        """Delete a product that was put up since."""
        found = await self._mongo[PRODUCTS.name].find_one({"store": self._store, "_id": {"$nin": kept}}, {"_id": 1})
        await self._products.delete(self._store, SELLER, found["_id"] if found else uuid.uuid4().hex, NOW)

    async def _edit(self, id: str, **fields: Any) -> None:
        await self._products.edit(self._store, SELLER, id, None, lambda before: replace(before, **fields), NOW)

    async def everything_adds_up(self) -> None:
        """Limits, slugs, counts and versions hold."""
        products = {
            each["_id"]: each for each in await self._mongo[PRODUCTS.name].find({"store": self._store}).to_list()
        }
        slugs = await self._mongo[PRODUCT_SLUGS.name].find({"product": {"$in": sorted(products)}}).to_list()
        store = await self._mongo[STORES.name].find_one({"_id": self._store})
        assert store is not None
        assert 2 <= len(products) <= LIMIT
        assert store.get("product_count", len(products)) == len(products)
        leads = {each["_id"]: each["product"] for each in slugs}
        assert len({each["slug"] for each in products.values()}) == len(products)
        assert all(leads[f"{self._store}:{each['slug']}"] == id for id, each in products.items())
        # Nothing leads to what was deleted, and whatever a product was called leads to it.
        wanted = [f"{self._store}:{slug}" for slug in SLUGS]
        there = await self._mongo[PRODUCT_SLUGS.name].find({"_id": {"$in": wanted}}).to_list()
        assert {each["product"] for each in there} <= products.keys()
        changes = [f"{id}:{version:09d}" for id, each in products.items() for version in range(each["version"] + 2)]
        made = Counter(
            each["product"]
            for each in await self._mongo[PRODUCT_CHANGES.name]
            .find({"_id": {"$in": changes}}, {"product": 1})
            .to_list()
        )
        for id, each in products.items():
            first = 0 if each["created_by"] != SELLER else 1
            assert made[id] == each["version"] - 1 + first
