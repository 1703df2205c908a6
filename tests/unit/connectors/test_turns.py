"""Turns: one after the other of one name, all at one time of several, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from connectors.errors import Unavailable
from connectors.mongo.turns import Turns


def most_at_one_time(names: list[tuple[str, ...]], turns: Turns) -> int:
    """How many were at it at one time, of those that take these turns."""
    running, most = 0, 0

    async def take(*own: str) -> None:
        nonlocal running, most
        async with turns.of(*own):
            running += 1
            most = max(most, running)
            for _ in range(5):
                await asyncio.sleep(0)
            running -= 1

    async def work() -> None:
        await asyncio.gather(*(take(*each) for each in names))

    asyncio.run(work())
    return most


def test_those_of_one_name_follow_each_other_and_others_do_not_wait() -> None:
    turns = Turns()
    assert most_at_one_time([("a",)] * 8, turns) == 1
    assert most_at_one_time([("b",), ("c",), ("d",)], turns) == 3
    assert most_at_one_time([("e", "g"), ("f", "g"), ("e", "g", "h")], turns) == 1
    assert len(turns) == 0


def test_the_turns_of_one_name_come_in_their_order_and_who_leaves_meanwhile_takes_none() -> None:
    turns, order = Turns(), []

    async def take(name: int) -> None:
        async with turns.of("a"):
            order.append(name)

    async def work() -> None:
        async with turns.of("a"):
            waiting = [asyncio.create_task(take(name)) for name in range(4)]
            await asyncio.sleep(0)
            waiting[1].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(work())
    assert order == [0, 2, 3]
    assert len(turns) == 0


@pytest.mark.parametrize("ends", ["raises", "is cancelled"])
def test_who_fails_makes_room_for_the_next_one(ends: str) -> None:
    turns = Turns()

    async def fail() -> None:
        async with turns.of("a", "b"):
            if ends == "raises":
                raise ValueError("no")
            await asyncio.get_running_loop().create_future()

    async def work() -> None:
        failing = asyncio.create_task(fail())
        await asyncio.sleep(0)
        failing.cancel()
        await asyncio.gather(failing, return_exceptions=True)
        async with turns.of("b"), turns.of("a"):
            assert len(turns) == 2

    asyncio.run(work())
    assert len(turns) == 0


def test_a_wait_that_takes_too_long_is_refused_and_nothing_was_done() -> None:
    turns = Turns(wait_seconds=0.01)

    async def refused(call: Coroutine[Any, Any, None]) -> bool:
        try:
            await call
        except Unavailable:
            return True
        return False

    async def late() -> None:
        async with turns.of("a"):
            raise AssertionError("it is another one's turn")

    async def work() -> None:
        async with turns.of("a"):
            assert await refused(late())

    asyncio.run(work())


def served(turns: Turns, seconds: list[float], error: Exception | None = None) -> list[bool]:
    """Which of those who want one turn at the same time get it, by how long each needs; the error is how they end."""

    async def take(own: float) -> bool:
        try:
            async with turns.of("a", "b"):
                await asyncio.sleep(own)
                if error is not None:
                    raise error
        except Unavailable as refused:
            return refused is error
        return True

    async def work() -> list[bool]:
        return await asyncio.gather(*(take(own) for own in seconds))

    return asyncio.run(work())


def test_a_crowd_is_served_for_as_long_as_turns_end_well_though_all_of_it_takes_longer_than_one_waits() -> None:
    assert served(Turns(wait_seconds=0.4), [0.1] * 8) == [True] * 8


def test_nobody_waits_for_longer_than_clients_do_however_well_the_queue_moves() -> None:
    got = served(Turns(wait_seconds=5.0, longest_seconds=0.5), [0.2] * 8)
    assert got[:2] == [True, True]
    assert got[-3:] == [False] * 3


def test_behind_turns_that_fail_because_mongo_hangs_nobody_waits_for_longer_than_for_one() -> None:
    got = served(Turns(wait_seconds=0.3), [0.2] * 8, Unavailable("it hangs"))
    assert got[0]
    assert got[-4:] == [False] * 4
