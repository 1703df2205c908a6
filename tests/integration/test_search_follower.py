"""Search knows what Mongo knows: changes are followed, and an outage or a lost place is caught up with."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from api.search.follower import Follower
from api.search.index import SearchIndex
from connectors.mongo.product_feed import ProductFeed, connect_feed
from connectors.mongo.product_reads import product_document
from marketplace.catalog.products import ProductState
from marketplace.collections import PRODUCTS, STORES
from marketplace.search.answers import Place
from marketplace.search.queries import Filters, Query, Sort
from ops.stack import Stack
from tests.kits.depth import LONG
from tests.kits.followed import Followed, followed, until
from tests.kits.products import product
from tests.kits.stack import leftovers_collected, polled

Work = Callable[[Followed], Awaitable[None]]
WRITES = 1_000
STAY = 300


@pytest.fixture(scope="module")
def mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Mongo alone, which may be frozen and killed."""
    folder = tmp_path_factory.mktemp("mongo")
    with Stack(folder, ports="auto", parts={"mongo"}, external={}) as running, leftovers_collected():
        yield running


def test_every_change_of_products_categories_and_stores_is_followed(mongo: Stack) -> None:
    async def work() -> None:
        mug, cup = product("Blue mug", category="1"), product("Red cup")
        async with followed(mongo.urls.mongo, [mug, cup, product("Draft", state=ProductState.DRAFT)]) as world:
            await world.finds("Blue mug", "Red cup")
            await until(lambda: world.index.complete, "all are read")
            await world.put(product("Green bowl"))
            await world.finds("Green bowl", text="green")
            await world.replace(replace(mug, title="Yellow mug", version=2))
            await world.finds("Yellow mug", text="yellow")
            assert world.found("blue") == []
            await world.replace(replace(cup, state=ProductState.ARCHIVED, version=2))
            await world.finds("Yellow mug", "Green bowl")
            await world.categories("shop", [("1", "drinking", "Drinking vessels")])
            await world.finds("Yellow mug", text="vessels")
            category = Query(filters=Filters(category="drinking"))
            assert world.searcher.search(category, None, 9).total == 1
            await world.collection(PRODUCTS.name).delete_one({"_id": mug.id})
            await world.finds("Green bowl")
            await world.collection(STORES.name).update_one({"_id": "shop"}, {"$set": {"deleted_at": 1}})
            await until(lambda: len(world.index) == 0, "nothing is kept of the store")
            await world.collection(STORES.name).update_one({"_id": "shop"}, {"$set": {"deleted_at": None}})
            await world.finds("Green bowl")

    asyncio.run(work())


def test_a_product_that_nobody_can_read_hides_no_other_one(mongo: Stack) -> None:
    async def work() -> None:
        async with followed(mongo.urls.mongo, [product("Blue mug")]) as world:
            whole = product_document(product("Green bowl"))
            variant = whole["variants"][0]
            broken: list[dict[str, Any]] = [
                {},
                {"state": "active"},
                {**whole, "currency": "XXQ"},
                {**whole, "variants": []},
                {**whole, "variants": [{**variant, "price_minor": 2**62}]},
                {**whole, "variants": [{**variant, "price_minor": "1"}]},
                {**whole, "variants": None},
                {**whole, "title": 7},
                {**whole, "stars": {}},
                {**whole, "created_at": "now"},
                {**whole, "created_at": 2**63 - 1},
                {**whole, "sold": None},
                {**whole, "sold": 1.5},
                {**whole, "stars": {"1": -5, "2": 0, "3": 0, "4": 0, "5": 0}},
                {**whole, "category": ["1"]},
                {**whole, "slug": 7},
                {**whole, "images": [{"url": 1, "alt": ""}]},
            ]
            await world.collection(PRODUCTS.name).insert_many(
                [{**each, "_id": f"broken {at}"} for at, each in enumerate(broken)]
            )
            await world.put(product("Red cup"))
            await world.finds("Blue mug", "Red cup")
            assert world.follower.reads == 1

    asyncio.run(work())


def test_while_mongo_stands_still_search_answers_and_says_how_old_that_is(mongo: Stack) -> None:
    async def work() -> None:
        async with followed(mongo.urls.mongo, [product("Blue mug")]) as world:
            await world.finds("Blue mug")
            await until(lambda: world.follower.age_seconds is not None, "changes are followed")
            pid = mongo.pid("mongo")
            os.kill(pid, signal.SIGSTOP)
            try:
                await until(lambda: (world.follower.age_seconds or 0) > 1, "the age grows")
                assert world.found("mug") == ["Blue mug"]
            finally:
                os.kill(pid, signal.SIGCONT)
            await world.put(product("Red cup"))
            await world.finds("Blue mug", "Red cup")
            await until(lambda: (world.follower.age_seconds or 9) < 1, "it knows what is now")
            assert world.follower.reads == 1

    asyncio.run(work())


@LONG
def test_after_a_mongo_that_was_killed_in_the_middle_of_reading_everything_is_known(mongo: Stack) -> None:
    several = [product(f"Mug {at}") for at in range(900)]

    async def work() -> None:
        async with followed(mongo.urls.mongo, several) as world:
            await until(lambda: len(world.index) > 0, "reading has begun")
            os.kill(mongo.pid("mongo"), signal.SIGKILL)
            assert not world.searcher.search(Query(), None, 1).complete
            await world.put(product("Red cup"))
            await until(lambda: len(world.index) == 901, "all are known", 30)
            await until(lambda: world.index.complete, "all are read")
            assert len(set(world.found())) == 100

    asyncio.run(work())


def test_following_ends_whenever_it_is_ended_also_where_an_answer_comes_at_that_moment(mongo: Stack) -> None:
    async def work() -> None:
        async with followed(mongo.urls.mongo, [product("Blue mug")]) as world:
            await world.finds("Blue mug")

            async def write() -> None:
                while True:
                    await world.put(product("Red cup"))

            writing = asyncio.create_task(write())
            for at in range(25):
                feed = connect_feed(polled(mongo.urls.mongo))
                other = Follower(SearchIndex(), ProductFeed(feed, world.database))
                running = asyncio.create_task(other.run())
                # Some are ended while they read, and some while they follow.
                await until(lambda other=other, at=at: other.reads > 0 or at % 3 == 0, "it reads")  # type: ignore[misc]  # mypy infers no lambda with a default
                running.cancel()
                _, pending = await asyncio.wait([running], timeout=5)
                assert not pending
                await feed.close()
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    asyncio.run(work())


def test_where_changes_are_lost_everything_is_read_again_and_what_is_gone_is_not_found(mongo: Stack) -> None:
    async def work() -> None:
        async with followed(mongo.urls.mongo, [product("Blue mug")]) as world:
            await world.finds("Blue mug")
            await until(lambda: world.follower.age_seconds is not None, "changes are followed")
            await world.collection(PRODUCTS.name).drop()
            await until(lambda: len(world.index) == 0, "it is gone")
            await world.put(product("Red cup"))
            await world.finds("Red cup")
            assert world.follower.reads == 2

    asyncio.run(work())


def test_under_a_thousand_inserts_and_deletes_a_walk_sees_each_product_that_stays_exactly_once(mongo: Stack) -> None:
    stay = [
        product(f"Mug {at}", id=f"{at * 7919 % 2**32:08x}{at:024x}", price_minor=100 * (at % 5), created_at=at % 3)
        for at in range(STAY)
    ]

    async def work() -> None:
        async with followed(mongo.urls.mongo, stay) as world:
            await until(lambda: len(world.index) == STAY, "all are read")
            written = 0

            async def write(first: int) -> None:
                nonlocal written
                for at in range(first, WRITES // 2, 10):
                    passing = product(f"Mug {at}", price_minor=100 * (at % 5), created_at=at % 3)
                    await world.put(passing)
                    written += 1
                    await world.collection(PRODUCTS.name).delete_one({"_id": passing.id})
                    written += 1

            async def walk(query: Query) -> tuple[list[str], int]:
                seen: list[str] = []
                after: Place | None = None
                passed = 0
                for page in range(WRITES):
                    found = world.searcher.search(query, after, 10)
                    seen += [hit.card.id for hit in found.hits]
                    passed = max(passed, found.total - STAY)
                    after = found.next
                    if after is None:
                        return seen, passed
                    # The pages are spread over all the writes.
                    enough = min(WRITES, (page + 1) * WRITES // 30)
                    await until(lambda enough=enough: written >= enough, f"{enough} writes")  # type: ignore[misc]  # mypy infers no lambda with a default
                raise AssertionError("the pages have no end")

            queries = [Query("mug"), Query("", sort=Sort.PRICE_UP), Query("", sort=Sort.NEWEST)]
            writers = [write(first) for first in range(10)]
            walks = asyncio.gather(*(walk(query) for query in queries))
            await asyncio.gather(*writers)
            ids = {each.id for each in stay}
            for seen, passed in await walks:
                assert sorted(each for each in seen if each in ids) == sorted(ids)
                assert len(set(seen)) == len(seen)
                assert passed > 0
            assert written == WRITES
            await until(lambda: len(world.index) == STAY, "what was deleted is gone")

    asyncio.run(work())
