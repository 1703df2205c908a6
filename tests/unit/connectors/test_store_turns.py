"""Changes of one store's catalog take turns in a process."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from connectors.mongo.store_turns import StoreTurns


def test_changes_of_a_store_come_one_after_the_other_in_their_order_and_other_stores_do_not_wait() -> None:
    async def work() -> None:
        turns, order, first_may_end = StoreTurns(), [], asyncio.Event()

        async def change(store: str, name: str, end: asyncio.Event | None = None) -> None:
            async with turns.turn(store):
                order.append(f"{name} begins")
                if end is not None:
                    await end.wait()
                order.append(f"{name} ends")

        first = asyncio.create_task(change("shop", "first", first_may_end))
        second, third = (asyncio.create_task(change("shop", name)) for name in ("second", "third"))
        await asyncio.create_task(change("other", "other"))
        assert order == ["first begins", "other begins", "other ends"]
        first_may_end.set()
        await asyncio.gather(first, second, third)
        assert order[3:] == ["first ends", "second begins", "second ends", "third begins", "third ends"]
        assert len(turns) == 0

    asyncio.run(work())


def test_who_leaves_while_waiting_or_fails_keeps_nobody_from_the_turn() -> None:
    async def work() -> None:
        turns, order, may_end = StoreTurns(), [], asyncio.Event()

        async def change(name: str, end: asyncio.Event | None = None, error: Exception | None = None) -> None:
            async with turns.turn("shop"):
                if end is not None:
                    await end.wait()
                if error is not None:
                    raise error
                order.append(name)

        first = asyncio.create_task(change("first", may_end))
        leaving, failing = asyncio.create_task(change("leaving")), asyncio.create_task(change("x", error=OSError()))
        last = asyncio.create_task(change("last"))
        await asyncio.sleep(0)
        leaving.cancel()
        may_end.set()
        with suppress(asyncio.CancelledError):
            await leaving
        await asyncio.gather(first, failing, last, return_exceptions=True)
        assert order == ["first", "last"]
        assert len(turns) == 0

    asyncio.run(work())
