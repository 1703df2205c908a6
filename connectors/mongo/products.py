"""Changes of products in Mongo: each is one transaction, which asks once more whether who makes it may.

All of them lock the store's document, so that of two at one time the second sees what the first did: the limit of the
tier, slugs, SKUs and categories hold whatever comes together.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, TypeVar

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from connectors.errors import Unavailable
from connectors.mongo.async_client import Documents, answering, in_transaction
from connectors.mongo.categories import tree_of
from connectors.mongo.product_reads import product_document, product_of, slug_id
from connectors.mongo.stock import level_of
from connectors.mongo.tenants import check_permission
from connectors.mongo.times import milliseconds
from connectors.mongo.turns import Turns
from marketplace.catalog.drafts import changed_fields
from marketplace.catalog.products import Availability, Product, ProductState
from marketplace.catalog.refusals import Fault, InvalidCatalog, NoSuchProduct, SkuTaken
from marketplace.collections import CATEGORIES, MEMBERSHIPS, PRODUCT_CHANGES, PRODUCT_SLUGS, PRODUCTS, STOCK, STORES
from marketplace.identity.roles import Permission
from marketplace.identity.tenancy import LimitReached, SlugTaken, Stale
from marketplace.inventory.levels import with_counted

T = TypeVar("T")

MAX_SLUGS: Final = 50
"""Of a product, earlier ones among them."""

PRODUCT_COUNT: Final = "product_count"
"""The field of a store's document that says how many products it has."""

_AT_ONCE: Final = 200
"""Values of one question: for twice as many SecantusDB takes four times as long."""

_KEPT_BY_OTHERS: Final = ("_id", "stars", "sold")
"""Fields that an edit leaves as they are: reviews and sales may change them at the same time."""


@dataclass(frozen=True)
class Change:
    """A change of a product.

    Attributes:
        product: The id.
        version: What the product's version became.
        kind: ``created``, ``edited`` or ``deleted``.
        fields: What changed, sorted; empty unless it is an edit.
        at: Epoch milliseconds.
        by: The id of the account.
    """

    product: str
    version: int
    kind: str
    fields: tuple[str, ...]
    at: int
    by: str


class Products:
    """Writes of the collections ``products``, ``product_slugs`` and ``product_changes``, and a seller's lists of them.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
        turns: Of the stores whose catalogs are changed.
    """

    def __init__(self, client: Documents, database: str, turns: Turns) -> None:
        self._client, self.turns = client, turns
        mongo = client[database]
        self.products, self.slugs = mongo[PRODUCTS.name], mongo[PRODUCT_SLUGS.name]
        self.changes, self.categories = mongo[PRODUCT_CHANGES.name], mongo[CATEGORIES.name]
        self.stores, self._memberships = mongo[STORES.name], mongo[MEMBERSHIPS.name]
        self._stock = mongo[STOCK.name]

    async def locked(self, store: str, actor: str, session: AsyncClientSession) -> dict[str, Any]:
        """Lock a store for a change of its catalog, and give its document, which then says how many products it has.

        Raises:
            NoSuchStore: There is none.
            NotAllowed: Who asks may not, by the role of now.
        """
        found, _ = await check_permission(
            self.stores, self._memberships, store, actor, Permission.EDIT_CATALOG, session
        )
        if found.get(PRODUCT_COUNT) is None:
            found[PRODUCT_COUNT] = await self.products.count_documents({"store": store}, session=session)
            await self.count(store, found[PRODUCT_COUNT], session)
        return found

    async def create(self, product: Product, slugs: Sequence[str], limit: int) -> Product:
        """Keep a new product.

        Args:
            product: With everything but its slug, which is the first of these that is free.
            slugs: One that its seller has chosen, or several that are as good as each other.
            limit: How many products the store's tier includes.

        Raises:
            NoSuchStore: There is no such store.
            NotAllowed: Its maker may not, by the role of now.
            LimitReached: The store has as many products as its tier includes.
            SlugTaken: No slug is free.
            SkuTaken: Another product has a SKU.
            InvalidCatalog: There is no such category.
            Unavailable: Mongo does not answer; it may be kept.
        """

        async def work(session: AsyncClientSession) -> Product:
            store = await self.locked(product.store, product.created_by, session)
            if store[PRODUCT_COUNT] >= limit:
                raise LimitReached(f"the plan includes {limit} products of a store")
            made = replace(product, slug=await self._free_slug(product.store, slugs, session))
            await self._check_category(made, session)
            await self._check_skus(made, session)
            await self.products.insert_one(product_document(made), session=session)
            await self.slugs.insert_one({"_id": slug_id(made.store, made.slug), "product": made.id}, session=session)
            await self.changes.insert_one(change_document(made, "created"), session=session)
            await self.count(made.store, store[PRODUCT_COUNT] + 1, session)
            return made

        return await self.in_turn(product.store, work)

    async def edit(
        self,
        store: str,
        actor: str,
        product_id: str,
        version: int | None,
        change: Callable[[Product], Product],
        now: datetime,
    ) -> Product:
        """Change a product.

        Args:
            store: The slug of its store.
            actor: Who asks: of an API key, its maker.
            product_id: The product's.
            version: The one that is edited; None for whatever is there.
            change: From the product as it is to what it is to be; may run several times.
            now: The time.

        Returns:
            The product as it is then; it has the same version where nothing changes.

        Raises:
            NoSuchStore: There is no such store.
            NotAllowed: Who asks may not, by the role of now.
            NoSuchProduct: The store has no such product.
            Stale: It has another version.
            LimitReached: It had as many slugs as a product may have.
            SlugTaken: The slug leads to another product.
            SkuTaken: Another product has a SKU.
            InvalidCatalog: The result is not valid.
            Unavailable: Mongo does not answer; it may be changed.
        """

        async def work(session: AsyncClientSession) -> Product:
            await self.locked(store, actor, session)
            before = await self._own(store, product_id, session)
            if version is not None and before.version != version:
                raise Stale("the product was changed meanwhile")
            wanted = change(before)
            wanted = with_counted(wanted, await self.counted([wanted], session))
            fields = changed_fields(before, wanted)
            if not fields:
                return before
            after = as_edited(before, wanted, milliseconds(now), actor)
            if after.slug != before.slug:
                await self._take_slug(after, session)
            if after.category != before.category:
                await self._check_category(after, session)
            if {each.sku for each in after.variants} != {each.sku for each in before.variants}:
                await self._check_skus(after, session)
            await self.products.update_one({"_id": after.id}, {"$set": edited_fields(after)}, session=session)
            await self.changes.insert_one(change_document(after, "edited", fields), session=session)
            return after

        return await self.in_turn(store, work)

    async def delete(self, store: str, actor: str, product_id: str, now: datetime) -> None:
        """Delete a product with its slugs; what was changed of it, by whom and when, is kept.

        Raises:
            NoSuchStore: There is no such store.
            NotAllowed: Who asks may not, by the role of now.
            NoSuchProduct: The store has no such product.
            Unavailable: Mongo does not answer; it may be deleted.
        """

        async def work(session: AsyncClientSession) -> None:
            found = await self.locked(store, actor, session)
            before = await self._own(store, product_id, session)
            gone = as_edited(before, before, milliseconds(now), actor)
            await self.products.delete_one({"_id": product_id}, session=session)
            await self.slugs.delete_many({"product": product_id}, session=session)
            await self.changes.insert_one(change_document(gone, "deleted"), session=session)
            await self.count(store, found[PRODUCT_COUNT] - 1, session)

        await self.in_turn(store, work)

    async def in_turn(self, store: str, work: Callable[[AsyncClientSession], Awaitable[T]]) -> T:
        """Do the work of a transaction when it is its turn.

        Raises:
            Unavailable: Mongo does not answer; it may have happened. Or it was not its turn in time, or somebody who
                does not lock the store has just written the same: then it has not, and the next attempt sees that.
        """
        async with self.turns.of(store):
            try:
                return await in_transaction(self._client, work)
            except DuplicateKeyError as error:
                raise Unavailable("another change of the catalog came in between") from error

    async def count(self, store: str, products: int, session: AsyncClientSession) -> None:
        """Note how many products a store has."""
        await self.stores.update_one({"_id": store}, {"$set": {PRODUCT_COUNT: max(0, products)}}, session=session)

    async def page(self, store: str, after: str, limit: int, state: ProductState | None = None) -> list[Product]:
        """Products of a store by slug.

        Args:
            store: The slug of the store.
            after: Only those behind this slug.
            limit: At most so many.
            state: Only those of this one; None for all.

        Raises:
            Unavailable: Mongo does not answer.
        """
        wanted: dict[str, Any] = {"store": store, "slug": {"$gt": after}}
        if state is not None:
            wanted["state"] = state.value
        async with answering():
            found = await self.products.find(wanted).sort("slug").limit(limit).to_list()
        return [product_of(document) for document in found]

    async def ids_by_slug(self, store: str) -> list[str]:
        """The ids of all products of a store, by slug.

        Raises:
            Unavailable: Mongo does not answer.
        """
        async with answering():
            found = await self.products.find({"store": store}, {"slug": 1}).to_list()
        return [document["_id"] for document in sorted(found, key=lambda each: str(each["slug"]))]

    async def history(self, store: str, product_id: str, before: int, limit: int) -> list[Change]:
        """The changes of a product, also of one that was deleted, the newest first.

        Args:
            store: The slug of its store.
            product_id: The product's.
            before: Only those of lower versions.
            limit: At most so many.

        Raises:
            Unavailable: Mongo does not answer.
        """
        ids = {"$gte": change_id(product_id, 0), "$lt": change_id(product_id, before)}
        async with answering():
            found = await self.changes.find({"_id": ids, "store": store}).sort("_id", -1).limit(limit).to_list()
        return [_change(document) for document in found]

    async def _own(self, store: str, product_id: str, session: AsyncClientSession) -> Product:
        found = await self.products.find_one({"_id": product_id, "store": store}, session=session)
        if found is None:
            raise NoSuchProduct("the store has no such product")
        return product_of(found)

    async def _free_slug(self, store: str, slugs: Sequence[str], session: AsyncClientSession) -> str:
        ids = [slug_id(store, slug) for slug in slugs]
        found = await self.slugs.find({"_id": {"$in": ids}}, {"_id": 1}, session=session).to_list()
        taken = {document["_id"] for document in found}
        free = [slug for slug in slugs if slug_id(store, slug) not in taken]
        if not free:
            raise SlugTaken("another product of the store has or had it")
        return free[0]

    async def _take_slug(self, product: Product, session: AsyncClientSession) -> None:
        own = slug_id(product.store, product.slug)
        found = await self.slugs.find_one({"_id": own}, session=session)
        if found is not None:
            # An earlier one of its own comes back.
            if found["product"] != product.id:
                raise SlugTaken("another product of the store has or had it")
            return
        if await self.slugs.count_documents({"product": product.id}, session=session) >= MAX_SLUGS:
            raise LimitReached(f"a product has at most {MAX_SLUGS} slugs, earlier ones among them")
        await self.slugs.insert_one({"_id": own, "product": product.id}, session=session)

    async def _check_category(self, product: Product, session: AsyncClientSession) -> None:
        if product.category is None:
            return
        found = await self.categories.find_one({"_id": product.store}, session=session)
        if product.category not in {category.id for category in tree_of(found)}:
            raise InvalidCatalog([Fault("/category", "unknown", "the store has no such category")])

    async def _check_skus(self, product: Product, session: AsyncClientSession) -> None:
        owners = await self.owners_of_skus(product.store, (each.sku for each in product.variants), session)
        for at, variant in enumerate(product.variants):
            if owners.get(variant.sku, product.id) != product.id:
                raise SkuTaken(f"/variants/{at}/sku")

    async def counted(self, products: Iterable[Product], session: AsyncClientSession) -> dict[str, Availability]:
        """What buyers are shown of those variants of these products that are counted, by id."""
        ids = sorted({variant.id for product in products for variant in product.variants})
        found = []
        for first in range(0, len(ids), _AT_ONCE):
            some = {"_id": {"$in": ids[first : first + _AT_ONCE]}}
            found += await self._stock.find(some, session=session).to_list()
        return {document["_id"]: level_of(document).availability for document in found}

    async def owners_of_skus(self, store: str, skus: Iterable[str], session: AsyncClientSession) -> dict[str, str]:
        """The ids of the products of a store that have these SKUs, by SKU."""
        wanted = {"store": store, "skus": {"$in": list(skus)}}
        found = await self.products.find(wanted, {"skus": 1}, session=session).to_list()
        return {sku: document["_id"] for document in found for sku in document["skus"]}


def as_edited(before: Product, wanted: Product, now_ms: int, by: str) -> Product:
    """The product after an edit, with its next version, and with who made the edit and when."""
    return replace(wanted, version=before.version + 1, changed_at=now_ms, changed_by=by)


def edited_fields(product: Product) -> dict[str, Any]:
    """The fields of its document that an edit writes."""
    return {name: value for name, value in product_document(product).items() if name not in _KEPT_BY_OTHERS}


def change_id(product_id: str, version: int) -> str:
    """The id of a change's document; ids of one product are in the order of its versions."""
    return f"{product_id}:{version:09d}"


def change_document(product: Product, kind: str, fields: Iterable[str] = ()) -> dict[str, Any]:
    """A change as it is kept, given the product as it is after it."""
    return {
        "_id": change_id(product.id, product.version),
        "store": product.store,
        "product": product.id,
        "version": product.version,
        "kind": kind,
        "fields": list(fields),
        "at": product.changed_at,
        "by": product.changed_by,
    }


def _change(document: Mapping[str, Any]) -> Change:
    return Change(
        document["product"],
        document["version"],
        document["kind"],
        tuple(document["fields"]),
        document["at"],
        document["by"],
    )
