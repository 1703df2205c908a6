"""That an order has changed, as server-sent events: the page of the order is read again then."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Final

from fastapi import Request
from starlette.responses import Response

from api.callers import Caller
from api.orders.progress import HEARTBEAT_SECONDS, LIFE_SECONDS, TooManyFollow, has_ended
from api.orders.routes import ordering
from api.storefront.cookies import SESSION, value_of
from api.web.events import HEARTBEAT, EventStream, event, first, last_seen
from api.web.problems import UNAVAILABLE, Problem
from connectors.errors import Unavailable
from connectors.mongo.orders import KeptOrder

_RETRY_SECONDS: Final = 5.0


async def stream(request: Request, caller: Caller, kept: KeptOrder) -> Response:
    """The events of an order from the version on that its page has; nothing of the order is in them.

    Raises:
        Problem: As many follow orders as may.
    """
    seen = last_seen(request) or _shown(request)
    if has_ended(kept) and seen == kept.order.version:
        return Response(status_code=204)
    progress, stack = ordering(request).progress, AsyncExitStack()
    if request.state.head:
        return EventStream(_nothing(), stack.aclose)
    try:
        changes = await stack.enter_async_context(progress.following(kept.order.id, caller.user.id))
    except TooManyFollow as error:
        raise Problem(UNAVAILABLE, str(error), retry_after_seconds=_RETRY_SECONDS) from error
    return EventStream(_events(request, caller, changes, min(seen, kept.order.version)), stack.aclose)


def _shown(request: Request) -> int:
    """The version that the page shows, as its script says."""
    text = request.query_params.get("version", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 15 else 0


async def _events(
    request: Request, caller: Caller, changes: asyncio.Queue[KeptOrder | None], seen: int
) -> AsyncIterator[str]:
    until = time.monotonic() + LIFE_SECONDS
    yield first()
    while time.monotonic() < until:
        try:
            latest = await asyncio.wait_for(_next(changes, seen), HEARTBEAT_SECONDS)
        except TimeoutError:
            if not await _may_see(request, caller):
                return
            yield HEARTBEAT
            continue
        if latest is None or not await _may_see(request, caller):
            return
        if latest.order.version > seen:
            seen = latest.order.version
            yield event(seen, "order", json.dumps({"version": seen}))
        if has_ended(latest):
            return


async def _next(changes: asyncio.Queue[KeptOrder | None], seen: int) -> KeptOrder | None:
    """The order when it is another one than the page shows, or is at its end; None at the end of all."""
    while True:
        found = await changes.get()
        if found is None or found.order.version > seen or has_ended(found):
            return found


async def _may_see(request: Request, caller: Caller) -> bool:
    """Whether who follows is signed in still; as long as nobody can say, they were."""
    try:
        now = await request.app.state.identities.caller_of_cookie(value_of(request.scope, SESSION))
    except Unavailable:
        return True
    return now is not None and now.user.id == caller.user.id


async def _nothing() -> AsyncIterator[str]:
    yield ""
