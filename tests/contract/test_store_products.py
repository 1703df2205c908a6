"""A store's products as its dashboard reads them from a real Mongo."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.errors import Unavailable
from connectors.mongo.async_client import connect_async
from connectors.mongo.client import connect
from connectors.mongo.product_reads import product_document, slug_id
from connectors.mongo.store_products import StoreProducts
from marketplace.catalog.products import Product, Variant
from marketplace.collections import PRODUCT_SLUGS, PRODUCTS
from ops.stack import Stack
from tests.kits.products import product, put_products

MUG = product(
    "Blue mug",
    slug="blue-mug",
    variants=(Variant("v1", "MUG-S", ("S",), 900), Variant("v2", "MUG-L", ("L",), 1200)),
    created_at=1,
)
BOWL = product("Bowl", slug="bowl", created_at=2)
FOREIGN = product("Foreign", store="other", slug="mug-of-others")


@pytest.fixture(scope="module")
def mongo(stack: Stack) -> Iterator[Any]:
    database = f"contract_{uuid.uuid4().hex}"

    async def fill(products: list[Product]) -> None:
        client = connect_async(stack.urls.mongo)
        await put_products(client, database, products)
        await client.close()

    asyncio.run(fill([MUG, BOWL, FOREIGN]))
    client = connect(stack.urls.mongo)
    yield client[database]
    client.drop_database(database)
    client.close()


@pytest.fixture
def products(mongo: Any) -> StoreProducts:
    return StoreProducts(mongo.client, mongo.name)


def test_titles_are_found_by_id_by_slug_and_by_sku(products: StoreProducts) -> None:
    asked = [MUG.id, "blue-mug", "MUG-L", "bowl", "nothing", "", "$where", "f" * 32]
    assert products.titles("shop", asked) == {
        MUG.id: "Blue mug", "blue-mug": "Blue mug", "MUG-L": "Blue mug", "bowl": "Bowl",
    }  # fmt: skip


def test_an_earlier_slug_has_the_title_of_now(products: StoreProducts, mongo: Any) -> None:
    mongo[PRODUCT_SLUGS.name].insert_one({"_id": "shop:old-name", "product": BOWL.id})
    assert products.titles("shop", ["old-name"]) == {"old-name": "Bowl"}


def test_a_product_of_another_store_has_no_title(products: StoreProducts) -> None:
    assert products.titles("shop", [FOREIGN.id, "mug-of-others", FOREIGN.variants[0].sku]) == {}
    assert products.titles("other", [FOREIGN.id]) == {FOREIGN.id: "Foreign"}


def test_titles_of_more_products_than_one_question_asks_for_are_found(products: StoreProducts, mongo: Any) -> None:
    many = [product(f"Cup {at}", store="many", slug=f"cup-{at}", created_at=at) for at in range(210)]
    mongo[PRODUCTS.name].insert_many([product_document(each) for each in many])
    mongo[PRODUCT_SLUGS.name].insert_many([{"_id": slug_id("many", each.slug), "product": each.id} for each in many])
    for names in ([each.id for each in many], [each.slug for each in many], [each.variants[0].sku for each in many]):
        titles = {name: each.title for name, each in zip(names, many, strict=True)}
        assert products.titles("many", names) == titles


def test_products_are_listed_whole_the_newest_first(products: StoreProducts) -> None:
    assert products.listed("shop") == [BOWL, MUG]
    assert products.listed("nowhere") == []


def test_without_mongo_nothing_is_known_within_seconds() -> None:
    client = connect("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100")
    try:
        for ask in (
            lambda: StoreProducts(client, "x").titles("shop", ["a"]),
            lambda: StoreProducts(client, "x").listed("shop"),
        ):
            with pytest.raises(Unavailable):
                ask()
    finally:
        client.close()
