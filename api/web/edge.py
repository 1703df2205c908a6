"""The outermost layer: request ids, hosts, headers of every answer, and an answer for whatever nobody caught."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable, Collection
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.web.problems import BAD_REQUEST, INTERNAL, NOT_FOUND, UNAVAILABLE, Problem

MAX_REQUESTS: Final = 1_000
"""At one time, of one process."""

SEND_SECONDS: Final = 30.0
"""For a client to take each part of an answer. Until then its request has one of the places."""

_RETRY_SECONDS: Final = 1.0
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9_-]{8,64}")
_HOST: Final = re.compile(rb"([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?")
_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"permissions-policy", b"interest-cohort=()"),
    (b"cache-control", b"no-store"),
)
"""Of every answer that does not say otherwise itself: nothing here is for caches, frames or scripts."""

_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})

Observer = Callable[[str, int, float], None]
"""Is called with the route (method and path template; empty for none), the status and the seconds of each request."""

Refusal = Callable[[Scope, Problem], Response]
"""Answers a request that is refused here."""

_log = logging.getLogger(__name__)


class _NotTaken(Exception):
    """The client does not read its answer."""


def ignore(route: str, status: int, seconds: float) -> None:
    """Count nothing."""
    del route, status, seconds


def as_data(scope: Scope, problem: Problem) -> Response:
    """A problem as its own media type says it."""
    return problem.response(request_id_of(scope))


class Edge:
    """An ASGI middleware around the whole application. It keeps no state of a request beyond its end.

    Args:
        app: The application.
        hosts: Names that it is reached by; others get 400 before anything is decided by them. Empty for any.
        new_id: Makes request ids.
        observe: Counts requests.
        max_requests: At one time; a further one is answered with 503.
        send_seconds: For a client to take each part of an answer.
        refuse: Answers a request that is refused here, or that nobody has answered.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Collection[str] = (),
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
        observe: Observer = ignore,
        max_requests: int = MAX_REQUESTS,
        send_seconds: float = SEND_SECONDS,
        refuse: Refusal = as_data,
    ) -> None:
        self.app, self._new_id, self._observe = app, new_id, observe
        self._max_requests, self._running, self._send_seconds = max_requests, 0, send_seconds
        self._refuse = refuse
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = [value for name, value in scope["headers"] if name == b"x-request-id"]
        own = len(given) == 1 and _REQUEST_ID.fullmatch(given[0])
        request_id = given[0].decode() if own else self._new_id()
        scope.setdefault("state", {})["request_id"] = request_id
        # RFC 9110, section 9.1: a server that answers GET answers HEAD, with the same head.
        head = scope["state"]["head"] = scope["method"] == "HEAD"
        if head:
            # The server's own stays: it decides by it whether a body is to come.
            scope = {**scope, "method": "GET"}
        started = finished = False
        began, status = time.perf_counter(), 500

        async def answer(message: Message) -> None:
            nonlocal started, finished, status
            finished = message["type"] == "http.response.body" and not message.get("more_body", False)
            if message["type"] == "http.response.start":
                started, status = True, message["status"]
                headers = list(message.get("headers", ()))
                there = {name.lower() for name, _ in headers}
                headers += [header for header in _HEADERS if header[0] not in there]
                own: dict[str, str] = scope["state"].get("answer_headers", {})
                headers += [(n.encode(), v.encode()) for n, v in own.items() if n.encode() not in there]
                headers.append((b"x-request-id", request_id.encode()))
                message = {**message, "headers": headers}
            elif head:
                message = {**message, "body": b""}
            try:
                async with asyncio.timeout(self._send_seconds):
                    await send(message)
            except TimeoutError as error:
                raise _NotTaken from error

        self._running += 1
        try:
            try:
                if self._running > self._max_requests:
                    raise Problem(UNAVAILABLE, retry_after_seconds=_RETRY_SECONDS)
                self._check_host(scope)
                if scope["path"].endswith("\n"):
                    # The patterns of routes take it for the path before it, and nothing else here does.
                    raise Problem(NOT_FOUND)
                await self.app(scope, receive, answer)
            except Problem as problem:
                await self._refuse(scope, problem)(scope, receive, answer)
        except _NotTaken:
            # The server closes the connection of an answer that is not complete.
            _log.warning("request %s: its answer was not read", request_id)
        except Exception:
            _log.exception("request %s failed: %s", request_id, scope.get("method"))
            if not started:
                await self._refuse(scope, Problem(INTERNAL))(scope, receive, answer)
            elif not finished:
                # The server closes the connection, so that nobody takes half an answer for a whole one.
                raise
        finally:
            self._running -= 1
            self._observe(_route_of(scope), status, time.perf_counter() - began)

    def _check_host(self, scope: Scope) -> None:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        match = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if match is None or (self._hosts and match[1].decode().lower() not in self._hosts):
            raise Problem(BAD_REQUEST, "the header Host names no host of this service")


def request_id_of(scope: Scope) -> str:
    """The id of a request, as its answer's header says it."""
    return str(scope["state"]["request_id"])


def _route_of(scope: Scope) -> str:
    """Method and path template; never the path itself, of which there are as many as clients like."""
    template = getattr(scope.get("route"), "path", "")
    return f"{scope['method']} {template}" if template and scope["method"] in _METHODS else ""
