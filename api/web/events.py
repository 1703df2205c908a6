"""Server-sent events: a stream of what happens, for as long as there is something to say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from fastapi import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

LAST_EVENT_ID: Final = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": "^[0-9]{1,15}$"},
    "description": "The `id` of the event that was seen last: what is older is not sent.",
}
HEARTBEAT: Final = ": still there\n\n"
"""A comment, so that nobody between takes the connection for dead."""

_RETRY_MS: Final = 2_000


class EventStream(StreamingResponse):
    """The answer of a route that sends events.

    Args:
        events: Texts, each a whole event or a comment.
        end: Is called when the stream has ended, in whatever way, also where it never began.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[str], end: Callable[[], Awaitable[object]]) -> None:
        super().__init__(events, headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        self._end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._end()


def first() -> str:
    """What a stream begins with: when to come again after it has ended."""
    return f"retry: {_RETRY_MS}\n\n"


def event(id: int, name: str, data: str) -> str:
    """An event; its data is JSON of one line."""
    return f"id: {id}\nevent: {name}\ndata: {data}\n\n"


def last_seen(request: Request) -> int:
    """The number of the event that was seen last; 0 for none, or for what is no number."""
    given = request.headers.get("last-event-id", "")
    return int(given) if given.isascii() and given.isdecimal() and len(given) <= 15 else 0
