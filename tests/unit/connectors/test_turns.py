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
