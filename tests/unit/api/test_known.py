"""What is known of callers for a moment: how old it may be, and when it is void."""

from __future__ import annotations

import asyncio

import pytest

from api.callers import Access, Caller
from api.known import KEPT_SECONDS, Known, Recent
from connectors.errors import Unavailable
from marketplace.identity.accounts import User

ANN = Caller(User("ann", "ann@shop.example", "Ann", "hash", 1), "session")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class World:
    """Says who is signed in, and can be changed; counts its questions."""

    def __init__(self) -> None:
        self.caller: Caller | None = ANN
        self.available = True
        self.asked: list[str] = []
        self.waits = asyncio.Event()
        self.waits.set()

    async def caller_of(self, access_token: str) -> Caller | None:
        self.asked.append(access_token)
        found = self.caller
        await self.waits.wait()
        if not self.available:
            raise Unavailable("Mongo does not answer")
        return found

    async def caller_of_key(self, key: str) -> Caller | None:
        return await self.caller_of(f"key {key}")

    async def access(self, caller: Caller, slug: str) -> Access | None:
        self.asked.append(slug)
        return None


async def every_task_waits() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def ask(known: Known, *, now: bool = False) -> Caller | None:
    return await known.caller("token", is_key=False, now=now)


def test_a_caller_is_asked_for_twice_a_second_and_not_for_every_request(clock: Clock) -> None:
    async def work() -> None:
        world = World()
        known = Known(world, world, clock)
        for at in (0.0, 0.2, 0.49, 0.5, 0.9, 1.0):
            clock.now = at
            assert await ask(known) == ANN
        assert len(world.asked) == 3

    asyncio.run(work())


def test_an_end_bites_half_a_second_later_at_the_latest_however_long_the_answer_took(clock: Clock) -> None:
    async def work() -> None:
        world = World()
        known = Known(world, world, clock)
        world.waits.clear()
        first = asyncio.create_task(ask(known))
        await every_task_waits()
        world.caller = None
        clock.now = KEPT_SECONDS
        world.waits.set()
        assert await first == ANN
        assert await ask(known) is None

    asyncio.run(work())


def test_what_changes_something_is_decided_by_what_holds_now(clock: Clock) -> None:
    async def work() -> None:
        world = World()
        known = Known(world, world, clock)
        await ask(known)
        world.caller = None
        assert await ask(known, now=True) is None
        assert await ask(known) is None, "the newer answer counts for who only reads, too"

    asyncio.run(work())


def test_a_change_by_this_process_is_seen_by_its_next_request_also_while_an_older_answer_is_under_way(
    clock: Clock,
) -> None:
    async def work() -> None:
        world = World()
        known = Known(world, world, clock)
        world.waits.clear()
        before = asyncio.create_task(ask(known))
        await every_task_waits()
        world.caller = None
        known.forget()
        world.waits.set()
        assert await before == ANN
        assert await ask(known) is None

    asyncio.run(work())


def test_nobody_is_not_kept_so_who_becomes_somebody_is_it_at_once(clock: Clock) -> None:
    async def work() -> None:
        world = World()
        known = Known(world, world, clock)
        for _ in range(2):
            assert await known.access(ANN, "shop", now=False) is None
        assert world.asked == ["shop", "shop"]
        world.caller = None
        assert await ask(known) is None
        world.caller = ANN
        assert await ask(known) == ANN

    asyncio.run(work())


def test_what_failed_is_not_kept_and_what_is_kept_outlives_no_outage_by_more_than_its_time(clock: Clock) -> None:
    async def work() -> None:
        world = World()
        known = Known(world, world, clock)
        await ask(known)
        world.available = False
        assert await ask(known) == ANN
        clock.now = KEPT_SECONDS
        with pytest.raises(Unavailable):
            await ask(known)
        world.available = True
        assert await ask(known) == ANN

    asyncio.run(work())


def test_callers_at_one_time_share_a_question_and_one_who_goes_away_takes_the_answer_from_nobody(clock: Clock) -> None:
    async def work() -> None:
        world = World()
        known = Known(world, world, clock)
        world.waits.clear()
        asking = [asyncio.create_task(ask(known)) for _ in range(5)]
        await every_task_waits()
        asking[0].cancel()
        await every_task_waits()
        world.waits.set()
        assert [await each for each in asking[1:]] == [ANN] * 4
        assert len(world.asked) == 1
        assert await ask(known) == ANN
        assert len(world.asked) == 1

    asyncio.run(work())


def test_nobody_waits_for_a_question_that_was_asked_half_a_second_ago(clock: Clock) -> None:
    async def work() -> None:
        world = World()
        known = Known(world, world, clock)
        world.waits.clear()
        before = asyncio.create_task(ask(known))
        await every_task_waits()
        world.caller = None
        clock.now = KEPT_SECONDS
        after = asyncio.create_task(ask(known))
        await every_task_waits()
        world.waits.set()
        assert (await before, await after) == (ANN, None)
        assert await ask(known) is None, "an older answer that comes later is not kept"

    asyncio.run(work())


def test_a_key_is_no_token_and_one_callers_access_is_not_anothers(clock: Clock) -> None:
    async def work() -> None:
        world = World()
        known = Known(world, world, clock)
        await known.caller("mk_1", is_key=True, now=False)
        await known.caller("mk_2", is_key=True, now=False)
        assert world.asked == ["key mk_1", "key mk_2"]

    asyncio.run(work())


def test_what_is_kept_is_bounded_and_the_oldest_answer_is_dropped(clock: Clock) -> None:
    async def work() -> None:
        recent: Recent[str, str] = Recent(max_entries=2, monotonic=clock)

        async def answer() -> str:
            return "x"

        for key in ("a", "b", "a", "c"):
            await recent.ask(key, answer, now=True)
        assert len(recent) == 2
        assert [recent.kept(key) for key in "abc"] == ["x", None, "x"]

    asyncio.run(work())


def test_what_is_too_old_is_kept_no_longer_although_there_is_room(clock: Clock) -> None:
    async def work() -> None:
        recent: Recent[str, str] = Recent(monotonic=clock)

        async def answer() -> str:
            return "x"

        for number in range(100):
            await recent.ask(str(number), answer, now=False)
        assert len(recent) == 100
        clock.now = KEPT_SECONDS
        await recent.ask("new", answer, now=False)
        assert len(recent) == 1

    asyncio.run(work())


def test_nobody_of_many_who_are_nobody_leaves_anything_behind(clock: Clock) -> None:
    async def work() -> None:
        world = World()
        world.caller = None
        known = Known(world, world, clock)
        for number in range(1_000):
            assert await known.caller(f"mk_{number}", is_key=True, now=number % 2 == 0) is None
            assert await known.access(ANN, f"shop-{number}", now=False) is None
        assert known.size == 0

    asyncio.run(work())
