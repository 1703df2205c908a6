"""The categories of stores in Mongo: those of a store are one document, so a change of the tree is one write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession

from connectors.mongo.async_client import Documents, answering, in_transaction
from connectors.mongo.tenants import check_permission
from connectors.mongo.turns import Turns
from marketplace.catalog.categories import Category, Tree
from marketplace.catalog.refusals import CategoryInUse
from marketplace.collections import CATEGORIES, MEMBERSHIPS, PRODUCTS, STORES
from marketplace.identity.roles import Permission


class Categories:
    """The collection ``categories``.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
        turns: Of the stores whose catalogs are changed.
    """

    def __init__(self, client: Documents, database: str, turns: Turns) -> None:
        self._client, self._turns = client, turns
        mongo = client[database]
        self._trees, self._products = mongo[CATEGORIES.name], mongo[PRODUCTS.name]
        self._stores, self._memberships = mongo[STORES.name], mongo[MEMBERSHIPS.name]

    async def of_store(self, store: str) -> Tree:
        """The categories of a store.

        Raises:
            Unavailable: Mongo does not answer.
        """
        async with answering():
            return tree_of(await self._trees.find_one({"_id": store}))

    async def change(self, store: str, actor: str, change: Callable[[Tree], Tree], emptied: str | None = None) -> Tree:
        """Change the categories of a store.

        Args:
            store: The slug of the store.
            actor: Who asks: of an API key, its maker.
            change: From the categories as they are to what they are to be; may run several times.
            emptied: The id of a category that no product may be in.

        Raises:
            NoSuchStore: There is no such store.
            NotAllowed: Who asks may not, by the role of now.
            CategoryInUse: A product is in that category.
            TenancyError: What the change raises.
            Unavailable: Mongo does not answer; it may be changed.
        """

        async def work(session: AsyncClientSession) -> Tree:
            await check_permission(self._stores, self._memberships, store, actor, Permission.EDIT_CATALOG, session)
            before = await self._trees.find_one({"_id": store}, session=session)
            tree = change(tree_of(before))
            used = {"store": store, "category": emptied}
            if emptied is not None and await self._products.find_one(used, {"_id": 1}, session=session) is not None:
                raise CategoryInUse("products are in it: give them another category first")
            version = 1 if before is None else before["version"] + 1
            await self._trees.replace_one(
                {"_id": store}, tree_document(store, version, tree), upsert=True, session=session
            )
            return tree

        async with self._turns.of(store):
            return await in_transaction(self._client, work)


def tree_of(document: Mapping[str, Any] | None) -> Tree:
    """The categories of a store's document; none where there is no document."""
    listed = () if document is None else document["categories"]
    return tuple(Category(each["id"], each["slug"], each["name"], each["parent"]) for each in listed)


def tree_document(store: str, version: int, tree: Tree) -> dict[str, Any]:
    """The categories of a store as they are kept."""
    listed = [{"id": each.id, "slug": each.slug, "name": each.name, "parent": each.parent} for each in tree]
    return {"_id": store, "version": version, "categories": listed}
