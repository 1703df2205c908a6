"""Imports of products in Mongo: a transaction for each hundred, which also says how far the import is.

What an import reports is therefore what is stored, whenever its process ends: a step that is repeated because its
answer was lost finds that it was done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from connectors.mongo.async_client import Documents, answering
from connectors.mongo.categories import tree_of
from connectors.mongo.product_reads import product_document, product_of, slug_id
from connectors.mongo.products import PRODUCT_COUNT, Products, as_edited, change_document, edited_fields
from connectors.mongo.times import milliseconds
from marketplace.catalog.csv_files import LineFault, ProductLines
from marketplace.catalog.csv_products import InvalidLines, draft_of_lines
from marketplace.catalog.drafts import changed_fields, edited
from marketplace.catalog.drafts import product_of as new_product
from marketplace.catalog.imports import KEPT_DAYS, LEASE_MS, MAX_FAULTS, Import, ImportState
from marketplace.catalog.products import Availability, Product
from marketplace.catalog.refusals import ImportUnderWay, NoSuchImport
from marketplace.catalog.slugs import is_reserved, is_slug
from marketplace.collections import PRODUCT_IMPORTS
from marketplace.inventory.levels import with_counted

_LISTED: Final = 20


@dataclass
class _Plan:
    """What a step writes."""

    created: list[Product] = field(default_factory=list)
    changed: list[tuple[Product, tuple[str, ...]]] = field(default_factory=list)
    unchanged: int = 0
    failed: int = 0
    faults: list[LineFault] = field(default_factory=list)

    def refuse(self, *faults: LineFault) -> None:
        """Note a product that is not imported."""
        self.failed += 1
        self.faults += faults


@dataclass(frozen=True)
class _There:
    """What is there when a step begins.

    Attributes:
        products: By the slug of the file that leads to them.
        skus: The ids of the products that have them, by SKU.
        categories: Their ids, by slug.
        counted: What buyers are shown of the variants that are counted, by id.
        count: How many products the store has.
        limit: How many its tier includes.
    """

    products: Mapping[str, Product]
    skus: Mapping[str, str]
    categories: Mapping[str, str]
    counted: Mapping[str, Availability]
    count: int
    limit: int


class ProductImports:
    """The collection ``product_imports``, and the products that imports write.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
        products: Of the same database.
        new_id: Gives ids of products and variants.
    """

    def __init__(self, client: Documents, database: str, products: Products, new_id: Callable[[], str]) -> None:
        self._imports, self._products, self._new_id = client[database][PRODUCT_IMPORTS.name], products, new_id

    async def begin(self, new: Import, now: datetime) -> None:
        """Keep a new import.

        Raises:
            NoSuchStore: There is no such store.
            NotAllowed: Who asks may not, by the role of now.
            ImportUnderWay: Another one of the store is.
            Unavailable: Mongo does not answer; it may be kept, and is interrupted then.
        """

        async def work(session: AsyncClientSession) -> None:
            await self._products.locked(new.store, new.by, session)
            alive = {"$gt": milliseconds(now) - LEASE_MS}
            running = {"store": new.store, "state": ImportState.RUNNING.value, "changed_at": alive}
            if await self._imports.find_one(running, {"_id": 1}, session=session) is not None:
                raise ImportUnderWay("another import of the store is under way: wait for its end")
            await self._imports.insert_one(_document(new, now + timedelta(days=KEPT_DAYS)), session=session)

        await self._products.in_turn(new.store, work)

    async def step(self, running: Import, groups: Sequence[ProductLines], limit: int, now: datetime) -> list[str]:
        """Import the next products of a file.

        Args:
            running: The import, with how many products are done.
            groups: The lines of the next ones.
            limit: How many products the store's tier includes.
            now: The time.

        Returns:
            The ids of the products that were there and have changed; those of a step that was done already are not
            known any more, and then all of its products are in it.

        Raises:
            NoSuchStore: There is no such store.
            NotAllowed: Who began it may not, by the role of now.
            NoSuchImport: It does not run any more.
            Unavailable: Mongo does not answer; the step may be done.
        """

        async def work(session: AsyncClientSession) -> list[str]:
            store = await self._products.locked(running.store, running.by, session)
            found = await self._imports.find_one({"_id": running.id}, session=session)
            if found is None or _import(found).state_at(milliseconds(now)) is not ImportState.RUNNING:
                raise NoSuchImport("the import does not run any more")
            there = await self._there(running.store, groups, store[PRODUCT_COUNT], limit, session)
            if found["done"] > running.done:
                return [product.id for product in there.products.values()]
            # Of a dry run nothing is there, but what it would have made counts.
            made = found["created"] if running.dry_run else 0
            plan = self._plan(running, groups, replace(there, count=there.count + made), now)
            if not running.dry_run:
                await self._write(running.store, plan, there.count, session)
            await self._imports.update_one({"_id": running.id}, _progress(found, plan, now), session=session)
            return [] if running.dry_run else [product.id for product, _ in plan.changed]

        return await self._products.in_turn(running.store, work)

    async def end(self, import_id: str, state: ImportState, now: datetime, reason: str = "") -> None:
        """Note that an import has ended; one that has already stays as it is.

        Raises:
            Unavailable: Mongo does not answer; it may be noted.
        """
        fields = {"state": state.value, "reason": reason, "changed_at": milliseconds(now)}
        async with answering():
            await self._imports.update_one({"_id": import_id, "state": ImportState.RUNNING.value}, {"$set": fields})

    async def get(self, store: str, import_id: str) -> Import:
        """An import of a store.

        Raises:
            NoSuchImport: The store has none of that id.
            Unavailable: Mongo does not answer.
        """
        async with answering():
            found = await self._imports.find_one({"_id": import_id, "store": store})
        if found is None:
            raise NoSuchImport("the store has no such import")
        return _import(found)

    async def latest(self, store: str) -> list[Import]:
        """The last twenty imports of a store, the newest first, without what is wrong with their lines.

        Raises:
            Unavailable: Mongo does not answer.
        """
        async with answering():
            found = self._imports.find({"store": store}, {"faults": 0}).sort("created_at", -1).limit(_LISTED)
            return [_import(document) for document in await found.to_list()]

    async def _there(
        self, store: str, groups: Sequence[ProductLines], count: int, limit: int, session: AsyncClientSession
    ) -> _There:
        ids = [slug_id(store, group.slug) for group in groups]
        slugs = await self._products.slugs.find({"_id": {"$in": ids}}, session=session).to_list()
        by_slug = {document["_id"].partition(":")[2]: document["product"] for document in slugs}
        wanted = {"_id": {"$in": list(set(by_slug.values()))}, "store": store}
        documents = await self._products.products.find(wanted, session=session).to_list()
        by_id = {document["_id"]: product_of(document) for document in documents}
        skus = [sku for group in groups for line in group.lines if (sku := line.cells.get("sku", ""))]
        owners = await self._products.owners_of_skus(store, skus, session)
        tree = tree_of(await self._products.categories.find_one({"_id": store}, session=session))
        return _There(
            {slug: by_id[product] for slug, product in by_slug.items() if product in by_id},
            owners,
            {category.slug: category.id for category in tree},
            await self._products.counted(by_id.values(), session),
            count,
            limit,
        )

    def _plan(self, running: Import, groups: Sequence[ProductLines], there: _There, now: datetime) -> _Plan:
        plan, seen = _Plan(), set()
        for group in groups:
            before, first = there.products.get(group.slug), group.lines[0].number
            taken = [
                LineFault(line.number, "sku", "taken", "another product of the store has it")
                for line in group.lines
                if (owner := there.skus.get(line.cells.get("sku", ""))) and (before is None or owner != before.id)
            ]
            if before is not None and before.id in seen:
                plan.refuse(LineFault(first, "slug", "twice", "earlier lines are about the same product"))
            elif taken:
                plan.refuse(*group.faults, *taken)
            elif before is None and not group.faults and (not is_slug(group.slug) or is_reserved(group.slug)):
                message = "give 1 to 63 of a-z, 0-9 and inner hyphens that are no reserved word"
                plan.refuse(LineFault(first, "slug", "slug", message))
            elif before is None and there.count + len(plan.created) >= there.limit:
                message = f"the plan includes {there.limit} products of a store"
                plan.refuse(*group.faults, LineFault(first, "", "limit", message))
            else:
                self._add(plan, group, before, there, running, milliseconds(now))
            if before is not None:
                seen.add(before.id)
        return plan

    def _add(
        self, plan: _Plan, group: ProductLines, before: Product | None, there: _There, running: Import, now_ms: int
    ) -> None:
        try:
            draft = draft_of_lines(group, before, there.categories)
        except InvalidLines as error:
            plan.refuse(*error.faults)
            return
        if before is None:
            made = new_product(
                draft,
                id=self._new_id(),
                store=running.store,
                slug=group.slug,
                new_id=self._new_id,
                now_ms=now_ms,
                by=running.by,
            )
            plan.created.append(made)
            return
        wanted = with_counted(edited(before, draft, self._new_id), there.counted)
        fields = changed_fields(before, wanted)
        if fields:
            plan.changed.append((as_edited(before, wanted, now_ms, running.by), fields))
        else:
            plan.unchanged += 1

    async def _write(self, store: str, plan: _Plan, count: int, session: AsyncClientSession) -> None:
        changes = [change_document(product, "created") for product in plan.created]
        changes += [change_document(product, "edited", fields) for product, fields in plan.changed]
        if plan.created:
            documents = [product_document(product) for product in plan.created]
            slugs = [{"_id": slug_id(store, each.slug), "product": each.id} for each in plan.created]
            await self._products.products.insert_many(documents, session=session)
            await self._products.slugs.insert_many(slugs, session=session)
            await self._products.count(store, count + len(plan.created), session)
        if plan.changed:
            updates = [UpdateOne({"_id": product.id}, {"$set": edited_fields(product)}) for product, _ in plan.changed]
            await self._products.products.bulk_write(updates, session=session)
        if changes:
            await self._products.changes.insert_many(changes, session=session)


def _progress(found: Mapping[str, Any], plan: _Plan, now: datetime) -> dict[str, Any]:
    room = max(0, MAX_FAULTS - len(found["faults"]))
    kept = [[each.line, each.column, each.code, each.message] for each in plan.faults[:room]]
    counts = {
        "created": len(plan.created),
        "changed": len(plan.changed),
        "unchanged": plan.unchanged,
        "failed": plan.failed,
    }
    more = {**counts, "done": sum(counts.values()), "more_faults": len(plan.faults) - len(kept)}
    return {
        "$inc": more,
        "$push": {"faults": {"$each": kept}},
        "$set": {"changed_at": milliseconds(now)},
    }


def _document(new: Import, expires_at: datetime) -> dict[str, Any]:
    return {
        "_id": new.id,
        "store": new.store,
        "by": new.by,
        "dry_run": new.dry_run,
        "state": new.state.value,
        "products": new.products,
        "done": 0,
        "created": 0,
        "changed": 0,
        "unchanged": 0,
        "failed": 0,
        "faults": [],
        "more_faults": 0,
        "reason": "",
        "created_at": new.created_at,
        "changed_at": new.created_at,
        "expires_at": expires_at,
    }


def _import(document: Mapping[str, Any]) -> Import:
    same = (
        "store", "by", "dry_run", "products", "done", "created", "changed", "unchanged", "failed", "more_faults",
        "reason", "created_at", "changed_at",
    )  # fmt: skip
    return Import(
        id=document["_id"],
        state=ImportState(document["state"]),
        faults=tuple(LineFault(*fault) for fault in document.get("faults", ())),
        **{name: document[name] for name in same},
    )
