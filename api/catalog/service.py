"""Catalogs of stores: what their sellers do, without HTTP. Answers that a change makes wrong are forgotten with it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from api.catalog.answers import STORE_TAG, CatalogAnswers, product_tag
from api.catalog.imports import CatalogFiles
from api.catalog.public import PublicCatalog
from connectors.mongo.async_client import Documents
from connectors.mongo.categories import Categories
from connectors.mongo.product_imports import ProductImports
from connectors.mongo.product_reads import ProductReads
from connectors.mongo.products import Change, Products
from connectors.mongo.tenant_stores import TenantStores
from connectors.mongo.times import milliseconds
from connectors.mongo.turns import Turns
from connectors.redis.read_cache import ReadCache
from marketplace.catalog import categories as trees
from marketplace.catalog.categories import Category, Tree
from marketplace.catalog.drafts import ProductDraft, checked, draft_of, edited, product_of
from marketplace.catalog.products import Product, ProductState
from marketplace.catalog.refusals import Fault, InvalidCatalog, NoSuchProduct
from marketplace.catalog.slugs import checked_slug, slug_of_title, with_suffix
from marketplace.entitlements import ENTITLEMENTS, Tier

_ID_BYTES: Final = 16


class CatalogService:
    """Products and categories of stores.

    Args:
        products: Changes of products, and sellers' lists.
        reads: Reads of products.
        categories: The categories of stores.
        stores: The stores.
        answers: Public answers.
        imports: Imports of files.
        clock: The time.
    """

    def __init__(
        self,
        products: Products,
        reads: ProductReads,
        categories: Categories,
        stores: TenantStores,
        answers: CatalogAnswers,
        imports: ProductImports,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._products, self.reads, self._categories, self._clock = products, reads, categories, clock
        self.turns = products.turns
        self.answers, self.public = answers, PublicCatalog(stores, categories, reads, answers)
        self.files = CatalogFiles(imports, products, reads, categories, answers, clock)

    @staticmethod
    def on_mongo(
        client: Documents,
        database: str,
        cache: ReadCache | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> CatalogService:
        """On the collections of a database; the caller closes the client.

        Args:
            client: A connected client.
            database: The database's name.
            cache: Where public answers are kept; None where they are made for each request.
            clock: The time.
        """
        turns = Turns()
        products = Products(client, database, turns)
        return CatalogService(
            products,
            ProductReads(client, database),
            Categories(client, database, turns),
            TenantStores(client, database),
            CatalogAnswers(cache),
            ProductImports(client, database, products, _new_id),
            clock,
        )

    async def close(self) -> None:
        """End what goes on beside requests."""
        await self.files.close()
        await self.answers.close()

    async def create(self, store: str, actor: str, draft: ProductDraft, slug: str | None, tier: Tier) -> Product:
        """Put up a product.

        Args:
            store: The slug of its store.
            actor: Who asks: of an API key, its maker.
            draft: What it is to be.
            slug: None for one that is made of the title.
            tier: The store's.

        Raises:
            InvalidCatalog: A value is not valid.
            SlugReserved: The slug is given to nothing.
            TenancyError: See :meth:`Products.create`.
            Unavailable: Mongo does not answer; it may be there.
        """
        plain, id = checked(draft), secrets.token_hex(_ID_BYTES)
        if slug is None:
            made = slug_of_title(plain.title)
            slugs = [made, with_suffix(made, id[:6]), with_suffix(made, id)]
        else:
            slugs = [checked_slug(slug)]
        product = product_of(
            plain, id=id, store=store, slug=slugs[0], new_id=_new_id, now_ms=milliseconds(self._clock()), by=actor
        )
        # Nothing of it is kept yet: what there is not is made for each request.
        return await self._products.create(product, slugs, ENTITLEMENTS[tier].products)

    async def get(self, store: str, product_id: str) -> Product:
        """A product of a store, in any state.

        Raises:
            NoSuchProduct: The store has no such product.
            Unavailable: Mongo does not answer.
        """
        found = await self.reads.get(product_id)
        if found is None or found.store != store:
            raise NoSuchProduct("the store has no such product")
        return found

    async def edit(
        self, store: str, actor: str, product_id: str, fields: Mapping[str, Any], version: int | None = None
    ) -> Product:
        """Change a product.

        Args:
            store: The slug of its store.
            actor: Who asks: of an API key, its maker.
            product_id: The product's.
            fields: New values, by the names in :class:`ProductDraft`, and ``slug``; others stay.
            version: The one that is edited; None for whatever is there.

        Raises:
            InvalidCatalog: The result is not valid.
            SlugReserved: The slug is given to nothing.
            TenancyError: See :meth:`Products.edit`.
            Unavailable: Mongo does not answer; it may be changed.
        """
        wanted = dict(fields)
        slug = wanted.pop("slug", None)
        if slug is not None:
            checked_slug(slug)

        def change(before: Product) -> Product:
            if wanted.get("currency", before.currency) != before.currency and "variants" not in wanted:
                message = "give the variants with it: their prices are in its minor units"
                raise InvalidCatalog([Fault("/currency", "alone", message)])
            after = edited(before, checked(replace(draft_of(before), **wanted)), _new_id)
            return after if slug is None else replace(after, slug=slug)

        async with self.answers.changing(store, [product_tag(product_id)]):
            return await self._products.edit(store, actor, product_id, version, change, self._clock())

    async def delete(self, store: str, actor: str, product_id: str) -> None:
        """Delete a product; see :meth:`Products.delete` for what is kept, and for the errors."""
        async with self.answers.changing(store, [product_tag(product_id)]):
            await self._products.delete(store, actor, product_id, self._clock())

    async def page(self, store: str, after: str, limit: int, state: ProductState | None) -> tuple[list[Product], str]:
        """A page of a store's products by slug.

        Args:
            store: The slug of the store.
            after: Only those behind this slug.
            limit: At most so many.
            state: Only those of this one; None for all.

        Returns:
            The products, and the slug that the next page comes after; empty where there is none.

        Raises:
            Unavailable: Mongo does not answer.
        """
        found = await self._products.page(store, after, limit + 1, state)
        return found[:limit], found[limit - 1].slug if len(found) > limit else ""

    async def history(self, store: str, product_id: str, before: int, limit: int) -> tuple[list[Change], int]:
        """A page of a product's changes, the newest first.

        Args:
            store: The slug of its store.
            product_id: The product's, which may be deleted by now.
            before: Only those of lower versions.
            limit: At most so many.

        Returns:
            The changes, and the version that the next page comes before; 0 where there is none.

        Raises:
            NoSuchProduct: The store never had such a product.
            Unavailable: Mongo does not answer.
        """
        found = await self._products.history(store, product_id, before, limit + 1)
        if not found:
            await self.get(store, product_id)
        return found[:limit], found[limit - 1].version if len(found) > limit else 0

    async def categories(self, store: str) -> Tree:
        """The categories of a store.

        Raises:
            Unavailable: Mongo does not answer.
        """
        return await self._categories.of_store(store)

    async def add_category(
        self, store: str, actor: str, name: str, slug: str | None = None, parent: str | None = None
    ) -> Category:
        """Add a category; see :func:`marketplace.catalog.categories.with_added` for the values and the errors."""
        id = _new_id()
        tree = await self._change(store, actor, lambda tree: trees.with_added(tree, id, name, slug, parent))
        return trees.get(tree, id)

    async def edit_category(self, store: str, actor: str, id: str, fields: Mapping[str, Any]) -> Category:
        """Change a category: its ``name``, ``slug`` or ``parent``; others stay.

        See :func:`marketplace.catalog.categories.with_edited` for the errors.
        """
        tree = await self._change(store, actor, lambda tree: trees.with_edited(tree, id, **fields))
        return trees.get(tree, id)

    async def remove_category(self, store: str, actor: str, id: str) -> None:
        """Remove a category that has no products and none below it; see :func:`without` for the errors."""
        await self._change(store, actor, lambda tree: trees.without(tree, id), emptied=id)

    async def forget(self, store: str, products: Iterable[str] = (), *, everything: bool = False) -> None:
        """Forget public answers of products that were changed elsewhere, such as their stars; it never fails.

        Args:
            store: The slug of the store.
            products: The ids of the products.
            everything: Whether all answers of the store are wrong, as after a change of the store itself.
        """
        tags = [STORE_TAG] if everything else [product_tag(each) for each in products]
        await self.answers.forget(store, tags)

    async def stars_changed(self, product: Product) -> None:
        """Forget public answers of a product whose reviews have changed; it never fails."""
        await self.forget(product.store, [product.id])

    async def products_changed(self, store: str, products: list[str]) -> None:
        """Forget public answers of products of which there is more or less by now; it never fails."""
        await self.forget(store, products)

    async def _change(self, store: str, actor: str, change: Callable[[Tree], Tree], emptied: str | None = None) -> Tree:
        # Products say what they are in, with all that it is in.
        async with self.answers.changing(store, [STORE_TAG]):
            return await self._categories.change(store, actor, change, emptied)


def _new_id() -> str:
    return secrets.token_hex(_ID_BYTES)
