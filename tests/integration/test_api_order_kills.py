"""A process that is killed between any two of its writes leaves an order that is whole, or none; a retry makes it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final

import pytest
from pymongo.monitoring import CommandListener

from connectors.mongo.async_client import ConnectionsInUse, connect_async
from marketplace.collections import IDEMPOTENCY_KEYS, ORDERS, OUTBOX, PAYMENTS, RESERVATIONS
from ops.stack import Stack
from tests.kits.depth import LONG
from tests.kits.orders import count, drift, fill, goods, keyed, level, open_shop, put_stock, wish
from tests.kits.stack import polled
from tests.kits.tenancy import Work, World, run_in_world, tenancy_database

AT: Final = [3, 18, *(pytest.param(number, marks=LONG) for number in (5, 9, 12, 14, 16, 17))]
"""Before which command it is killed: before its transaction, and when it is done, in every run.

In the middle of a transaction what it has written is in the way of others until Mongo gives it up, which is a minute.
"""


class KillAt(ConnectionsInUse, CommandListener):
    """Kills its own process before a command is sent.

    Args:
        number: Of the command, from 1.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self._left = number

    def started(self, event: Any) -> None:
        """Count the commands of the request."""
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def succeeded(self, event: Any) -> None:
        """Nothing to note."""

    def failed(self, event: Any) -> None:
        """Nothing to note."""


async def place_and_die(mongo_url: str, database: str, version: int, number: int) -> int:
    """Order as bea, and be killed on the way, or not; gives the status."""
    client = connect_async(mongo_url, in_use=KillAt(number))
    world = World(client, database)
    answer = await world.ask("POST", "/v1/orders", "bea", json=wish(version), headers=keyed("k"))
    await client.close()
    return answer.status_code


@pytest.fixture(scope="module")
def run(stack: Stack) -> Iterator[Callable[[Callable[[str], Work]], None]]:
    with tenancy_database(stack) as database:
        yield lambda work: run_in_world(stack.urls.mongo, database, work(database))


@pytest.mark.parametrize("number", AT)
def test_an_order_is_there_once_whole_whenever_its_process_is_killed(
    stack: Stack, run: Callable[[Callable[[str], Work]], None], number: int
) -> None:
    mug, url = goods(), polled(stack.urls.mongo)

    def of(database: str) -> Work:
        async def work(world: World) -> None:
            await open_shop(world, mug)
            await put_stock(world, mug, 5)
            version = await fill(world, "bea", (mug, 2))
            command = [sys.executable, "-m", "tests.integration.test_api_order_kills", url, database, str(version)]
            died = await asyncio.to_thread(subprocess.run, [*command, str(number)], timeout=60, check=False)
            assert died.returncode == -signal.SIGKILL
            written = [await count(world, each.name) for each in (ORDERS, PAYMENTS, RESERVATIONS, OUTBOX)]
            assert written in ([0] * 4, [1] * 4)
            assert await drift(world) == []
            world.now += timedelta(seconds=31)
            async with asyncio.timeout(90):
                while True:
                    answer = await world.ask("POST", "/v1/orders", "bea", json=wish(version), headers=keyed("k"))
                    # What was killed in the middle of a transaction is in the way until Mongo gives it up.
                    if answer.status_code != 503:
                        break
            assert answer.status_code == 201, answer.text
            written = [await count(world, each.name) for each in (ORDERS, PAYMENTS, RESERVATIONS, OUTBOX)]
            assert written == [1] * 4
            assert await count(world, IDEMPOTENCY_KEYS.name) == 1
            assert (await level(world, mug), await drift(world)) == ((5, 2), [])

        return work

    run(of)


if __name__ == "__main__":
    sys.exit(asyncio.run(place_and_die(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))) != 201)
