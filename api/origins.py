"""Pages of a store's own domains may ask for the store's public things. There is none yet: what is here asks first.

A browser that is to send a page's request to another origin asks with a *preflight*. It is answered for the store that
the path names, to pages of its domains and their subdomains, and for reading alone. Credentials are allowed to nobody,
and no answer of a route names an origin: so pages of other origins can read nothing, whatever a browser lets them send.
"""

from __future__ import annotations

import re
from typing import Final

from fastapi import Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.limits import Limiter
from api.tenancy import Tenancy
from api.web.clients import address_of
from api.web.edge import request_id_of
from api.web.methods import Methods
from api.web.problems import UNAVAILABLE, Problem
from connectors.errors import Unavailable
from marketplace.enrichments.referral_links import is_internal
from marketplace.enrichments.store_rules import read_rules
from marketplace.entitlements import Tier
from marketplace.stores import SLUG, Store

_IN_STORE: Final = re.compile(rf"/v1/stores/({SLUG.pattern})(?:/.*)?")
_ORIGIN: Final = re.compile(r"https?://([a-z0-9-]+(?:\.[a-z0-9-]+)*)(?::[0-9]{1,5})?")
_RETRY_SECONDS: Final = 2.0
_SECONDS: Final = 600
"""How long a browser may keep the answer: after that a domain that was taken away is one no more."""


def is_own_origin(origin: str, store: Store) -> bool:
    """Whether a page's origin, as the header ``Origin`` names it, is one of a store's domains or a subdomain of one."""
    found = _ORIGIN.fullmatch(origin)
    return found is not None and is_internal(found[1], "", read_rules(store.rules_text).domains)


class Preflights:
    """An ASGI middleware that answers preflights of a store's own pages; others are answered like any method.

    Args:
        app: What answers all else.
        methods: Of every path.
    """

    def __init__(self, app: ASGIApp, methods: Methods) -> None:
        self._app, self._methods = app, methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        answer = None
        if scope["type"] == "http" and scope["method"] == "OPTIONS" and self._methods.of(scope["path"]):
            answer = await _answer(Request(scope))
        await (answer or self._app)(scope, receive, send)


async def _answer(request: Request) -> Response | None:
    """The answer to a preflight; None where it is none, or none of a page of the store."""
    path, origins = _IN_STORE.fullmatch(request.scope["path"]), request.headers.getlist("origin")
    if path is None or len(origins) != 1 or "access-control-request-method" not in request.headers:
        return None
    limiter: Limiter = request.app.state.limiter
    tenancy: Tenancy = request.app.state.tenancy
    try:
        limited = await limiter.request("", Tier.FREE, address_of(request), 1.0)
        found = await tenancy.stores.get(path[1])
    except Problem as problem:
        return problem.response(request_id_of(request.scope))
    except Unavailable:
        return Problem(UNAVAILABLE, retry_after_seconds=_RETRY_SECONDS).response(request_id_of(request.scope))
    request.state.answer_headers = limited.headers()
    if found is None or not is_own_origin(origins[0], found.store):
        return None
    headers = {
        "access-control-allow-origin": origins[0],
        "access-control-allow-methods": "GET",
        "access-control-max-age": str(_SECONDS),
        "vary": "origin",
    }
    return Response(status_code=204, headers=headers)
