"""Changes of one store's catalog take turns in a process, instead of meeting each other in Mongo.

Transactions that lock the same document are repeated until they meet no other one. Of twenty at one time some would be
repeated for longer than anybody waits. Those of other processes are still met, and repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class StoreTurns:
    """One change at a time for each store, in the order in which they came; for one event loop."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    def __len__(self) -> int:
        """Stores that somebody changes or waits to change."""
        return len(self._locks)

    @asynccontextmanager
    async def turn(self, store: str) -> AsyncIterator[None]:
        """Wait for the turn, and have it until the end."""
        lock, users = self._locks.get(store, (asyncio.Lock(), 0))
        self._locks[store] = lock, users + 1
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks.pop(store)
            if users > 1:
                self._locks[store] = lock, users - 1
