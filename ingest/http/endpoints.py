"""The HTTP endpoints: collect, import, pixel, snippet and health check."""

from __future__ import annotations

import base64
import gzip
import secrets
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from ingest.collect.service import CollectService, Sender
from ingest.config import CollectorConfig
from ingest.faults import CORS_HEADERS, HttpFault
from ingest.http.body import BodyReader
from ingest.metrics import CollectorMetrics
from marketplace.clicks.client_address import client_address, reported_hops
from marketplace.clicks.collect import Batch, read_body, read_event
from marketplace.clicks.events import Origin
from marketplace.clicks.history import read_history
from marketplace.clicks.record import Client, clip_user_agent
from marketplace.clicks.split import RefusedBody
from marketplace.clicks.visitors import truncate_ip

GIF: Final = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_NO_STORE: Final = {"cache-control": "no-store, max-age=0", "cross-origin-resource-policy": "cross-origin"}
_PREFLIGHT: Final = {
    **CORS_HEADERS,
    "access-control-allow-methods": "POST",
    "access-control-allow-headers": "authorization, content-encoding, content-type, x-write-key",
    "access-control-max-age": "86400",
}
_PREFETCH_HEADERS: Final = ("sec-purpose", "purpose", "x-moz", "x-purpose")
_MAX_DIGITS: Final = 20
_PIXEL_FIELDS: Final = ("type", "occurred_at", "url", "referrer", "target", "product", "visitor_id", "name")
_PROPERTY: Final = "properties["


@dataclass(frozen=True)
class Endpoints:
    """The request handlers of one collector."""

    service: CollectService
    bodies: BodyReader
    metrics: CollectorMetrics
    config: CollectorConfig

    async def collect(self, request: Request) -> Response:
        """``POST /v1/collect``: one event or a batch."""
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=_PREFLIGHT)
        address, service = self._address(request), self.service
        service.limits.admit_request(address)
        store = await service.authenticate(_write_key(request), address)
        origin: Origin = "web" if "origin" in request.headers or "key" in request.query_params else "server"
        sender = _sender(request, address, origin)
        body = await self.bodies.read(
            request, address, lambda sent: service.limits.admit_store(store, sender.client, sent)
        )
        try:
            batch = read_body(body)
        except RefusedBody as refused:
            raise await service.refuse(store, refused, body, sender.client) from None
        outcome = await service.collect(store, batch, sender, len(body))
        return outcome.response()

    async def history(self, request: Request) -> Response:
        """``POST /v1/import``: events of the past, from the seller's own server with the secret import key."""
        address, service = self._address(request), self.service
        service.limits.admit_request(address)
        store = await service.authenticate_import(_bearer(request), address)
        sender = _sender(request, address, "import")
        body = await self.bodies.read(
            request, address, lambda sent: service.limits.admit_store(store, sender.client, sent)
        )
        try:
            batch = read_history(body, service.received_at_ms())
        except RefusedBody as refused:
            raise await service.refuse(store, refused, body, sender.client) from None
        outcome = await service.collect(store, batch, sender, len(body))
        return outcome.response()

    async def pixel(self, request: Request) -> Response:
        """``GET /v1/pixel.gif``: always the image; the status code is the outcome."""
        try:
            address, limits = self._address(request), self.service.limits
            limits.admit_request(address)
            store = await self.service.authenticate(request.query_params.get("key", ""), address)
            sender = _sender(request, address, "pixel")
            limits.admit_store(store, sender.client)
            event = read_event(_pixel_event(request), "")
            outcome = await self.service.collect(store, Batch((event,), single=True), sender)
            status, headers = (200 if outcome.status == 202 else outcome.status), dict(CORS_HEADERS)
        except HttpFault as fault:
            self.metrics.faults.labels(fault.code).inc()
            status, headers = fault.status, fault.headers()
        return Response(GIF, status, {**headers, **_NO_STORE}, media_type="image/gif")

    async def snippet(self, request: Request) -> Response:
        """``GET /m.js``: the snippet for a store's pages."""
        headers = {
            **CORS_HEADERS,
            "cache-control": "public, max-age=3600",
            "cross-origin-resource-policy": "cross-origin",
            "vary": "accept-encoding",
            "x-content-type-options": "nosniff",
        }
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["content-encoding"] = "gzip"
        body = _COMPRESSED_SNIPPET if "content-encoding" in headers else _SNIPPET
        return Response(body, headers=headers, media_type="text/javascript")

    async def healthz(self, request: Request) -> Response:
        """``GET /healthz``: the process runs; readiness and metrics are on the admin listener."""
        return Response("ok\n", media_type="text/plain")

    def _address(self, request: Request) -> str:
        peer = request.client.host if request.client else ""
        if not self.config.trusted_proxies:
            return client_address(peer, "", ())
        header = self.config.client_header
        return client_address(peer, reported_hops(header, request.headers.getlist(header)), self.config.trusted_proxies)


def _write_key(request: Request) -> str:
    return _bearer(request) or request.headers.get("x-write-key", "") or request.query_params.get("key", "")


def _bearer(request: Request) -> str:
    """The token of the Authorization header; secrets are read from nowhere else, so that no URL contains one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _sender(request: Request, address: str, origin: Origin) -> Sender:
    headers = request.headers
    user_agent = headers.get("user-agent", "")
    return Sender(
        address=address,
        user_agent=user_agent,
        client=Client(
            ip=truncate_ip(address),
            user_agent=clip_user_agent(user_agent),
            origin=origin,
            automated=any("prefetch" in headers.get(name, "").lower() for name in _PREFETCH_HEADERS),
            opted_out=headers.get("dnt") == "1" or headers.get("sec-gpc") == "1",
        ),
    )


def _pixel_event(request: Request) -> dict[str, Any]:
    """The query as an event; without ``id`` an id is generated, so that a repeated request is a new event."""
    query = request.query_params
    event: dict[str, Any] = {name: query[name] for name in _PIXEL_FIELDS if name in query}
    occurred_at = query.get("occurred_at", "")
    if occurred_at.isascii() and occurred_at.isdecimal():
        # Python refuses to parse a number of thousands of digits; one of twenty is out of range anyway.
        event["occurred_at"] = int(occurred_at.lstrip("0")[:_MAX_DIGITS] or "0")
    event.setdefault("url", request.headers.get("referer", ""))
    # As forms write fields of a field: properties[issue]=12.
    properties = {
        name.removeprefix(_PROPERTY)[:-1]: value
        for name, value in query.items()
        if name.startswith(_PROPERTY) and name.endswith("]")
    }
    if properties:
        event["properties"] = properties
    if event.get("name"):
        event.setdefault("type", "event")
    event["event_id"] = query["id"] if "id" in query else secrets.token_hex(16)
    return event


_SNIPPET: Final = files("ingest.http").joinpath("m.js").read_bytes()
_COMPRESSED_SNIPPET: Final = gzip.compress(_SNIPPET, mtime=0)
