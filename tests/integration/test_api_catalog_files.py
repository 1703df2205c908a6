"""Products as CSV files by HTTP: what an import reports is what is stored, and it survives whoever has sent it."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from api.catalog.imports import MAX_RUNNING
from marketplace.catalog.imports import LEASE_MS
from marketplace.collections import MEMBERSHIPS, PRODUCT_IMPORTS, PRODUCTS, STORES
from tests.kits.demo import ROOT
from tests.kits.depth import LONG
from tests.kits.tenancy import NOW, Run, World

HEAD = "slug,title,state,currency,sku,price\r\n"


def file(count: int, *, price: str = "12.50", first: int = 0) -> str:
    rows = (f"mug-{at},Mug {at},active,EUR,SKU-{at},{price}\r\n" for at in range(first, first + count))
    return HEAD + "".join(rows)


async def send(world: World, content: str | bytes, store: str = "shop", **query: str) -> httpx.Response:
    return await world.ask(
        "POST",
        f"/v1/stores/{store}/product-imports",
        "ann",
        content=content if isinstance(content, bytes) else content.encode(),
        headers={"content-type": "text/csv; charset=utf-8"},
        params=query,
    )


async def outcome(world: World, content: str | bytes, store: str = "shop", **query: str) -> dict[str, Any]:
    begun = await send(world, content, store, **query)
    assert begun.status_code == 202, begun.text
    await world.catalog.files.idle()
    found: dict[str, Any] = (await world.ask("GET", begun.headers["location"], "ann")).json()
    counts = [found[name] for name in ("created", "changed", "unchanged", "failed")]
    assert sum(counts) == found["done"]
    return found


def counts(found: dict[str, Any]) -> tuple[str, int, int, int, int]:
    return found["state"], found["created"], found["changed"], found["unchanged"], found["failed"]


async def export(world: World, store: str = "shop") -> bytes:
    answer = await world.ask("GET", f"/v1/stores/{store}/product-exports", "ann")
    assert answer.headers["content-type"].startswith("text/csv")
    return answer.content


async def stored(world: World, store: str = "shop") -> int:
    return int(await world.client[world.database][PRODUCTS.name].count_documents({"store": store}))


def test_a_file_that_is_sent_twice_changes_nothing_the_second_time(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        # More than one transaction takes.
        await world.user("rich", premium=True)
        await world.client[world.database][MEMBERSHIPS.name].insert_one(
            {"_id": "shop:rich", "store": "shop", "user": "rich", "role": "owner", "since": 1, "store_created_at": 1}
        )
        assert counts(await outcome(world, file(250))) == ("done", 250, 0, 0, 0)
        assert await stored(world) == 250
        before = await world.everything()
        assert counts(await outcome(world, file(250))) == ("done", 0, 0, 250, 0)
        after = await world.everything()
        assert {k: v for k, v in after.items() if k != PRODUCT_IMPORTS.name} == {
            k: v for k, v in before.items() if k != PRODUCT_IMPORTS.name
        }
        assert counts(await outcome(world, file(250, price="1.00"))) == ("done", 0, 250, 0, 0)

    run(work)


def test_what_is_exported_changes_nothing_when_it_is_imported_and_is_the_same_afterwards(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        mugs = (await world.ask("POST", "/v1/stores/shop/categories", "ann", json={"name": "Mugs"})).json()
        sent = {
            "title": "=1+1",
            "description": '-"Text";\nwith <b>marks</b>',
            "currency": "KWD",
            "options": [{"name": "Size", "values": ["S", "M", "@L"]}],
            "variants": [
                {"sku": "+S", "values": ["S"], "price_minor": 1250, "compare_at_minor": 2000},
                {"sku": "'L", "values": ["@L"], "price_minor": 0, "availability": "none"},
            ],
            "images": [{"url": "https://shop.example/a.jpg?x=1,2", "alt": "A mug"}, {"url": "/pictures/mug.svg"}],
            "category": mugs["id"],
        }
        for at in range(2):
            answer = await world.ask("POST", "/v1/stores/shop/products", "ann", json=sent)
            assert answer.status_code == 201, answer.text
            sent |= {"variants": [{**each, "sku": f"{each['sku']}{at}"} for each in sent["variants"]]}
        first = await export(world)
        assert counts(await outcome(world, first)) == ("done", 0, 0, 2, 0)
        assert await export(world) == first

    run(work)


def test_a_line_that_is_wrong_is_named_and_keeps_only_its_own_product_from_being_imported(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        good, bad = file(40), "mug-x,Mug x,active,EUR,SKU-X,cheap\r\n"
        found = await outcome(world, good + bad + "mug-40,Mug 40,active,EUR,SKU-40,1.00\r\n")
        assert counts(found) == ("done", 41, 0, 0, 1)
        assert [(each["line"], each["column"], each["code"]) for each in found["faults"]] == [(42, "price", "money")]
        assert "cheap" not in str(found)
        assert await stored(world) == 41

    run(work)


def test_a_dry_run_says_what_would_come_of_it_and_writes_no_product(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        assert counts(await outcome(world, file(3))) == ("done", 3, 0, 0, 0)
        more = file(2, price="9.00") + file(100, first=2).removeprefix(HEAD)
        dry = await outcome(world, more, dry_run="true")
        assert (dry["dry_run"], await stored(world)) == (True, 3)
        # A hundred products are in the plan.
        assert counts(dry) == ("done", 97, 2, 1, 2)
        assert {each["code"] for each in dry["faults"]} == {"limit"}
        assert counts(await outcome(world, more)) == counts(dry)
        assert await stored(world) == 100

    run(work)


def test_an_import_touches_no_other_store_and_takes_no_sku_of_another_product(run: Run) -> None:
    async def work(world: World) -> None:
        await world.user("ann", premium=True)
        await world.store("shop", ann="owner")
        await world.store("other", ann="owner")
        await outcome(world, file(2), "other")
        before = await export(world, "other")
        assert counts(await outcome(world, file(2, price="1.00"))) == ("done", 2, 0, 0, 0)
        assert await export(world, "other") == before
        found = await outcome(world, HEAD + "cup,Cup,active,EUR,SKU-1,1.00\r\n")
        assert (counts(found), found["faults"][0]["code"]) == (("done", 0, 0, 0, 1), "taken")

    run(work)


def test_an_earlier_slug_in_a_file_is_the_product_that_it_leads_to(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        await outcome(world, file(1))
        listed = (await world.ask("GET", "/v1/stores/shop/products", "ann")).json()["products"]
        path = f"/v1/stores/shop/products/{listed[0]['id']}"
        renamed = await world.ask("PATCH", path, "ann", json={"slug": "cup"}, headers={"if-match": '"1"'})
        assert renamed.status_code == 200
        assert counts(await outcome(world, file(1))) == ("done", 0, 0, 1, 0)
        both = await outcome(world, file(1) + "cup,Cup,active,EUR,NEW,1.00\r\n")
        assert (counts(both), [each["code"] for each in both["faults"]]) == (("done", 0, 0, 1, 1), ["twice"])

    run(work)


def test_the_file_of_the_page_is_imported_as_the_page_says(run: Run) -> None:
    page = (ROOT / "docs" / "how-to" / "import-products.md").read_text()
    content = next(block for block in page.split("```\n") if block.startswith("slug,"))

    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        assert counts(await outcome(world, content)) == ("done", 2, 0, 0, 0)
        listed = (await world.ask("GET", "/v1/stores/shop/products", "ann")).json()["products"]
        assert [(each["slug"], len(each["variants"]), each["state"]) for each in listed] == [
            ("blue-mug", 2, "active"),
            ("tea-towel", 1, "draft"),
        ]
        prices = "slug,sku,price\nblue-mug,MUG-S,13.00\n"
        assert counts(await outcome(world, prices)) == ("done", 0, 1, 0, 0)
        listed = (await world.ask("GET", "/v1/stores/shop/products", "ann")).json()["products"]
        assert [each["price_minor"] for each in listed[0]["variants"]] == [1300, 1400]

    run(work)


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"", "text/csv", 422),
        (HEAD.encode(), "text/csv", 422),
        (b"slug,sku\n\xff,x\n", "text/csv", 422),
        (b"name;price\n", "text/csv", 422),
        (b'slug,sku\n"x', "text/csv", 422),
        (b"{}", "application/json", 415),
        (b"slug,sku\nx,x\n", "text/plain", 415),
        (b"x" * ((16 << 20) + 1), "text/csv", 413),
    ],
)
def test_what_is_no_file_of_products_is_refused_and_nothing_begins(
    run: Run, content: bytes, kind: str, status: int
) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        path = "/v1/stores/shop/product-imports"
        answer = await world.ask("POST", path, "ann", content=content, headers={"content-type": kind})
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert (await world.ask("GET", path, "ann")).json() == {"imports": []}

    run(work)


def test_of_two_imports_of_a_store_at_one_time_one_is_refused(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        answers = await asyncio.gather(*(send(world, file(20)) for _ in range(2)))
        assert sorted(answer.status_code for answer in answers) == [202, 409]
        await world.catalog.files.idle()
        assert counts(await outcome(world, file(20))) == ("done", 0, 0, 20, 0)

    run(work)


def test_files_of_several_stores_that_come_at_one_moment_begin_no_more_imports_than_there_may_be(run: Run) -> None:
    async def work(world: World) -> None:
        await world.user("ann", premium=True)
        stores = [f"shop-{at}" for at in range(4)]
        for store in stores:
            await world.store(store, ann="owner")
        answers = await asyncio.gather(*(send(world, file(20), store) for store in stores))
        assert {answer.status_code for answer in answers} == {202, 503}
        assert [answer.status_code for answer in answers].count(202) == MAX_RUNNING
        await world.catalog.files.idle()
        assert sorted([await stored(world, store) for store in stores]) == [0, 0, 20, 20]

    run(work)


def test_an_import_whose_process_is_gone_is_interrupted_and_can_be_sent_again(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        begun = await send(world, file(30))
        # As after a kill: nothing says any more that it goes on.
        for task in list(world.catalog.files._running):
            task.cancel()
        imports = world.client[world.database][PRODUCT_IMPORTS.name]
        await world.catalog.files.idle()
        await imports.update_one({"_id": begun.json()["id"]}, {"$set": {"state": "running"}})
        shown = (await world.ask("GET", begun.headers["location"], "ann")).json()
        assert shown["state"] == "running"
        assert (await send(world, file(30))).status_code == 409
        world.now = NOW.replace(minute=NOW.minute + 1 + LEASE_MS // 60_000)
        shown = (await world.ask("GET", begun.headers["location"], "ann")).json()
        assert (shown["state"], shown["done"]) == ("interrupted", await stored(world))
        found = await outcome(world, file(30))
        assert (found["state"], found["created"] + found["unchanged"], await stored(world)) == ("done", 30, 30)

    run(work)


def test_who_loses_the_right_while_a_file_is_imported_imports_no_more_of_it(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner", max="manager")
        turns = world.catalog.turns
        sending = asyncio.create_task(send(world, file(10)))
        while not len(turns):
            await asyncio.sleep(0)
        # Between its beginning and its first step.
        async with turns.of("shop"):
            await world.client[world.database][MEMBERSHIPS.name].update_one(
                {"_id": "shop:ann"}, {"$set": {"role": "analyst"}}
            )
        begun = await sending
        await world.catalog.files.idle()
        shown = (await world.ask("GET", begun.headers["location"], "ann")).json()
        assert (shown["state"], shown["done"], await stored(world)) == ("failed", 0, 0)
        assert shown["reason"] == "your role does not allow this any more"

    run(work)


@LONG
def test_imports_and_products_that_are_put_up_at_one_time_keep_within_the_plan(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        begun = await send(world, file(150))
        path = "/v1/stores/shop/products"
        sent = [
            {"title": "Cup", "currency": "EUR", "variants": [{"sku": f"CUP-{at}", "price_minor": 1}]}
            for at in range(20)
        ]
        answers = await asyncio.gather(*(world.ask("POST", path, "ann", json=each) for each in sent))
        await world.catalog.files.idle()
        shown = (await world.ask("GET", begun.headers["location"], "ann")).json()
        put_up = sum(answer.status_code == 201 for answer in answers)
        assert await stored(world) == put_up + shown["created"] == 100
        store = await world.client[world.database][STORES.name].find_one({"_id": "shop"})
        assert store is not None
        assert store["product_count"] == 100

    run(work)
