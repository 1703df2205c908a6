"""Answers are kept until the data has changed, and equal questions are asked once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from api.analytics.answers import MAX_WAITING, QUERY_THREADS, REVISION_SECONDS, AnswerCache
from connectors.errors import Unavailable

DEADLINE_SECONDS = 10.0


class World:
    """A store whose revision can be changed, and a count of what was asked."""

    def __init__(self, **options: Any) -> None:
        self.now, self.revision, self.asked, self.ran = 0.0, "1", 0, 0
        self.cache = AnswerCache(self.revision_of, monotonic=lambda: self.now, **options)

    def revision_of(self, store: str) -> str:
        self.asked += 1
        return self.revision

    def query(self) -> bytes:
        self.ran += 1
        return f"{self.revision} {self.ran}".encode()


def run(work: Callable[[], Awaitable[Any]], world: World) -> Any:
    try:
        return asyncio.run(asyncio.wait_for(_of(work), DEADLINE_SECONDS))
    finally:
        world.cache.close()


async def _of(work: Callable[[], Awaitable[Any]]) -> Any:
    return await work()


def test_an_answer_is_kept_while_nothing_more_was_counted() -> None:
    world = World()

    async def work() -> None:
        first = await world.cache.answer("shop", "totals", world.query)
        world.now = 10 * REVISION_SECONDS
        assert await world.cache.answer("shop", "totals", world.query) == first
        assert (world.ran, world.asked) == (1, 2)

    run(work, world)


def test_what_was_counted_is_in_the_answer_when_the_revision_is_read_again() -> None:
    world = World()

    async def work() -> None:
        first = await world.cache.answer("shop", "totals", world.query)
        world.revision = "2"
        world.now = REVISION_SECONDS
        second = await world.cache.answer("shop", "totals", world.query)
        assert (first.body, second.body) == (b"1 1", b"2 2")
        assert first.etag != second.etag

    run(work, world)


def test_equal_questions_at_one_time_run_once_and_others_run_by_themselves() -> None:
    world = World()

    async def work() -> None:
        same = [world.cache.answer("shop", "totals", world.query) for _ in range(100)]
        others = [
            world.cache.answer("shop", "trend", world.query),
            world.cache.answer("other", "totals", world.query),
        ]
        answers = await asyncio.gather(*same, *others)
        assert len(set(answers[:100])) == 1
        assert (world.ran, world.asked) == (3, 2)

    run(work, world)


def test_an_error_is_raised_to_all_that_wait_and_is_not_kept() -> None:
    world = World()
    failing = [True]

    def query() -> bytes:
        if failing:
            raise Unavailable("away")
        return world.query()

    async def work() -> None:
        calls = [world.cache.answer("shop", "totals", query) for _ in range(3)]
        assert [type(each) for each in await asyncio.gather(*calls, return_exceptions=True)] == [Unavailable] * 3
        failing.clear()
        assert (await world.cache.answer("shop", "totals", query)).body == b"1 1"

    run(work, world)


def test_a_caller_that_goes_away_stops_nobody_elses_query() -> None:
    world = World()
    begun, go_on = threading.Event(), threading.Event()

    def query() -> bytes:
        begun.set()
        assert go_on.wait(DEADLINE_SECONDS)
        return world.query()

    async def work() -> None:
        first = asyncio.create_task(world.cache.answer("shop", "totals", query))
        await asyncio.to_thread(begun.wait, DEADLINE_SECONDS)
        second = asyncio.create_task(world.cache.answer("shop", "totals", query))
        await asyncio.sleep(0)
        first.cancel()
        go_on.set()
        assert (await second).body == b"1 1"
        assert first.cancelled()

    run(work, world)


def test_who_waits_too_long_is_told_so_and_finds_the_answer_later() -> None:
    world = World(wait_seconds=0.05)
    go_on = threading.Event()

    def query() -> bytes:
        assert go_on.wait(DEADLINE_SECONDS)
        return world.query()

    async def work() -> bytes:
        with pytest.raises(Unavailable, match="longer"):
            await world.cache.answer("shop", "totals", query)
        go_on.set()
        while True:
            try:
                return (await world.cache.answer("shop", "totals", query)).body
            except Unavailable:
                continue

    assert run(work, world) in (b"1 1", b"1 2")


def test_more_questions_than_can_be_answered_in_time_are_refused_at_once() -> None:
    world = World(wait_seconds=0.2)
    go_on = threading.Event()

    def query() -> bytes:
        go_on.wait(DEADLINE_SECONDS)
        return b""

    async def work() -> list[Any]:
        await world.cache.answer("shop", "first", world.query)
        many = QUERY_THREADS + MAX_WAITING + 5
        calls = [world.cache.answer("shop", number, query) for number in range(many)]
        found = await asyncio.gather(*calls, return_exceptions=True)
        go_on.set()
        return [str(each) for each in found]

    refused = [text for text in run(work, world) if "too many" in text]
    assert len(refused) == 5


def test_answers_take_no_more_memory_than_they_may() -> None:
    world = World(max_bytes=1_000)

    async def work() -> None:
        for number in range(50):
            await world.cache.answer("shop", number, lambda: b"x" * 100)
            assert world.cache.nbytes <= 1_000
        await world.cache.answer("shop", 49, world.query)
        assert world.ran == 0
        await world.cache.answer("shop", 0, world.query)
        assert world.ran == 1
        await world.cache.answer("shop", "large", lambda: b"x" * 2_000)
        assert world.cache.nbytes <= 1_000

    run(work, world)
