"""How far orders are, for those who follow them: one question a moment of a process, whoever and however many follow.

Mongo is asked for the orders that somebody follows, all of them in one question, and whoever follows one is given what
has changed. That works whichever process changes an order. Where Mongo does not answer, nobody is given anything, and
it goes on when it answers again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Final

from connectors.errors import Unavailable
from connectors.mongo.orders import KeptOrder
from marketplace.sagas.order_state import TERMINAL

POLL_SECONDS: Final = 0.4
MAX_FOLLOWERS: Final = 200
"""Of one process; a further one is to come again."""

MAX_OF_ACCOUNT: Final = 10
"""Followers of one account, of one process."""

HEARTBEAT_SECONDS: Final = 10.0
LIFE_SECONDS: Final = 600.0
"""After so long a stream ends; whoever follows comes again and says what was seen last."""

Read = Callable[[Collection[str]], Awaitable[Mapping[str, KeptOrder]]]

_log = logging.getLogger(__name__)


class TooManyFollow(Exception):
    """As many follow orders as may."""


def has_ended(kept: KeptOrder) -> bool:
    """Whether nothing is going to happen to an order by itself: it is at an end, and no money is on the way back."""
    return kept.order.state in TERMINAL and all(refund.done for refund in kept.order.refunds)


class Progress:
    """Follows orders for those who want to know, for one event loop.

    Args:
        read: Reads orders by id.
        poll_seconds: How often Mongo is asked.

    Attributes:
        poll_seconds: How often Mongo is asked.
        ending: Whether the process is to end: a server waits for its answers, and these end by themselves only late.
        heartbeat_seconds: How often something is sent, and asked whether who follows may still.
        life_seconds: How long a stream lasts.
        questions: How often Mongo was asked.
    """

    def __init__(self, read: Read, poll_seconds: float = POLL_SECONDS) -> None:
        self._read, self.poll_seconds = read, poll_seconds
        self.ending: Callable[[], bool] = lambda: False
        self.heartbeat_seconds, self.life_seconds = HEARTBEAT_SECONDS, LIFE_SECONDS
        self._followers: dict[str, set[asyncio.Queue[KeptOrder | None]]] = {}
        self._accounts: dict[str, int] = {}
        self._polling: asyncio.Task[None] | None = None
        self._closed = False
        self.questions = 0

    @property
    def followers(self) -> int:
        """How many follow an order now."""
        return sum(map(len, self._followers.values()))

    @asynccontextmanager
    async def following(self, order: str, account: str) -> AsyncIterator[asyncio.Queue[KeptOrder | None]]:
        """What becomes of an order: the queue has it as it is with each poll, at most once, and None at the end of all.

        Raises:
            TooManyFollow: So many follow already.
        """
        if self._closed or self.followers >= MAX_FOLLOWERS or self._accounts.get(account, 0) >= MAX_OF_ACCOUNT:
            raise TooManyFollow("as many follow orders as may")
        queue: asyncio.Queue[KeptOrder | None] = asyncio.Queue()
        self._followers.setdefault(order, set()).add(queue)
        self._accounts[account] = self._accounts.get(account, 0) + 1
        if self._polling is None:
            self._polling = asyncio.create_task(self._poll())
        try:
            yield queue
        finally:
            self._followers[order].discard(queue)
            if not self._followers[order]:
                del self._followers[order]
            self._accounts[account] -= 1
            if not self._accounts[account]:
                del self._accounts[account]

    def end(self) -> None:
        """End all streams, and begin none."""
        self._closed = True
        for queues in self._followers.values():
            for queue in queues:
                queue.put_nowait(None)

    async def close(self) -> None:
        """End all streams, and ask nothing any more."""
        self.end()
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)

    async def _poll(self) -> None:
        """Ask for as long as somebody follows an order."""
        try:
            while self._followers:
                await asyncio.sleep(self.poll_seconds)
                if self.ending():
                    self.end()
                    return
                await self._ask()
        finally:
            self._polling = None

    async def _ask(self) -> None:
        wanted = set(self._followers)
        if not wanted:
            return
        self.questions += 1
        try:
            found = await self._read(wanted)
        except Unavailable as error:
            _log.warning("orders that are followed cannot be read now: %s", error)
            return
        except Exception:
            # A task that ends would leave those who follow with nothing, and nobody would see it.
            _log.exception("orders that are followed cannot be read")
            return
        for order, kept in found.items():
            for queue in self._followers.get(order, ()):
                if queue.empty():
                    queue.put_nowait(kept)
