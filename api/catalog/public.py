"""What everybody may read of a shop, as it is sent: the shop, its categories, and products that are active."""

from __future__ import annotations

from typing import Any

from api.catalog.answers import STORE_TAG, Answer, CatalogAnswers, Made, Make, product_tag
from api.web.times import rfc3339
from connectors.mongo.categories import Categories
from connectors.mongo.product_reads import ProductReads
from connectors.mongo.tenant_stores import TenantStores
from connectors.redis.read_cache import Key
from marketplace.catalog.categories import Category, Tree, path_to
from marketplace.catalog.products import STARS, Product, ProductState
from marketplace.stores import SLUG, Store


class PublicCatalog:
    """Answers of the public routes.

    Args:
        stores: Where stores are.
        categories: Where their categories are.
        products: Where their products are.
        answers: Where answers are kept.
    """

    def __init__(
        self, stores: TenantStores, categories: Categories, products: ProductReads, answers: CatalogAnswers
    ) -> None:
        self._stores, self._categories, self._products, self._answers = stores, categories, products, answers

    async def shop(self, shop: str) -> Answer | None:
        """A shop; None where there is none.

        Raises:
            Unavailable: Mongo does not answer.
        """

        async def make() -> Made | None:
            store = await self.store(shop)
            return None if store is None else Made(Answer.of(shop_fields(store)), (STORE_TAG,))

        return await self._get(shop, "shop", make)

    async def categories(self, shop: str) -> Answer | None:
        """The categories of a shop; None where there is no such shop.

        Raises:
            Unavailable: Mongo does not answer.
        """

        async def make() -> Made | None:
            if await self.store(shop) is None:
                return None
            tree = await self._categories.of_store(shop)
            return Made(Answer.of({"categories": [category_fields(each) for each in tree]}), (STORE_TAG,))

        return await self._get(shop, "categories", make)

    async def product(self, shop: str, slug: str) -> Answer | None:
        """A product that is active, or where it is by now; None where there is none.

        Args:
            shop: The slug of its store.
            slug: Its slug, or an earlier one.

        Raises:
            Unavailable: Mongo does not answer.
        """

        async def make() -> Made | None:
            store = await self.store(shop)
            product = None if store is None else await self._products.by_slug(shop, slug)
            if store is None or product is None or product.state is not ProductState.ACTIVE:
                return None
            if product.slug != slug:
                answer = Answer.elsewhere(f"/v1/shops/{shop}/products/{product.slug}")
            else:
                tree = await self._categories.of_store(shop) if product.category else ()
                answer = Answer.of(product_fields(store, product, tree))
            return Made(answer, (STORE_TAG, product_tag(product.id)))

        return await self._get(shop, f"product:{slug}", make) if SLUG.fullmatch(slug) else None

    async def store(self, shop: str) -> Store | None:
        """The store of a slug, where it can be seen.

        Raises:
            Unavailable: Mongo does not answer.
        """
        found = await self._stores.get(shop) if SLUG.fullmatch(shop) else None
        return None if found is None else found.store

    async def _get(self, shop: str, name: str, make: Make) -> Answer | None:
        return await self._answers.get(Key(shop, name), make) if SLUG.fullmatch(shop) else None


def shop_fields(store: Store) -> dict[str, Any]:
    """What everybody may know of a store."""
    return {"slug": store.slug, "title": store.title}


def category_fields(category: Category) -> dict[str, Any]:
    """A category as everybody sees it."""
    return {"id": category.id, "slug": category.slug, "name": category.name, "parent": category.parent}


def product_fields(store: Store, product: Product, tree: Tree) -> dict[str, Any]:
    """A product as everybody sees it."""
    return {
        "id": product.id,
        "slug": product.slug,
        "shop": shop_fields(store),
        "title": product.title,
        "description": product.description,
        "currency": product.currency,
        "options": [{"name": each.name, "values": list(each.values)} for each in product.options],
        "variants": [
            {
                "id": each.id,
                "sku": each.sku,
                "values": list(each.values),
                "price_minor": each.price_minor,
                "compare_at_minor": each.compare_at_minor,
                "availability": each.availability.value,
            }
            for each in product.variants
        ],
        "images": [{"url": each.url, "alt": each.alt} for each in product.images],
        "categories": [category_fields(each) for each in path_to(tree, product.category)],
        "rating": product.rating,
        "reviews": product.reviews,
        "stars": {str(stars): count for stars, count in zip(STARS, product.stars, strict=True)},
        "version": product.version,
        "changed_at": rfc3339(product.changed_at),
    }
