"""Host and Origin checks: the dashboard answers its own pages under its own names, and no page of another site.

Streamlit checks neither host names nor framing. This middleware does not depend on the pages.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HOST_CONFIG: Final = "/_stcore/host-config"
GUARDS: Final = (
    # No other page may show this one in a frame, where it could steer a viewer's clicks.
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
    # The URL names the store and the filters, which other sites need not know.
    (b"referrer-policy", b"same-origin"),
)
CONDITIONS: Final = frozenset({b"if-none-match", b"if-modified-since", b"range", b"accept-encoding"})
"""Headers of requests about a cached copy of Streamlit's own page; they do not apply to a page that replaces it."""


class Gate:
    """ASGI middleware that refuses requests of other sites, and keeps other sites from framing or steering the page.

    Args:
        app: The application behind it.
        names: Host names under which the dashboard is reached, as behind a proxy; local names and IP addresses are
            always allowed.
    """

    def __init__(self, app: ASGIApp, names: Collection[str] = ()) -> None:
        self._app, self._names = app, frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            send = _guarded(send)
        if scope["type"] in ("http", "websocket") and not is_ours(Headers(scope=scope), self._names):
            await _refuse(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._app(_from_here(scope), receive, send)
        elif scope["type"] == "http" and scope["method"] == "GET" and scope["path"] == _HOST_CONFIG:
            await _host_config(self._app, scope, receive, send)
        else:
            await self._app(scope, receive, send)


def is_ours(headers: Headers, names: Collection[str]) -> bool:
    """Whether a request is meant for this server and comes from its own pages.

    A page of any site can open a connection to this machine, and can make its own host name resolve to it (DNS
    rebinding). An IP address cannot be rebound; a name is trusted if it is listed, or local.

    Args:
        headers: The request's headers.
        names: Host names under which the dashboard is reached, as behind a proxy.
    """
    host = headers.get("host", "")
    if not _is_known(host, names):
        return False
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        netloc = urlsplit(origin).netloc
    except ValueError:
        return False
    return netloc == host or _hostname(netloc) in names


def _from_here(scope: Scope) -> Scope:
    """The scope with an origin that Streamlit takes for its own; for others it looks up its address on the internet."""
    headers = Headers(scope=scope)
    if "origin" not in headers:
        return scope
    others = [pair for pair in scope["headers"] if pair[0] != b"origin"]
    return {**scope, "headers": [*others, (b"origin", f"http://{headers['host']}".encode("latin-1"))]}


def _is_known(host: str, names: Collection[str]) -> bool:
    name = _hostname(host)
    if name in names or name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _hostname(netloc: str) -> str:
    try:
        return urlsplit(f"//{netloc}").hostname or ""
    except ValueError:
        return ""


def _guarded(send: Send) -> Send:
    """A send that adds ``GUARDS`` to every response."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *GUARDS]}
        await send(message)

    return guarded


async def _host_config(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Streamlit's configuration for pages that embed it, with an empty list of allowed origins."""
    start: Message = {}
    body = bytearray()

    async def collect(message: Message) -> None:
        nonlocal start
        if message["type"] == "http.response.start":
            start = message
        else:
            body.extend(message.get("body", b""))

    await app({**scope, "headers": [pair for pair in scope["headers"] if pair[0] not in CONDITIONS]}, receive, collect)
    if start.get("status") == 200:
        config = {**json.loads(bytes(body)), "allowedOrigins": []}
        body[:] = json.dumps(config).encode()
        start = {**start, "headers": response_headers("application/json", bytes(body), "no-cache")}
    await send(start)
    await send({"type": "http.response.body", "body": bytes(body)})


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    text = "The dashboard does not answer to this name. MARKETPLACE_DASHBOARD_NAMES says which ones it has.\n"
    await PlainTextResponse(text, 403)(scope, receive, send)


def response_headers(kind: str, body: bytes, caching: str) -> list[tuple[bytes, bytes]]:
    """Headers of a response that is not Streamlit's."""
    return [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", caching.encode()),
        (b"x-content-type-options", b"nosniff"),
    ]
