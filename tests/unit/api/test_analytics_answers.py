"""Answers are kept until the data has changed, and equal questions are asked once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from api.analytics.answers import (
    MAX_OF_STORE,
    MAX_WAITING,
    QUERY_THREADS,
    REVISION_SECONDS,
    THREADS_OF_STORE,
    AnswerCache,
)
from connectors.errors import Unavailable
from tests.kits.demo import ROOT

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
        many = QUERY_THREADS + MAX_WAITING + 5
        for number in range(many):
            await world.cache.answer(f"shop-{number}", "first", world.query)
        calls = [world.cache.answer(f"shop-{number}", "second", query) for number in range(many)]
        found = await asyncio.gather(*calls, return_exceptions=True)
        go_on.set()
        return [str(each) for each in found]

    refused = [text for text in run(work, world) if "too many" in text]
    assert len(refused) == 5


def test_answers_take_no_more_memory_than_they_may() -> None:
    world = World(max_bytes=100_000)

    async def work() -> None:
        for number in range(50):
            await world.cache.answer("shop", number, lambda: b"x" * 10_000)
            assert world.cache.nbytes <= 100_000
        await world.cache.answer("shop", 49, world.query)
        assert world.ran == 0
        await world.cache.answer("shop", 0, world.query)
        assert world.ran == 1
        await world.cache.answer("shop", "large", lambda: b"x" * 200_000)
        assert world.cache.nbytes <= 100_000

    run(work, world)


def test_many_small_answers_to_long_questions_take_no_more_memory_than_they_may() -> None:
    world = World(max_bytes=2_000_000)

    async def work() -> None:
        await world.cache.answer("shop", "first", world.query)
        tracemalloc.start()
        for number in range(3_000):
            await world.cache.answer("shop", ("totals", (("page", f"{number}" + "\U0001f6d2" * 200),)), lambda: b"{}")
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert 0 < taken <= world.cache.nbytes <= 2_000_000

    run(work, world)


def test_the_queries_of_one_store_leave_threads_and_places_to_others() -> None:
    world = World()
    go_on, running = threading.Event(), threading.Semaphore(0)

    def slow() -> bytes:
        running.release()
        assert go_on.wait(DEADLINE_SECONDS)
        return b""

    async def work() -> list[Any]:
        await world.cache.answer("shop", "first", world.query)
        calls = [asyncio.create_task(world.cache.answer("shop", n, slow)) for n in range(MAX_OF_STORE + 5)]
        for _ in range(THREADS_OF_STORE):
            assert await asyncio.to_thread(running.acquire, timeout=DEADLINE_SECONDS)
        # While these hang, others are answered, also by queries.
        for number in range(10):
            assert (await world.cache.answer(f"other-{number}", "totals", lambda: b"x")).body == b"x"
        assert not running.acquire(blocking=False)
        go_on.set()
        return await asyncio.gather(*calls, return_exceptions=True)

    found = run(work, world)
    assert [type(each) for each in found].count(Unavailable) == 5

    async def afterwards() -> None:
        assert (await world.cache.answer("shop", "last", lambda: b"x")).body == b"x"

    world = World()
    run(afterwards, world)


def test_what_is_kept_is_answered_however_many_stores_have_slow_queries() -> None:
    world = World()
    go_on = threading.Event()

    def slow() -> bytes:
        assert go_on.wait(DEADLINE_SECONDS)
        return b""

    async def work() -> None:
        kept = await world.cache.answer("kept", "totals", world.query)
        many = range(QUERY_THREADS + MAX_WAITING)
        for number in many:
            await world.cache.answer(f"slow-{number}", "first", lambda: b"")
        calls = [asyncio.create_task(world.cache.answer(f"slow-{number}", "second", slow)) for number in many]
        await asyncio.sleep(0)
        world.now = REVISION_SECONDS
        assert await asyncio.wait_for(world.cache.answer("kept", "totals", slow), DEADLINE_SECONDS / 2) == kept
        assert (world.ran, world.asked) == (1, len(many) + 2)
        go_on.set()
        await asyncio.gather(*calls, return_exceptions=True)

    run(work, world)


def test_a_revision_is_as_old_as_its_question_however_long_the_answer_took() -> None:
    world = World()
    asked, go_on = threading.Event(), threading.Event()
    plain = world.revision_of

    def slow(store: str) -> str:
        revision = plain(store)
        asked.set()
        assert go_on.wait(DEADLINE_SECONDS)
        return revision

    world.cache = AnswerCache(slow, monotonic=lambda: world.now)

    async def work() -> None:
        first = asyncio.create_task(world.cache.answer("shop", "totals", world.query))
        assert await asyncio.to_thread(asked.wait, DEADLINE_SECONDS)
        world.now, world.revision = REVISION_SECONDS, "2"
        go_on.set()
        assert (await first).body == b"2 1"
        assert (await world.cache.answer("shop", "totals", world.query)).body == b"2 2"
        assert world.asked == 2

    run(work, world)


HANGS = """
import asyncio, threading
from api.analytics.answers import AnswerCache
from connectors.errors import Unavailable

async def main():
    cache = AnswerCache(lambda store: threading.Event().wait() and "", wait_seconds=0.05)
    try:
        await cache.answer("shop", "totals", lambda: b"")
    except Unavailable:
        print("refused")
    cache.close()

asyncio.run(main())
"""


def test_a_query_that_never_ends_keeps_no_process_from_ending() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
    )
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr
