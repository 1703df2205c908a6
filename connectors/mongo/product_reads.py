"""Products in Mongo: their documents, and reads of them by id and by address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from connectors.mongo.async_client import Documents, answering
from marketplace.catalog.products import STARS, Availability, Image, Option, Product, ProductState, Variant
from marketplace.collections import PRODUCT_SLUGS, PRODUCTS


class ProductReads:
    """Reads of the collections ``products`` and ``product_slugs``, in every state a product can have.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Documents, database: str) -> None:
        self._products, self._slugs = client[database][PRODUCTS.name], client[database][PRODUCT_SLUGS.name]

    async def many(self, ids: Iterable[str]) -> dict[str, Product]:
        """Those of these products that there are, by id.

        Raises:
            Unavailable: Mongo does not answer.
        """
        wanted = list(set(ids))
        if not wanted:
            return {}
        async with answering():
            found = await self._products.find({"_id": {"$in": wanted}}).to_list()
        return {document["_id"]: product_of(document) for document in found}

    async def get(self, product_id: str) -> Product | None:
        """One product.

        Raises:
            Unavailable: Mongo does not answer.
        """
        async with answering():
            found = await self._products.find_one({"_id": product_id})
        return None if found is None else product_of(found)

    async def by_slug(self, store: str, slug: str) -> Product | None:
        """The product that a slug leads to; where it is an earlier one, the product has another slug now.

        Raises:
            Unavailable: Mongo does not answer.
        """
        async with answering():
            found = await self._slugs.find_one({"_id": slug_id(store, slug)})
        return None if found is None else await self.get(found["product"])


def slug_id(store: str, slug: str) -> str:
    """The id of a slug's document; no slug of a store has a colon."""
    return f"{store}:{slug}"


def product_document(product: Product) -> dict[str, Any]:
    """A product as it is kept."""
    return {
        "_id": product.id,
        "store": product.store,
        "slug": product.slug,
        "title": product.title,
        "description": product.description,
        "state": product.state.value,
        "currency": product.currency,
        "skus": [variant.sku for variant in product.variants],
        "variants": [
            {
                "id": variant.id,
                "sku": variant.sku,
                "values": list(variant.values),
                "price_minor": variant.price_minor,
                "compare_at_minor": variant.compare_at_minor,
                "availability": variant.availability.value,
            }
            for variant in product.variants
        ],
        "options": [{"name": option.name, "values": list(option.values)} for option in product.options],
        "images": [{"url": image.url, "alt": image.alt} for image in product.images],
        "category": product.category,
        "stars": {str(stars): count for stars, count in zip(STARS, product.stars, strict=True)},
        "sold": product.sold,
        "version": product.version,
        "created_at": product.created_at,
        "created_by": product.created_by,
        "changed_at": product.changed_at,
        "changed_by": product.changed_by,
    }


def product_of(document: Mapping[str, Any]) -> Product:
    """The product of a document."""
    one, two, three, four, five = (document["stars"][str(stars)] for stars in STARS)
    return Product(
        id=document["_id"],
        store=document["store"],
        slug=document["slug"],
        title=document["title"],
        description=document["description"],
        state=ProductState(document["state"]),
        currency=document["currency"],
        variants=tuple(
            Variant(
                variant["id"],
                variant["sku"],
                tuple(variant["values"]),
                variant["price_minor"],
                variant["compare_at_minor"],
                Availability(variant["availability"]),
            )
            for variant in document["variants"]
        ),
        options=tuple(Option(option["name"], tuple(option["values"])) for option in document["options"]),
        images=tuple(Image(image["url"], image["alt"]) for image in document["images"]),
        category=document["category"],
        stars=(one, two, three, four, five),
        sold=document["sold"],
        version=document["version"],
        created_at=document["created_at"],
        created_by=document["created_by"],
        changed_at=document["changed_at"],
        changed_by=document["changed_by"],
    )
