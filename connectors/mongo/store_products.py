"""A store's products for its seller's pages, read with the blocking client."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import pymongo
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from connectors.mongo.client import unavailable
from connectors.mongo.product_reads import product_of, slug_id
from marketplace.catalog.products import Product
from marketplace.collections import PRODUCT_SLUGS, PRODUCTS

MAX_LISTED: Final = 2_000
"""Products that one page shows at most: the newest ones."""

_SECONDS: Final = 2.0
_AT_ONCE: Final = 200
"""Values of one question: for twice as many SecantusDB takes four times as long, which is 0.7 s for a thousand."""

_ID: Final = re.compile("[0-9a-f]{32}")
_TITLE: Final = {"title": 1, "skus": 1}


class StoreProducts:
    """The products of one store at a time, in every state.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: MongoClient[dict[str, Any]], database: str) -> None:
        self._products, self._slugs = client[database][PRODUCTS.name], client[database][PRODUCT_SLUGS.name]

    def listed(self, store: str) -> list[Product]:
        """The newest products of a store, the newest first.

        Raises:
            Unavailable: Mongo does not answer within two seconds.
        """
        try:
            with pymongo.timeout(_SECONDS):
                found = self._products.find({"store": store}).sort("created_at", -1).limit(MAX_LISTED).to_list()
        except PyMongoError as error:
            raise unavailable(error) from error
        return [product_of(document) for document in found]

    def titles(self, store: str, values: Iterable[str]) -> dict[str, str]:
        """Titles of products by what their pages call them: the id, a slug of now or of before, or a variant's SKU.

        A product that was renamed has its new title here, and its numbers under the name that its pages gave it.

        Args:
            store: Only products of this store have a title here.
            values: What pages said; what names no product is left out.

        Raises:
            Unavailable: Mongo does not answer within two seconds.
        """
        wanted = {value for value in values if value}
        if not wanted:
            return {}
        try:
            with pymongo.timeout(_SECONDS):
                found = self._by_id(store, {value: value for value in wanted if _ID.fullmatch(value)})
                found |= self._by_id(store, self._slugs_of(store, wanted - found.keys()))
                return found | self._by_sku(store, wanted - found.keys())
        except PyMongoError as error:
            raise unavailable(error) from error

    def _by_id(self, store: str, ids: Mapping[str, str]) -> dict[str, str]:
        """Titles by value, where ``ids`` has the product's id of each value."""
        titles: dict[str, str] = {}
        for some in _some_at_once(ids.values()):
            found = self._products.find({"_id": {"$in": some}, "store": store}, _TITLE)
            titles |= {document["_id"]: document["title"] for document in found}
        return {value: titles[product] for value, product in ids.items() if product in titles}

    def _slugs_of(self, store: str, values: Iterable[str]) -> dict[str, str]:
        ids = {slug_id(store, value): value for value in values}
        return {
            ids[found["_id"]]: found["product"]
            for some in _some_at_once(ids)
            for found in self._slugs.find({"_id": {"$in": some}})
        }

    def _by_sku(self, store: str, values: set[str]) -> dict[str, str]:
        return {
            sku: document["title"]
            for some in _some_at_once(values)
            for document in self._products.find({"store": store, "skus": {"$in": some}}, _TITLE)
            for sku in document["skus"]
            if sku in values
        }


def _some_at_once(values: Iterable[str]) -> Iterator[list[str]]:
    every = sorted(set(values))
    for first in range(0, len(every), _AT_ONCE):
        yield every[first : first + _AT_ONCE]
