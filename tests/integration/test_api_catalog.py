"""Catalogs by HTTP: what sellers put up, and what everybody sees of it."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import httpx

from connectors.redis.read_cache import Key, ReadCache
from connectors.redis.sessions import connect_async
from marketplace.collections import PRODUCTS, STORES
from ops.stack import Stack
from tests.kits.products import product, put_products
from tests.kits.tenancy import Run, World


def body(title: str = "Blue mug", sku: str = "MUG", **more: Any) -> dict[str, Any]:
    return {"title": title, "currency": "EUR", "variants": [{"sku": sku, "price_minor": 1250}], **more}


async def create(world: World, sent: dict[str, Any], status: int = 201, store: str = "shop") -> dict[str, Any]:
    answer = await world.ask("POST", f"/v1/stores/{store}/products", "ann", json=sent)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def edit(world: World, made: dict[str, Any], sent: dict[str, Any], version: int | None = None) -> httpx.Response:
    etag = f'"{made["version"] if version is None else version}"'
    path = f"/v1/stores/shop/products/{made['id']}"
    return await world.ask("PATCH", path, "ann", json=sent, headers={"if-match": etag})


async def seen(world: World, slug: str, store: str = "shop") -> httpx.Response:
    return await world.ask("GET", f"/v1/shops/{store}/products/{slug}")


def pointers(answer: httpx.Response) -> list[str]:
    return [error["path"] for error in answer.json()["errors"]]


def test_a_product_that_is_put_up_is_read_back_as_it_was_answered(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        sent = body(
            description="Of stoneware.\r\nBlue.",
            options=[{"name": "Size", "values": ["S", "L"]}],
            variants=[
                {"sku": "S", "values": ["S"], "price_minor": 1624},
                {"sku": "L", "values": ["L"], "price_minor": 1900, "compare_at_minor": 2000, "availability": "few"},
            ],
            currency="JPY",
            images=[{"url": "https://shop.example/mug.jpg", "alt": "A mug"}],
        )
        answer = await world.ask("POST", "/v1/stores/shop/products", "ann", json=sent)
        assert (answer.status_code, answer.headers["etag"]) == (201, '"1"')
        again = await world.ask("GET", answer.headers["location"], "ann")
        assert again.json() == answer.json()
        made = again.json()
        assert (made["slug"], made["state"], made["description"]) == ("blue-mug", "draft", "Of stoneware.\nBlue.")
        assert [each["price_minor"] for each in made["variants"]] == [1624, 1900]
        assert made["created_by"] == "ann"

    run(work)


def test_only_an_active_product_of_the_shop_itself_is_seen_by_everybody(run: Run) -> None:
    async def work(world: World) -> None:
        await world.user("ann", premium=True)
        await world.store("shop", ann="owner")
        await world.store("other", ann="owner")
        made = await create(world, body())
        assert (await seen(world, "blue-mug")).status_code == 404
        assert (await edit(world, made, {"state": "active"})).status_code == 200
        answer = await seen(world, "blue-mug")
        assert (answer.status_code, answer.json()["shop"]) == (200, {"slug": "shop", "title": "Shop"})
        assert "created_by" not in answer.text
        assert "ann" not in answer.text
        assert (await seen(world, "blue-mug", "other")).status_code == 404
        assert (await edit(world, made, {"state": "archived"}, version=2)).status_code == 200
        assert (await seen(world, "blue-mug")).status_code == 404

    run(work)


def test_a_public_answer_is_not_sent_again_while_it_is_the_same(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        await create(world, body(state="active"))
        for path in ("/v1/shops/shop", "/v1/shops/shop/categories", "/v1/shops/shop/products/blue-mug"):
            answer = await world.ask("GET", path)
            same = await world.ask("GET", path, headers={"if-none-match": f'"x", W/{answer.headers["etag"]}'})
            assert (answer.status_code, same.status_code, same.content) == (200, 304, b""), path
            assert same.headers["etag"] == answer.headers["etag"]

    run(work)


def test_earlier_slugs_lead_to_the_product_and_belong_to_no_other_one(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        made = await create(world, body(state="active"))
        for version, slug in ((1, "azure-mug"), (2, "navy-mug")):
            assert (await edit(world, made, {"slug": slug}, version=version)).status_code == 200
        for earlier in ("blue-mug", "azure-mug"):
            answer = await seen(world, earlier)
            assert (answer.status_code, answer.headers["location"]) == (301, "/v1/shops/shop/products/navy-mug")
        taken = await world.ask("POST", "/v1/stores/shop/products", "ann", json=body(sku="X", slug="blue-mug"))
        assert (taken.status_code, pointers(taken)) == (409, ["/slug"])
        assert (await create(world, body(sku="Y")))["slug"].startswith("blue-mug-")
        # Its own earlier one comes back.
        assert (await edit(world, made, {"slug": "blue-mug"}, version=3)).status_code == 200
        assert (await seen(world, "blue-mug")).status_code == 200

    run(work)


def test_twenty_products_of_one_title_at_one_time_get_twenty_slugs(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        made = await asyncio.gather(*(create(world, body("ทดสอบ", sku=str(at))) for at in range(20)))
        assert len({each["slug"] for each in made}) == 20

    run(work)


def test_the_limit_of_the_tier_holds_for_products_that_are_put_up_at_one_time(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        # Whatever its state, a product counts.
        archived = [product(slug=f"old-{at}") for at in range(95)]
        await put_products(world.client, world.database, archived)
        path = "/v1/stores/shop/products"
        answers = await asyncio.gather(
            *(world.ask("POST", path, "ann", json=body(sku=str(at))) for at in range(12)),
        )
        assert sorted(answer.status_code for answer in answers) == [201] * 5 + [403] * 7
        refused = next(answer for answer in answers if answer.status_code == 403)
        assert refused.json()["type"] == "/problems/limit"
        assert await world.client[world.database][PRODUCTS.name].count_documents({"store": "shop"}) == 100
        assert (await world.ask("DELETE", f"{path}/{archived[0].id}", "ann")).status_code == 204
        assert (await world.ask("POST", path, "ann", json=body(sku="one more"))).status_code == 201
        assert (await world.ask("POST", path, "ann", json=body(sku="and one"))).status_code == 403

    run(work)


def test_of_twenty_edits_of_one_version_one_succeeds_and_the_others_are_stale(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        made = await create(world, body())
        answers = await asyncio.gather(*(edit(world, made, {"title": f"Title {at}"}) for at in range(20)))
        assert sorted(answer.status_code for answer in answers) == [200] + [412] * 19
        none = await world.ask("PATCH", f"/v1/stores/shop/products/{made['id']}", "ann", json={"title": "X"})
        assert none.status_code == 428
        for tag in ('W/"2"', "*"):
            path = f"/v1/stores/shop/products/{made['id']}"
            weak = await world.ask("PATCH", path, "ann", json={"title": "X"}, headers={"if-match": tag})
            assert weak.status_code == 412, tag

    run(work)


def test_an_edit_changes_what_it_names_and_null_clears_the_category(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        mugs = (await world.ask("POST", "/v1/stores/shop/categories", "ann", json={"name": "Mugs"})).json()
        made = await create(world, body(category=mugs["id"], description="Text"))
        after = (await edit(world, made, {"title": "New"})).json()
        counted = {"title", "version", "changed_at", "changed_by"}
        assert {k: v for k, v in after.items() if k not in counted} == {
            k: v for k, v in made.items() if k not in counted
        }
        assert (await edit(world, after, {"category": None})).json()["category"] is None
        unknown = await edit(world, after, {"category": "0" * 32}, version=3)
        assert (unknown.status_code, pointers(unknown)) == (422, ["/category"])
        alone = await edit(world, after, {"currency": "JPY"}, version=3)
        assert (alone.status_code, pointers(alone)) == (422, ["/currency"])

    run(work)


def test_stars_and_sales_change_no_version_and_survive_an_edit(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        made = await create(world, body(state="active"))
        products = world.client[world.database][PRODUCTS.name]
        await products.update_one({"_id": made["id"]}, {"$inc": {"stars.5": 2, "sold": 3}})
        after = await edit(world, made, {"title": "New"})
        assert after.status_code == 200
        assert (after.json()["reviews"], after.json()["sold"], after.json()["rating"]) == (2, 3, 5.0)

    run(work)


def test_a_sku_belongs_to_one_product_of_a_store(run: Run) -> None:
    async def work(world: World) -> None:
        await world.user("ann", premium=True)
        await world.store("shop", ann="owner")
        await world.store("other", ann="owner")
        await create(world, body(sku="MUG"))
        other = await create(world, body(sku="CUP"))
        refused = await world.ask("POST", "/v1/stores/shop/products", "ann", json=body(sku="MUG"))
        assert (refused.status_code, pointers(refused)) == (409, ["/variants/0/sku"])
        changed = await edit(
            world, other, {"variants": [{"sku": "NEW", "price_minor": 1}, {"sku": "MUG", "price_minor": 1}]}
        )
        assert changed.status_code == 422  # two variants without a choice
        changed = await edit(world, other, {"variants": [{"sku": "MUG", "price_minor": 1}]})
        assert (changed.status_code, pointers(changed)) == (409, ["/variants/0/sku"])
        await create(world, body(sku="MUG"), store="other")

    run(work)


def test_who_changed_what_and_when_is_kept_also_of_a_product_that_was_deleted(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner", max="manager")
        made = await create(world, body())
        path = f"/v1/stores/shop/products/{made['id']}"
        await world.ask("PATCH", path, "max", json={"title": "New", "state": "active"}, headers={"if-match": '"1"'})
        assert (await world.ask("DELETE", path, "ann")).status_code == 204
        assert (await world.ask("GET", path, "ann")).status_code == 404
        first = (await world.ask("GET", f"{path}/changes", "ann", params={"limit": "2"})).json()
        assert [(c["kind"], c["fields"], c["by"]) for c in first["changes"]] == [
            ("deleted", [], "ann"),
            ("edited", ["state", "title"], "max"),
        ]
        rest = await world.ask("GET", f"{path}/changes", "ann", params={"cursor": first["next"]})
        assert [c["kind"] for c in rest.json()["changes"]] == ["created"]
        assert rest.json()["next"] is None
        assert (await world.ask("GET", f"/v1/stores/shop/products/{'0' * 32}/changes", "ann")).status_code == 404

    run(work)


def test_a_list_of_products_gives_each_once_by_state(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        for at in range(5):
            await create(world, body(sku=str(at), state="active" if at % 2 else "draft"))
        for query, count in (({}, 5), ({"state": "active"}, 2), ({"state": "archived"}, 0)):
            found: list[str] = []
            cursor: str | None = ""
            while cursor is not None:
                parameters = {"limit": "2", **query, **({"cursor": cursor} if cursor else {})}
                page = (await world.ask("GET", "/v1/stores/shop/products", "ann", params=parameters)).json()
                found += [each["id"] for each in page["products"]]
                cursor = page["next"]
            assert len(found) == len(set(found)) == count, query

    run(work)


def test_a_category_that_is_used_stays_and_none_is_in_itself(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        path = "/v1/stores/shop/categories"
        top = (await world.ask("POST", path, "ann", json={"name": "Kitchen"})).json()
        low = (await world.ask("POST", path, "ann", json={"name": "Mugs", "parent": top["id"]})).json()
        made = await create(world, body(category=low["id"], state="active"))
        shown = (await seen(world, "blue-mug")).json()["categories"]
        assert [each["slug"] for each in shown] == ["kitchen", "mugs"]
        assert (await world.ask("DELETE", f"{path}/{top['id']}", "ann")).status_code == 409
        assert (await world.ask("DELETE", f"{path}/{low['id']}", "ann")).status_code == 409
        circle = await world.ask("PATCH", f"{path}/{top['id']}", "ann", json={"parent": low["id"]})
        assert (circle.status_code, pointers(circle)) == (422, ["/parent"])
        assert (await edit(world, made, {"category": None})).status_code == 200
        assert (await world.ask("DELETE", f"{path}/{low['id']}", "ann")).status_code == 204
        assert (await world.ask("GET", path, "ann")).json() == {"categories": [top]}

    run(work)


def test_of_a_category_that_is_removed_while_a_product_gets_it_one_change_is_refused(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        path = "/v1/stores/shop/categories"
        for at in range(5):
            mugs = (await world.ask("POST", path, "ann", json={"name": f"Mugs {at}"})).json()
            made = await create(world, body(sku=str(at)))
            changed, removed = await asyncio.gather(
                edit(world, made, {"category": mugs["id"]}), world.ask("DELETE", f"{path}/{mugs['id']}", "ann")
            )
            assert (changed.status_code, removed.status_code) in {(200, 409), (422, 204)}

    run(work)


def test_a_shop_that_was_deleted_is_seen_by_nobody(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        await create(world, body(state="active"))
        assert (await seen(world, "blue-mug")).status_code == 200
        assert (await world.ask("DELETE", "/v1/stores/shop", "ann")).status_code == 204
        assert await world.client[world.database][STORES.name].count_documents({"_id": "shop"}) == 1
        for path in ("/v1/shops/shop", "/v1/shops/shop/categories", "/v1/shops/shop/products/blue-mug"):
            assert (await world.ask("GET", path)).status_code == 404, path

    run(work)


def test_what_is_kept_for_everybody_changes_with_whatever_changes_it(run: Run, stack: Stack) -> None:
    async def work(world: World) -> None:
        redis = connect_async(stack.urls.redis)
        # Keys of other tests' stores of this name may be there.
        shop = f"shop-{uuid.uuid4().hex[:8]}"
        own = World(world.client, world.database, cache=ReadCache(redis))
        await own.store(shop, ann="owner")
        await own.user("bea")
        path, public = f"/v1/stores/{shop}", f"/v1/shops/{shop}/products/mug"
        mugs = (await own.ask("POST", f"{path}/categories", "ann", json={"name": "Mugs"})).json()
        sent = body(slug="mug", state="active", category=mugs["id"])
        made = (await own.ask("POST", f"{path}/products", "ann", json=sent)).json()
        before = (await own.ask("GET", public)).json()
        assert await redis.exists(Key(shop, "product:mug").text) == 1

        edited = {"json": {"title": "Cup"}, "headers": {"if-match": '"1"'}}
        file = {"content": "slug,sku,price\nmug,MUG,99.00\n", "headers": {"content-type": "text/csv"}}
        changes: list[tuple[str, str, str, dict[str, Any], str]] = [
            ("PATCH", f"{path}/products/{made['id']}", "ann", edited, "title"),
            ("PATCH", f"{path}/categories/{mugs['id']}", "ann", {"json": {"name": "Cups"}}, "categories"),
            ("PATCH", path, "ann", {"json": {"title": "New"}, "headers": {"if-match": '"1"'}}, "shop"),
            ("PUT", f"/v1/products/{made['id']}/review", "bea", {"json": {"stars": 5, "text": "Good."}}, "stars"),
            ("POST", f"{path}/product-imports", "ann", file, "variants"),
        ]
        for method, target, who, options, field in changes:
            answer = await own.ask(method, target, who, **options)
            assert answer.status_code < 300, answer.text
            await own.catalog.files.idle()
            after = (await own.ask("GET", public)).json()
            assert after[field] != before[field], field
            before = after
        assert (await own.ask("DELETE", path, "ann")).status_code == 204
        assert (await own.ask("GET", public)).status_code == 404
        await own.catalog.close()
        await redis.aclose()

    run(work)
