"""Products for tests, made whole and put into Mongo as they are."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from connectors.mongo.async_client import Documents
from connectors.mongo.product_reads import product_document, slug_id
from marketplace.catalog.products import Availability, Product, ProductState, Variant
from marketplace.collections import PRODUCT_SLUGS, PRODUCTS


def product(title: str = "Blue mug", **fields: Any) -> Product:
    """An active product of the store ``shop`` with one variant for 12.50 euros; fields replace what it has."""
    own = uuid.uuid4().hex
    price, many = fields.pop("price_minor", 1250), fields.pop("availability", Availability.MANY)
    given: dict[str, Any] = {
        "id": own,
        "store": "shop",
        "slug": f"product-{own[:8]}",
        "title": title,
        "description": "",
        "state": ProductState.ACTIVE,
        "currency": "EUR",
        "variants": (Variant(f"{own[:30]}00", f"SKU-{own[:8]}", (), price, None, many),),
        "created_at": 1_796_000_000_000,
        "created_by": "ann",
        "changed_at": 1_796_000_000_000,
        "changed_by": "ann",
    }
    return Product(**{**given, **fields})


async def put_products(client: Documents, database: str, products: Iterable[Product]) -> None:
    """Write products and their slugs past all rules."""
    made = list(products)
    mongo = client[database]
    await mongo[PRODUCTS.name].insert_many([product_document(each) for each in made])
    await mongo[PRODUCT_SLUGS.name].insert_many(
        [{"_id": slug_id(each.store, each.slug), "product": each.id} for each in made]
    )
