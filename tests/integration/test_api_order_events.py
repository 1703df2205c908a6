"""Whoever follows an order sees what becomes of it, whichever process changes it, and nobody else does."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from api.orders.progress import MAX_OF_ACCOUNT
from connectors.mongo.async_client import connect_async
from marketplace.collections import ORDERS, USERS
from ops.stack import Stack
from tests.kits.orders import confirm, goods, keyed, open_shop, ordered
from tests.kits.served import served
from tests.kits.stack import polled
from tests.kits.tcp_proxy import TcpProxy
from tests.kits.tenancy import Run, World

SECONDS = 15.0


class Stream:
    """What a client reads of a stream, as it comes."""

    def __init__(self, response: httpx.Response) -> None:
        self.response, self._lines = response, response.aiter_lines()
        self.comments = 0

    async def event(self) -> dict[str, Any] | None:
        """The next event, with its id; None where the stream has ended."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(SECONDS):
            async for line in self._lines:
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif "data" in fields:
                    return {**json.loads(fields["data"]), "id_of_event": int(fields["id"])}
        return None

    async def rest(self) -> list[int]:
        """The ids of all that comes until its end."""
        found = []
        while (each := await self.event()) is not None:
            found.append(each["id_of_event"])
        return found


@asynccontextmanager
async def following(url: str, order: str, who: str = "bea", last: int | None = None) -> AsyncIterator[Stream]:
    headers = {"authorization": f"Bearer token-of-{who}", **({} if last is None else {"last-event-id": str(last)})}
    async with (
        httpx.AsyncClient(timeout=SECONDS) as client,
        client.stream("GET", f"{url}/v1/orders/{order}/events", headers=headers) as response,
    ):
        yield Stream(response)


def quickly(world: World) -> World:
    """A world whose streams ask often, so that no test waits for them."""
    world.ordering.progress.poll_seconds = 0.03
    return world


async def change(world: World, order: str, **fields: Any) -> None:
    """What another process writes of an order."""
    update = {"$set": fields, "$inc": {"version": 1}}
    await world.client[world.database][ORDERS.name].update_one({"_id": order}, update)


def test_a_stream_says_each_version_once_and_ends_with_the_order(run: Run) -> None:
    mug = goods()

    async def work(world: World) -> None:
        await open_shop(world, mug)
        order = (await ordered(world, "bea", (mug, 1)))["id"]
        async with served(quickly(world)) as url:
            async with following(url, order) as stream:
                assert stream.response.headers["content-type"].startswith("text/event-stream")
                first = await stream.event()
                assert first is not None
                assert (first["id_of_event"], first["state"]) == (1, "pending")
                await change(world, order, state="paid")
                second = await stream.event()
                assert second is not None
                assert (second["id_of_event"], second["state"]) == (2, "paid")
            # Gone for a moment: what came meanwhile is there, and what was seen is not there again.
            await confirm(world, order)
            async with following(url, order, last=2) as stream:
                assert await stream.rest() == [4]
            async with following(url, order, last=4) as stream:
                assert stream.response.status_code == 204
            # Of one that was seen in a newer version than there is, everything is said.
            async with following(url, order, last=999) as stream:
                assert await stream.rest() == [4]
            # Money that is on the way back still is waited for.
            body = {"lines": [{"number": 1, "quantity": 1}]}
            await world.ask("POST", f"/v1/orders/{order}/refunds", "bea", json=body, headers=keyed())
            async with following(url, order, last=4) as stream:
                waiting = await stream.event()
                assert waiting is not None
                assert waiting["state"] == "refunding"
                done = [{"id": "r1", "amount_minor": 1250, "done": True, "ends": True}]
                await change(world, order, state="cancelled", refunds=done, refunded_minor=1250)
                assert await stream.rest() == [6]
        assert world.ordering.progress.followers == 0

    run(work)


def test_however_many_follow_one_question_a_moment_is_asked(run: Run) -> None:
    mug = goods()

    async def work(world: World) -> None:
        names = tuple(f"buyer-{at}" for at in range(5))
        await open_shop(world, mug, buyers=names)
        orders = {name: (await ordered(world, name, (mug, 1)))["id"] for name in names}
        seen: list[int] = []

        async def follow(url: str, name: str) -> None:
            async with following(url, orders[name], name) as stream:
                first = await stream.event()
                assert first is not None
                ready.release()
                seen.extend(await stream.rest())

        async with served(world) as url:
            ready, began = asyncio.Semaphore(0), time.monotonic()
            # Fewer than there are connections of Mongo; of one that fails, the group ends.
            async with asyncio.timeout(4 * SECONDS), asyncio.TaskGroup() as group:
                tasks = [group.create_task(follow(url, name)) for name in names for _ in range(4)]
                for _ in tasks:
                    await ready.acquire()
                for order in orders.values():
                    await confirm(world, order)
            asked, took = world.ordering.progress.questions, time.monotonic() - began
        assert seen == [3] * 20
        assert 1 <= asked <= took / 0.4 + 2

    run(work)


def test_who_may_not_any_more_hears_nothing_more_and_the_stream_ends(run: Run) -> None:
    mug = goods()

    async def work(world: World) -> None:
        await open_shop(world, mug)
        order = (await ordered(world, "bea", (mug, 1)))["id"]
        world.ordering.progress.heartbeat_seconds = 0.2
        async with served(quickly(world)) as url, following(url, order) as stream:
            first = await stream.event()
            assert first is not None
            await world.client[world.database][USERS.name].update_one({"_id": "bea"}, {"$set": {"banned": True}})
            await change(world, order, state="paid")
            assert await stream.event() is None
            assert (await world.ask("GET", f"/v1/orders/{order}/events", "bea")).status_code == 401
        # Nothing happens to the order, and it is noticed all the same.
        bea = world.client[world.database][USERS.name]
        await bea.update_one({"_id": "bea"}, {"$set": {"banned": False}})
        async with served(quickly(world)) as url, following(url, order) as stream:
            assert await stream.event() is not None
            await bea.update_one({"_id": "bea"}, {"$set": {"banned": True}})
            assert await stream.event() is None

    run(work)


def test_a_stream_shows_that_it_lives_and_ends_when_its_time_is_over_or_the_process_ends(run: Run) -> None:
    mug = goods()

    async def work(world: World) -> None:
        await open_shop(world, mug)
        order = (await ordered(world, "bea", (mug, 1)))["id"]
        progress = world.ordering.progress
        progress.heartbeat_seconds, progress.life_seconds = 0.1, 0.5
        async with served(quickly(world)) as url:
            async with following(url, order) as stream:
                assert await stream.rest() == [1]
                assert stream.comments >= 2
            progress.life_seconds = 60.0
            async with following(url, order) as stream:
                assert await stream.event() is not None
                progress.ending = lambda: True
                assert await stream.rest() == []
            async with following(url, order) as stream:
                assert stream.response.status_code == 503

    run(work)


def test_one_account_follows_so_many_and_a_place_is_free_again_when_somebody_leaves(run: Run) -> None:
    mug = goods()

    async def work(world: World) -> None:
        await open_shop(world, mug)
        order = (await ordered(world, "bea", (mug, 1)))["id"]
        world.ordering.progress.heartbeat_seconds = 0.1
        async with served(quickly(world)) as url:
            streams = [following(url, order) for _ in range(MAX_OF_ACCOUNT)]
            for each in streams:
                assert (await each.__aenter__()).response.status_code == 200
            async with following(url, order) as one_more:
                assert one_more.response.status_code == 503
                assert int(one_more.response.headers["retry-after"]) >= 1
            for each in streams:
                await each.__aexit__(None, None, None)
            async with asyncio.timeout(SECONDS):
                while world.ordering.progress.followers:
                    await asyncio.sleep(0.02)
            async with following(url, order) as stream:
                assert await stream.event() is not None
            # Who asks for the head alone follows nothing.
            head = await world.ask("HEAD", f"/v1/orders/{order}/events", "bea")
            assert (head.status_code, head.content) == (200, b"")

    run(work)


def test_while_mongo_is_unreachable_a_stream_stays_and_says_afterwards_what_was_missed(
    stack: Stack, database: str, run: Run
) -> None:
    mug = goods()

    async def work(world: World) -> None:
        await open_shop(world, mug)
        order = (await ordered(world, "bea", (mug, 1)))["id"]
        proxy = TcpProxy(polled(stack.urls.mongo))
        proxy.open()
        client = connect_async(proxy.url)
        behind = World(client, database)
        behind.ordering.progress.heartbeat_seconds = 0.2
        try:
            async with served(quickly(behind)) as url, following(url, order) as stream:
                assert await stream.event() is not None
                proxy.cut()
                await change(world, order, state="paid")
                asked = behind.ordering.progress.questions
                async with asyncio.timeout(SECONDS):
                    while behind.ordering.progress.questions < asked + 2:
                        await asyncio.sleep(0.05)
                proxy.open()
                missed = await stream.event()
                assert missed is not None
                assert (missed["id_of_event"], missed["state"]) == (2, "paid")
        finally:
            await behind.catalog.close()
            await client.close()
            proxy.close()

    run(work)
