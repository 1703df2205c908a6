"""Many who order at one time, over two processes: one order for one key, and never more than there is."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from connectors.mongo.carts import Carts, Holder
from marketplace.collections import (
    CARTS,
    IDEMPOTENCY_KEYS,
    ORDERS,
    OUTBOX,
    PAYMENTS,
    RESERVATIONS,
    STOCK,
    USERS,
)
from ops.stack import Stack
from tests.kits.depth import CHAOS_SEEDS
from tests.kits.orders import (
    confirm,
    count,
    drift,
    fill,
    goods,
    keyed,
    level,
    open_shop,
    ordered,
    put_stock,
    variant_of,
    wish,
)
from tests.kits.served import processes
from tests.kits.stack import polled
from tests.kits.tenancy import Run, World, tenancy_database

BUYERS = 200 if CHAOS_SEEDS >= 3 else 60
UNITS = 20


@pytest.fixture(scope="module")
def database(stack: Stack) -> Iterator[str]:
    with tenancy_database(stack, drop=False) as name:
        yield name


@pytest.fixture(scope="module")
def urls(stack: Stack, database: str) -> Iterator[list[str]]:
    with processes(polled(stack.urls.mongo), database, 2) as running:
        yield running


async def post(
    client: httpx.AsyncClient, url: str, who: str, key: str, body: object | None, *, attempts: int = 30
) -> httpx.Response:
    """Send a request as clients do: what is to be repeated is, with the same key."""
    headers = {"authorization": f"Bearer token-of-{who}", **keyed(key)}
    for _ in range(attempts):
        answer = await client.post(url, json=body, headers=headers)
        in_progress = "in-progress" in answer.text and answer.status_code == 409
        if answer.status_code != 503 and not in_progress:
            return answer
        await asyncio.sleep(0.1)
    return answer


def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=None))


def test_fifty_requests_of_one_key_are_one_order_whichever_process_they_come_to(run: Run, urls: list[str]) -> None:
    mug = goods()

    async def work(world: World) -> None:
        await open_shop(world, mug, buyers=("bea", "bob"))
        await put_stock(world, mug, 500)
        version = await fill(world, "bea", (mug, 3))
        await fill(world, "bob", (mug, 3))
        async with client() as http:
            # Once as they are, so that it is seen what comes beside the order.
            asked = [post(http, f"{urls[at % 2]}/v1/orders", "bea", "k", wish(version), attempts=1) for at in range(50)]
            answers = await asyncio.gather(*asked)
            statuses = Counter(each.status_code for each in answers)
            assert set(statuses) <= {201, 409, 503}, statuses
            assert all("in-progress" in each.text for each in answers if each.status_code == 409)
            again = await asyncio.gather(
                *(post(http, f"{urls[at % 2]}/v1/orders", "bea", "k", wish(version)) for at in range(4))
            )
            stored = {each.text for each in [*answers, *again] if each.status_code == 201}
            assert len(stored) == 1
            assert {each.status_code for each in again} == {201}
            # The key is the caller's: for somebody else it is another one, and another request of it is refused.
            other = await post(http, f"{urls[0]}/v1/orders", "bob", "k", wish(version))
            assert other.status_code == 201
            assert again[0].json()["id"] not in other.text
            changed = await post(http, f"{urls[1]}/v1/orders", "bea", "k", wish(version + 1))
            assert (changed.status_code, changed.json()["errors"][0]["code"]) == (422, "other-request")
            order = again[0].json()["orders"][0]["id"]
            elsewhere = await post(http, f"{urls[1]}/v1/orders/{order}/cancel", "bea", "k", None)
            assert elsewhere.status_code == 422
        written = [await count(world, each.name) for each in (ORDERS, PAYMENTS, RESERVATIONS, OUTBOX)]
        assert written == [2] * 4
        assert await level(world, mug) == (500, 6)
        assert await drift(world) == []

    run(work)


def test_of_many_buyers_of_twenty_units_exactly_twenty_have_one_and_no_read_is_negative(
    run: Run, urls: list[str]
) -> None:
    mug = goods()

    async def work(world: World) -> None:
        await open_shop(world, mug, buyers=())
        await put_stock(world, mug, UNITS)
        buyers = [f"buyer-{at}" for at in range(BUYERS)]
        await crowd(world, buyers)
        versions = [await fill(world, buyer, (mug, 1)) for buyer in buyers]
        done, negative = asyncio.Event(), []

        async def watch() -> None:
            while not done.is_set():
                found = await world.client[world.database][STOCK.name].find_one({"_id": variant_of(mug)})
                assert found is not None
                if not 0 <= found["reserved"] <= found["on_hand"]:
                    negative.append(found)
                await asyncio.sleep(0.01)

        watching = asyncio.create_task(watch())
        async with client() as http:
            answers = await asyncio.gather(
                *(
                    post(http, f"{urls[at % 2]}/v1/orders", buyer, uuid.uuid4().hex, wish(version))
                    for at, (buyer, version) in enumerate(zip(buyers, versions, strict=True))
                )
            )
        done.set()
        await watching
        statuses = Counter(each.status_code for each in answers)
        assert statuses == {201: UNITS, 409: BUYERS - UNITS}, [each.text for each in answers if each.status_code > 409]
        assert all(each.json()["lacking"][0]["left"] == 0 for each in answers if each.status_code == 409)
        assert negative == []
        assert await level(world, mug) == (UNITS, UNITS)
        assert await count(world, ORDERS.name, state="pending") == UNITS
        # Of those who were refused no key is kept, and those who have ordered have an empty cart.
        assert await count(world, IDEMPOTENCY_KEYS.name) == UNITS
        assert await count(world, CARTS.name, lines=[]) == UNITS
        assert await drift(world) == []

    run(work)


async def crowd(world: World, buyers: list[str]) -> None:
    """Accounts, at once."""
    await world.user("first")
    made = await world.client[world.database][USERS.name].find_one({"_id": "first"})
    assert made is not None
    others = [{**made, "_id": each, "email": f"{each}@a.example", "email_key": f"{each}@a.example"} for each in buyers]
    await world.client[world.database][USERS.name].insert_many(others)


def test_orders_of_the_same_goods_in_another_sequence_do_not_wait_for_each_other(run: Run, urls: list[str]) -> None:
    several = [goods(f"Mug {at}") for at in range(4)]

    async def work(world: World) -> None:
        await open_shop(world, *several, buyers=())
        for each in several:
            await put_stock(world, each, 10)
        buyers = [f"buyer-{at}" for at in range(12)]
        await crowd(world, buyers)
        versions = []
        for at, buyer in enumerate(buyers):
            lines = [(each, 1) for each in (several if at % 2 else several[::-1])]
            versions.append(await fill(world, buyer, *lines))
        async with client() as http:
            answers = await asyncio.gather(
                *(
                    post(http, f"{urls[at % 2]}/v1/orders", buyer, uuid.uuid4().hex, wish(version))
                    for at, (buyer, version) in enumerate(zip(buyers, versions, strict=True))
                )
            )
        assert Counter(each.status_code for each in answers) == {201: 10, 409: 2}
        assert [await level(world, each) for each in several] == [(10, 10)] * 4
        assert await drift(world) == []

    run(work)


def test_of_parallel_refunds_of_one_order_no_more_goes_back_than_was_paid(run: Run, urls: list[str]) -> None:
    mug = goods(price_minor=1000)

    async def work(world: World) -> None:
        await open_shop(world, mug)
        order = await ordered(world, "bea", (mug, 10))
        await confirm(world, order["id"])
        body = {"lines": [{"number": 1, "quantity": 6}]}
        mine, theirs = f"/v1/orders/{order['id']}", f"/v1/stores/shop/orders/{order['id']}"
        async with client() as http:
            asked = [
                post(http, f"{urls[at % 2]}{[mine, theirs][at % 3 == 0]}/refunds", ["bea", "max"][at % 3 == 0],
                     uuid.uuid4().hex, body)
                for at in range(8)
            ]  # fmt: skip
            asked += [post(http, f"{urls[at % 2]}{mine}/cancel", "bea", uuid.uuid4().hex, None) for at in range(2)]
            answers = await asyncio.gather(*asked)
        assert {each.status_code for each in answers} <= {200, 409}
        kept = (await world.ask("GET", mine, "bea")).json()
        asked_for = sum(each["amount_minor"] for each in kept["refunds"])
        assert asked_for in (6000, 10_000)
        assert asked_for == 1000 * kept["lines"][0]["returned"]
        rows = await world.client[world.database][OUTBOX.name].find({"type": "ORDER_REFUND_REQUESTED"}).to_list()
        assert len(rows) == len(kept["refunds"]) == sum(each.status_code == 200 for each in answers)

    run(work)


def test_a_key_whose_request_ended_without_a_trace_is_free_after_its_lease(run: Run) -> None:
    mug = goods()

    async def work(world: World) -> None:
        await open_shop(world, mug)
        version = await fill(world, "bea", (mug, 1))
        first = await world.ask("POST", "/v1/orders", "bea", json=wish(version), headers=keyed("k"))
        keys = world.client[world.database][IDEMPOTENCY_KEYS.name]
        # As a process leaves it that is killed before its transaction: it has the key, and there is no order.
        for each in (ORDERS, PAYMENTS, RESERVATIONS, OUTBOX):
            await world.client[world.database][each.name].delete_many({})
        await keys.update_one({}, {"$set": {"answer": None, "owner": "somebody who is gone"}})
        carts = Carts(world.client, world.database)
        await carts.delete(Holder.account("bea"), world.now)
        version = await fill(world, "bea", (mug, 1))
        assert version == 1

        async def again() -> httpx.Response:
            return await world.ask("POST", "/v1/orders", "bea", json=wish(1), headers=keyed("k"))

        waits = await again()
        assert (waits.status_code, waits.json()["errors"][0]["code"]) == (409, "in-progress")
        assert int(waits.headers["retry-after"]) >= 1
        assert await count(world, ORDERS.name) == 0
        world.now += timedelta(seconds=31)
        done = await again()
        assert done.status_code == 201
        assert done.json()["id"] != first.json()["id"]
        assert (await again()).text == done.text
        assert await count(world, ORDERS.name) == 1
        # A day later it is there still; after two it is another request's.
        world.now += timedelta(hours=25)
        assert (await again()).text == done.text
        world.now += timedelta(hours=48)
        assert (await again()).status_code == 409
        assert await count(world, ORDERS.name) == 1

    run(work)
