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
"""For a turn before one's own to end well; each of them may take as long as a transaction may."""

LONGEST_SECONDS: Final = 12.0
"""For one's turn in all queues together, however well they move: clients and proxies wait for longer."""


class _Queue:
    """Those who wait for one name, and until when."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self._waiting: dict[asyncio.Timeout, float] = {}

    async def wait(self, patience_seconds: float, until: float) -> None:
        """Wait for the first place.

        Raises:
            TimeoutError: It was not one's turn in time.
        """
        now = asyncio.get_running_loop().time()
        async with asyncio.timeout_at(min(now + patience_seconds, until)) as limit:
            self._waiting[limit] = until
            try:
                await self.lock.acquire()
            finally:
                del self._waiting[limit]
                # It knows its task: with the traceback of one who left, the queue would stay until the next collection.
                del limit

    def moved(self, patience_seconds: float) -> None:
        """A turn has ended well: those behind it wait on."""
        now = asyncio.get_running_loop().time()
        for limit, until in self._waiting.items():
            if not limit.expired():
                limit.reschedule(min(now + patience_seconds, until))


class Turns:
    """One queue for each name; those of one event loop.

    A crowd is served one after the other for as long as turns end well. Where they do not, because Mongo hangs, those
    who wait are turned down as soon as one alone would be.

    Args:
        wait_seconds: Until a turn before one's own ends well.
        longest_seconds: For one's turn in all queues together.
    """

    def __init__(self, wait_seconds: float = WAIT_SECONDS, longest_seconds: float = LONGEST_SECONDS) -> None:
        self._wait_seconds, self._longest_seconds = wait_seconds, longest_seconds
        # A queue that nobody stands in is forgotten.
        self._queues: WeakValueDictionary[str, _Queue] = WeakValueDictionary()

    def __len__(self) -> int:
        """Queues in which somebody stands."""
        return len(self._queues)

    @asynccontextmanager
    async def of(self, *names: str) -> AsyncIterator[None]:
        """Hold the first place of some queues; all must be asked for in one order.

        Raises:
            Unavailable: It was not one's turn in time; nothing was done.
        """
        async with self._of(names, asyncio.get_running_loop().time() + self._longest_seconds):
            yield

    @asynccontextmanager
    async def _of(self, names: tuple[str, ...], until: float) -> AsyncIterator[None]:
        if not names:
            yield
            return
        queue = self._queues.get(names[0])
        if queue is None:
            queue = self._queues[names[0]] = _Queue()
        try:
            await queue.wait(self._wait_seconds, until)
        except TimeoutError as error:
            raise Unavailable("others are at it for too long") from error
        ended_well = True
        try:
            async with self._of(names[1:], until):
                yield
        except Unavailable:
            ended_well = False
            raise
        finally:
            queue.lock.release()
            if ended_well:
                queue.moved(self._wait_seconds)
