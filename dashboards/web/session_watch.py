"""A connection of every open page that says when its viewer may not see it any more, so that it goes at once.

Whoever ignores it gets no numbers all the same: each query asks who may see them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Final

from starlette.types import Receive, Send

from connectors.errors import Unavailable
from dashboards.data.access import NotAllowed
from dashboards.data.viewers import Viewers

PATH: Final = "/session/watch"
_EVERY_SECONDS: Final = 0.3
_POLICY_VIOLATION: Final = 1008
_NORMAL: Final = 1000


async def watch(viewers: Viewers, token: str, local: bool, receive: Receive, send: Send) -> None:
    """Serve one such connection until it ends, or the sign-in does."""
    await receive()
    await send({"type": "websocket.accept"})
    listening = asyncio.ensure_future(receive())
    seen: frozenset[str] = frozenset()
    try:
        while True:
            try:
                viewer = await asyncio.shield(asyncio.wrap_future(viewers.submit(token, local)))
            except NotAllowed:
                await _say(send, {"ended": True})
                await send({"type": "websocket.close", "code": _NORMAL})
                return
            except Unavailable:
                # Who was signed in stays signed in.
                pass
            else:
                stores = frozenset(viewer.stores)
                if seen - stores:
                    await _say(send, {"lost": sorted(seen - stores)})
                seen = stores
            done, _ = await asyncio.wait({listening}, timeout=_EVERY_SECONDS)
            if done:
                # A page says nothing here.
                if listening.result()["type"] != "websocket.disconnect":
                    await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
                return
    finally:
        listening.cancel()


async def _say(send: Send, message: Mapping[str, object]) -> None:
    await send({"type": "websocket.send", "text": json.dumps(message)})
