"""Whatever several people do to one catalog at one time, its slugs, SKUs, counts, versions and categories hold."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.errors import Unavailable
from marketplace.catalog.drafts import ProductDraft, VariantDraft
from marketplace.catalog.products import ProductState
from marketplace.collections import CATEGORIES, PRODUCT_CHANGES, PRODUCT_SLUGS, PRODUCTS, STORES
from marketplace.entitlements import ENTITLEMENTS, Tier
from marketplace.identity.tenancy import TenancyError
from ops.stack import Stack
from tests.kits.depth import CHAOS, CHAOS_SEEDS
from tests.kits.products import product, put_products
from tests.kits.tenancy import World, run_in_world

# Room for four products, so that the limit is met.
THERE_ALREADY = ENTITLEMENTS[Tier.FREE].products - 4
TITLES = ["Mug", "Cup", "new", "มัก"]
actions = st.one_of(
    st.tuples(st.just("create"), st.sampled_from(TITLES), st.integers(0, 4)),
    st.tuples(st.just("create as"), st.sampled_from(["mug", "cup"]), st.integers(0, 4)),
    st.tuples(st.just("rename"), st.integers(0, 5), st.sampled_from(["mug", "cup", "bowl"])),
    st.tuples(st.just("sku"), st.integers(0, 5), st.integers(0, 4)),
    st.tuples(st.just("state"), st.integers(0, 5), st.sampled_from(list(ProductState))),
    st.tuples(st.just("category"), st.integers(0, 5), st.integers(0, 2)),
    st.tuples(st.just("delete"), st.integers(0, 5), st.none()),
    st.tuples(st.just("add category"), st.sampled_from(TITLES), st.none()),
    st.tuples(st.just("remove category"), st.integers(0, 2), st.none()),
    st.tuples(st.just("import"), st.sampled_from(["mug", "bowl"]), st.integers(0, 4)),
)


async def own_products(world: World) -> list[dict[str, Any]]:
    """Those that are not there from the beginning, in the order in which they came."""
    found = world.client[world.database][PRODUCTS.name].find({"store": "shop", "created_by": "ann"})
    return await found.sort("_id").to_list()


async def act(world: World, what: str, one: Any, other: Any) -> str:
    """Do something as one of several people; returns what came of it."""
    catalog = world.catalog
    there = await own_products(world)
    tree = await catalog.categories("shop")
    target = there[one % len(there)]["_id"] if there and isinstance(one, int) else "0" * 32
    try:
        if what.startswith("create"):
            draft = ProductDraft(str(one), "EUR", (VariantDraft(f"SKU-{other}", (), 1),), state=ProductState.ACTIVE)
            await catalog.create("shop", "ann", draft, str(one) if what == "create as" else None, Tier.FREE)
        elif what == "rename":
            await catalog.edit("shop", "ann", target, {"slug": other})
        elif what == "sku":
            await catalog.edit("shop", "ann", target, {"variants": (VariantDraft(f"SKU-{other}", (), 2),)})
        elif what == "state":
            await catalog.edit("shop", "ann", target, {"state": other})
        elif what == "category":
            wanted = tree[other % len(tree)].id if tree else None
            await catalog.edit("shop", "ann", target, {"category": wanted})
        elif what == "delete":
            await catalog.delete("shop", "ann", target)
        elif what == "add category":
            await catalog.add_category("shop", "ann", one, parent=tree[0].id if tree else None)
        elif what == "remove category":
            await catalog.remove_category("shop", "ann", tree[one % len(tree)].id if tree else "0" * 32)
        else:
            file = f"slug,title,currency,sku,price\n{one},Title,EUR,SKU-{other},3.00\n"
            await catalog.files.begin("shop", "ann", file.encode(), Tier.FREE, dry_run=False)
            await catalog.files.idle()
    except (TenancyError, Unavailable) as error:
        return type(error).__name__
    return "done"


async def assert_sound(world: World) -> None:
    mongo = world.client[world.database]
    products = {each["_id"]: each for each in await mongo[PRODUCTS.name].find({"store": "shop"}).to_list()}
    store = await mongo[STORES.name].find_one({"_id": "shop"})
    assert store is not None
    assert len(products) <= ENTITLEMENTS[Tier.FREE].products
    assert store.get("product_count", len(products)) == len(products)

    slugs = {each["_id"]: each["product"] for each in await mongo[PRODUCT_SLUGS.name].find().to_list()}
    assert set(slugs.values()) == products.keys()
    assert {id: slugs[f"shop:{each['slug']}"] for id, each in products.items()} == {id: id for id in products}

    skus = Counter(sku for each in products.values() for sku in each["skus"])
    assert max(skus.values(), default=0) <= 1

    changes = await mongo[PRODUCT_CHANGES.name].find().to_list()
    made = Counter(each["product"] for each in changes)
    for id, each in products.items():
        assert made.get(id, 1) == each["version"]
    deleted = {each["product"] for each in changes if each["kind"] == "deleted"}
    assert not deleted & products.keys()

    tree = await mongo[CATEGORIES.name].find_one({"_id": "shop"})
    known = {each["id"] for each in tree["categories"]} if tree else set()
    assert {each["category"] for each in products.values()} <= known | {None}
    assert {each["parent"] for each in tree["categories"]} <= known | {None} if tree else True


@CHAOS
def test_whatever_several_people_do_to_a_catalog_at_one_time_it_stays_sound(stack: Stack, database: str) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        before = [product(slug=f"old-{at}", created_by="max") for at in range(THERE_ALREADY)]
        await put_products(world.client, world.database, before)
        for together in rounds:
            await asyncio.gather(*(act(world, *each) for each in together))
            await assert_sound(world)

    rounds: list[list[tuple[str, Any, Any]]] = []

    @settings(
        max_examples=3 if CHAOS_SEEDS < 3 else 20 * CHAOS_SEEDS,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(st.lists(st.lists(actions, min_size=1, max_size=4), min_size=3, max_size=8))
    def play(given_rounds: list[list[tuple[str, Any, Any]]]) -> None:
        rounds[:] = given_rounds
        run_in_world(stack.urls.mongo, database, work)

    play()
