"""That an order has changed, as server-sent events: the page of the order is read again then."""

from __future__ import annotations

import json

from fastapi import Request
from starlette.responses import Response

from api.callers import Caller
from api.orders.following import follow
from api.orders.routes import ordering
from api.storefront.cookies import SESSION, value_of
from api.web.events import last_seen
from connectors.errors import Unavailable
from connectors.mongo.orders import KeptOrder


async def stream(request: Request, caller: Caller, kept: KeptOrder) -> Response:
    """The events of an order from the version on that its page has; nothing of the order is in them.

    Raises:
        Problem: As many follow orders as may.
    """

    async def allowed() -> bool:
        try:
            now = await request.app.state.identities.caller_of_cookie(value_of(request.scope, SESSION))
        except Unavailable:
            # There is no more in an event than that the page is to be read again, which asks who is signed in.
            return True
        return now is not None and now.user.id == caller.user.id

    seen = last_seen(request) or _shown(request)
    return await follow(request, ordering(request).progress, kept, caller.user.id, seen, allowed, _said)


def _shown(request: Request) -> int:
    """The version that the page shows, as its script says."""
    text = request.query_params.get("version", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 15 else 0


def _said(kept: KeptOrder) -> str:
    return json.dumps({"version": kept.order.version})
