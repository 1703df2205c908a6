"""Turns: transactions of one process that would meet in one document follow each other instead.

Two that meet cost both: one is undone and done again, and of thirty at one time the last one would give up. Processes
do not know of each other's turns; of them there are few, and what they do at one time conflicts in Mongo as ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakValueDictionary

from connectors.errors import Unavailable

WAIT_SECONDS: Final = 4.0
"""For one's turn; each of those before may take as long as a transaction may."""


class Turns:
    """One queue for each name; those of one event loop.

    Args:
        wait_seconds: For one's turn.
    """

    def __init__(self, wait_seconds: float = WAIT_SECONDS) -> None:
        self._wait_seconds = wait_seconds
        # A queue that nobody stands in is forgotten.
        self._queues: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def __len__(self) -> int:
        """Queues in which somebody stands."""
        return len(self._queues)

    @asynccontextmanager
    async def of(self, *names: str) -> AsyncIterator[None]:
        """Hold the first place of some queues; all must be asked for in one order.

        Raises:
            Unavailable: It was not one's turn in time; nothing was done.
        """
        if not names:
            yield
            return
        queue = self._queues.get(names[0])
        if queue is None:
            queue = self._queues[names[0]] = asyncio.Lock()
        try:
            async with asyncio.timeout(self._wait_seconds):
                await queue.acquire()
        except TimeoutError as error:
            raise Unavailable("others are at it for too long") from error
        try:
            async with self.of(*names[1:]):
                yield
        finally:
            queue.release()
