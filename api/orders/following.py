"""Streams of an order's progress: what its buyer is sent, until it ends, their sign-in ends, or the time is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final

from fastapi import Request, Response

from api.orders.progress import Progress, TooManyFollow, has_ended
from api.web.events import HEARTBEAT, EventStream, event, first
from api.web.problems import UNAVAILABLE, Problem
from connectors.mongo.orders import KeptOrder

_RETRY_SECONDS: Final = 5.0

Allowed = Callable[[], Awaitable[bool | None]]
"""Whether who follows may be sent something still. None where nobody can say now: then nothing is sent, for a while."""

Say = Callable[[KeptOrder], str]
"""What is said of an order, as JSON of one line."""


async def follow(
    request: Request, progress: Progress, kept: KeptOrder, account: str, seen: int, allowed: Allowed, say: Say
) -> Response:
    """Send what becomes of an order, as it is now first; 204 where nothing follows what was seen.

    Args:
        request: Of a route whose answers are streams.
        progress: Of this process.
        kept: The order, of that account.
        account: Whose streams it is counted among.
        seen: The version that was seen last; 0 for none.
        allowed: Is asked before anything is sent.
        say: Makes the data of an event.

    Raises:
        Problem: As many follow orders as may.
    """
    if has_ended(kept) and seen == kept.order.version:
        return Response(status_code=204)
    stack = AsyncExitStack()
    if request.state.head:
        return EventStream(_nothing(), stack.aclose)
    try:
        changes = await stack.enter_async_context(progress.following(kept.order.id, account))
    except TooManyFollow as error:
        raise Problem(UNAVAILABLE, str(error), retry_after_seconds=_RETRY_SECONDS) from error
    known = seen if seen <= kept.order.version else 0
    return EventStream(_events(progress, changes, kept, known, allowed, say), stack.aclose)


async def _events(
    progress: Progress,
    changes: asyncio.Queue[KeptOrder | None],
    kept: KeptOrder,
    seen: int,
    allowed: Allowed,
    say: Say,
) -> AsyncIterator[str]:
    until = time.monotonic() + progress.life_seconds
    yield first()
    latest: KeptOrder | None = kept
    while latest is not None and time.monotonic() < until:
        if latest.order.version > seen:
            may = await allowed()
            if may is False:
                return
            if may:
                seen = latest.order.version
                yield event(seen, "order", say(latest))
        if has_ended(latest) and seen == latest.order.version:
            return
        beat = time.monotonic() + progress.heartbeat_seconds
        latest = await _next(changes, latest, seen, beat)
        if time.monotonic() >= beat:
            if await allowed() is False:
                return
            yield HEARTBEAT


async def _next(
    changes: asyncio.Queue[KeptOrder | None], latest: KeptOrder, seen: int, until: float
) -> KeptOrder | None:
    """The order when it has changed, or when the time is over; None at the end of all."""
    while (left := until - time.monotonic()) > 0:
        try:
            found = await asyncio.wait_for(changes.get(), left)
        except TimeoutError:
            break
        if found is None or found.order.version > seen:
            return found
    return latest


async def _nothing() -> AsyncIterator[str]:
    yield ""
