"""Stock over HTTP: a ledger whose sum is what is there, and what buyers are shown follows it."""

from __future__ import annotations

from typing import Any

import httpx

from marketplace.catalog.products import Product
from marketplace.collections import PRODUCTS, STOCK, STOCK_MOVEMENTS
from tests.kits.orders import confirm, count, drift, fill, goods, keyed, level, open_shop, place, refusal, variant_of
from tests.kits.tenancy import Run, World

STOCK_PATH = "/v1/stores/shop/stock"


async def move(world: World, what: str, sold: Product, quantity: int, **headers: str) -> httpx.Response:
    body = {"product": sold.id, "quantity": quantity, "reason": "Monday"}
    path = f"{STOCK_PATH}/{variant_of(sold)}/{what}"
    return await world.ask("POST", path, "max", json=body, headers=headers or keyed())


async def shown(world: World, sold: Product) -> str:
    found = await world.client[world.database][PRODUCTS.name].find_one({"_id": sold.id})
    assert found is not None
    return str(found["variants"][0]["availability"])


async def levels(world: World) -> list[dict[str, Any]]:
    answer = await world.ask("GET", STOCK_PATH, "eve")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["levels"]
    return found


def test_goods_are_counted_from_the_first_that_come_and_each_change_is_a_line_of_the_ledger(run: Run) -> None:
    mug = goods()

    async def work(world: World) -> None:
        await open_shop(world, mug)
        assert await levels(world) == []
        # Whoever counts nothing sells by the word of the seller, and a wrong count is not begun by a loss.
        assert refusal(await move(world, "adjust", mug, -1)) == (404, [("path:variant", "not-counted")])
        key = keyed()
        answers = [await move(world, "receive", mug, 3, **key) for _ in range(3)]
        assert {(each.status_code, each.text) for each in answers} == {(200, answers[0].text)}
        assert await shown(world, mug) == "few"
        assert (await move(world, "receive", mug, 9)).json()["levels"][0]["available"] == 12
        assert await shown(world, mug) == "many"
        assert (await move(world, "adjust", mug, -12)).json()["levels"][0]["on_hand"] == 0
        assert await shown(world, mug) == "none"
        assert refusal(await move(world, "adjust", mug, -1)) == (409, [("/quantity", "reserved")])
        assert refusal(await move(world, "adjust", mug, 0)) == (422, [("/quantity", "zero")])
        assert (await move(world, "receive", mug, 10**9)).status_code == 200
        assert refusal(await move(world, "receive", mug, 1)) == (409, [("/quantity", "limit")])
        path = f"{STOCK_PATH}/{variant_of(mug)}/movements"
        seen: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = (await world.ask("GET", path, "eve", params={"limit": "2", "cursor": cursor})).json()
            seen += page["movements"]
            if page["next"] is None:
                break
            cursor = page["next"]
        assert sorted((each["kind"], each["quantity"], each["on_hand"]) for each in seen) == [
            ("adjusted", -12, 0), ("received", 3, 3), ("received", 9, 12), ("received", 10**9, 10**9),
        ]  # fmt: skip
        assert {(each["by"], each["reason"]) for each in seen} == {("max", "Monday")}
        assert await drift(world) == []

    run(work)


def test_what_orders_have_reserved_cannot_be_missing_and_what_they_took_stands_in_the_ledger(run: Run) -> None:
    mug = goods()

    async def work(world: World) -> None:
        await open_shop(world, mug)
        await move(world, "receive", mug, 6)
        version = await fill(world, "bea", (mug, 4))
        order = (await place(world, "bea", version)).json()["orders"][0]
        (now,) = await levels(world)
        assert (now["on_hand"], now["reserved"], now["available"], now["availability"]) == (6, 4, 2, "few")
        refused = await move(world, "adjust", mug, -3)
        assert refusal(refused) == (409, [("/quantity", "reserved")])
        assert "at most 2 can go" in refused.json()["detail"]
        stop = await world.ask("DELETE", f"{STOCK_PATH}/{variant_of(mug)}", "max")
        assert refusal(stop) == (409, [("path:variant", "reserved")])
        assert (await move(world, "adjust", mug, -2)).status_code == 200
        assert await shown(world, mug) == "none"
        await confirm(world, order["id"])
        assert await level(world, mug) == (0, 0)
        page = (await world.ask("GET", f"{STOCK_PATH}/{variant_of(mug)}/movements", "eve")).json()["movements"]
        assert [each["order"] for each in page if each["kind"] == "sold"] == [order["id"]]
        assert await drift(world) == []

    run(work)


def test_goods_become_another_variants_all_or_nothing(run: Run) -> None:
    mug, cup, theirs = goods("Mug"), goods("Cup"), goods("Theirs", store="other")

    async def work(world: World) -> None:
        await open_shop(world, mug, cup, theirs)
        await world.store("other", zoe="owner")
        await move(world, "receive", mug, 10)

        async def transfer(source: Product, target: Product, quantity: int) -> httpx.Response:
            names = [{"product": each.id, "variant": variant_of(each)} for each in (source, target)]
            body = {"source": names[0], "target": names[1], "quantity": quantity, "reason": "Labelled wrongly"}
            return await world.ask("POST", f"{STOCK_PATH}/transfer", "max", json=body, headers=keyed())

        before = await world.everything()
        assert refusal(await transfer(mug, mug, 1)) == (422, [("/target/variant", "same")])
        assert (await transfer(mug, cup, 11)).status_code == 409
        assert (await transfer(cup, mug, 1)).status_code == 404
        # Nothing comes from another store, and nothing goes there.
        assert (await transfer(mug, theirs, 1)).status_code == 404
        assert (await transfer(theirs, mug, 1)).status_code == 404
        assert await world.everything() == before
        done = await transfer(mug, cup, 4)
        assert [each["on_hand"] for each in done.json()["levels"]] == [6, 4]
        assert [await level(world, each) for each in (mug, cup)] == [(6, 0), (4, 0)]
        assert (await shown(world, cup), await drift(world)) == ("few", [])

    run(work)


def test_too_little_is_said_from_the_threshold_on_and_a_variant_that_is_not_counted_has_none(run: Run) -> None:
    mug = goods()

    async def work(world: World) -> None:
        await open_shop(world, mug)
        path = f"{STOCK_PATH}/{variant_of(mug)}"
        assert (await world.ask("PUT", f"{path}/threshold", "max", json={"low_at": 3})).status_code == 404
        await move(world, "receive", mug, 4)
        assert (await world.ask("PUT", f"{path}/threshold", "max", json={"low_at": 3})).json()["low"] is False
        await move(world, "adjust", mug, -1)
        assert [each["low"] for each in await levels(world)] == [True]
        assert (await world.ask("PUT", f"{path}/threshold", "max", json={"low_at": None})).json()["low"] is False
        assert (await world.ask("DELETE", path, "max")).status_code == 204
        assert (await world.ask("DELETE", path, "max")).status_code == 404
        assert await count(world, STOCK.name) == 0
        # The ledger stays, its sum is nothing, and counting begins with that again.
        lines = await world.client[world.database][STOCK_MOVEMENTS.name].find().to_list()
        assert sum(each["quantity"] for each in lines) == 0
        await move(world, "receive", mug, 2)
        assert (await level(world, mug), await drift(world)) == ((2, 0), [])

    run(work)


def test_what_a_seller_says_by_hand_of_a_counted_variant_is_what_stock_says(run: Run) -> None:
    mug = goods()

    async def work(world: World) -> None:
        await open_shop(world, mug)
        path, said = f"/v1/stores/shop/products/{mug.id}", mug.variants[0]

        async def edit(availability: str) -> str:
            etag = (await world.ask("GET", path, "max")).headers["etag"]
            variant = {"id": said.id, "sku": said.sku, "price_minor": 1300, "availability": availability}
            answer = await world.ask("PATCH", path, "max", json={"variants": [variant]}, headers={"if-match": etag})
            assert answer.status_code == 200, answer.text
            return str(answer.json()["variants"][0]["availability"])

        assert await edit("none") == "none"
        await move(world, "receive", mug, 3)
        assert await shown(world, mug) == "few"
        assert await edit("many") == "few"
        content = f"slug,title,currency,sku,price,availability\n{mug.slug},Mug,EUR,{said.sku},14.00,many\n"
        sent = await world.ask(
            "POST", "/v1/stores/shop/product-imports", "max", content=content.encode(),
            headers={"content-type": "text/csv"},
        )  # fmt: skip
        assert sent.status_code in (200, 201, 202), sent.text
        await world.catalog.files.idle()
        changed = (await world.ask("GET", path, "max")).json()["variants"][0]
        assert (changed["price_minor"], changed["availability"]) == (1400, "few")
        await world.ask("DELETE", f"{STOCK_PATH}/{said.id}", "max")
        assert await edit("many") == "many"

    run(work)


def test_levels_go_on_where_the_page_before_stopped_and_say_what_they_are_of(run: Run) -> None:
    several = [goods(f"Mug {at}") for at in range(5)]

    async def work(world: World) -> None:
        await open_shop(world, *several)
        for each in several:
            await move(world, "receive", each, 1)
        await world.client[world.database][PRODUCTS.name].delete_one({"_id": several[0].id})
        seen: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = (await world.ask("GET", STOCK_PATH, "eve", params={"limit": "2", "cursor": cursor})).json()
            seen += page["levels"]
            if page["next"] is None:
                break
            cursor = page["next"]
        assert {(each["variant"], each["title"]) for each in seen} == {
            (variant_of(each), None if each is several[0] else each.title) for each in several
        }
        assert len(seen) == 5

    run(work)
