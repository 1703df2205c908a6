"""The collector as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ingest.collect.service import CollectService
from ingest.dependencies import CollectorDependencies
from ingest.faults import HttpFault
from ingest.http.body import BodyReader
from ingest.http.endpoints import Endpoints
from ingest.metrics import CollectorMetrics

Endpoint = Callable[[Request], Awaitable[Response]]

COLLECT_PATH: Final = "/v1/collect"
_HOUSEKEEPING_SECONDS: Final = 60.0
_CLOSE_SECONDS: Final = 10.0
_LAST_COUNTS_SECONDS: Final = 3.0
_BUSY: Final = HttpFault(503, "unavailable", "too many requests at the same time", retry_after_seconds=1.0, close=True)
_log = logging.getLogger(__name__)


class Collector(Starlette):
    """The application; a request to the busiest endpoint bypasses the router and the middleware.

    Args:
        collect: The busiest endpoint; it turns its own faults into responses.
        metrics: Count requests that are refused here.
        max_requests: At one time; a further one is answered with 503.
        options: Starlette's.
    """

    def __init__(self, collect: Endpoint, metrics: CollectorMetrics, max_requests: int, **options: Any) -> None:
        super().__init__(**options)
        self._collect, self._metrics = collect, metrics
        self._max_requests, self._requests = max_requests, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        if self._requests >= self._max_requests:
            self._metrics.faults.labels(_BUSY.code).inc()
            await _BUSY.response()(scope, receive, send)
            return
        self._requests += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            self._requests -= 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != COLLECT_PATH or scope["method"] != "POST":
            await super().__call__(scope, receive, send)
            return
        request = Request(scope, receive, send)
        try:
            response = await self._collect(request)
        except HTTPException as error:
            response = await _plain_http_error(request, error)
        await response(scope, receive, send)


def build_app(dependencies: CollectorDependencies, metrics: CollectorMetrics) -> Starlette:
    """Build the application; it owns the producer and closes it on shutdown."""
    service = CollectService(dependencies, metrics)
    endpoints = Endpoints(service, BodyReader(dependencies.config), metrics, dependencies.config)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        heartbeat = asyncio.create_task(dependencies.heartbeat.keep())
        tasks = [
            asyncio.create_task(work)
            for work in (
                _repeat("forgetting salts", service.forget_expired_salts),
                _repeat("fetching salts", service.fetch_salts_ahead),
                service.turned_away.run(),
            )
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            try:
                await asyncio.wait_for(service.turned_away.save(), _LAST_COUNTS_SECONDS)
            except Exception as error:
                _log.warning("turned away: the last counts are lost: %s", error)
            service.close()
            await asyncio.to_thread(dependencies.producer.close, _CLOSE_SECONDS)
            heartbeat.cancel()

    collect = _measured("collect", endpoints.collect, metrics)

    return Collector(
        collect,
        metrics,
        dependencies.config.max_connections,
        routes=[
            Route(COLLECT_PATH, collect, methods=["POST", "OPTIONS"]),
            Route("/v1/import", _measured("import", endpoints.history, metrics), methods=["POST"]),
            Route("/v1/pixel.gif", _measured("pixel", endpoints.pixel, metrics), methods=["GET"]),
            Route("/m.js", _measured("snippet", endpoints.snippet, metrics), methods=["GET"]),
            Route("/healthz", endpoints.healthz, methods=["GET"]),
        ],
        exception_handlers={HTTPException: _plain_http_error},
        lifespan=lifespan,
    )


def _measured(name: str, endpoint: Endpoint, metrics: CollectorMetrics) -> Endpoint:
    """Count and time an endpoint and turn faults into JSON; an unexpected error is logged and answered with 500."""

    async def handle(request: Request) -> Response:
        started = time.perf_counter()
        try:
            response = await endpoint(request)
        except HttpFault as fault:
            metrics.faults.labels(fault.code).inc()
            response = fault.response()
        except HTTPException:
            raise
        except Exception:
            _log.exception("%s failed", name)
            metrics.faults.labels("internal").inc()
            response = HttpFault(500, "internal", "something went wrong here; it was logged").response()
        metrics.requests.labels(name, str(response.status_code)).inc()
        metrics.request_seconds.labels(name).observe(time.perf_counter() - started)
        return response

    return handle


async def _plain_http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    code, message = {
        404: ("not_found", "there is nothing here"),
        405: ("method", "this method is not allowed here"),
    }.get(status, ("http_error", "the request cannot be served"))
    response = HttpFault(status, code, message).response()
    if isinstance(error, HTTPException) and error.headers:
        response.headers.update(error.headers)
    return response


async def _repeat(what: str, work: Callable[[], object]) -> None:
    """Run a task every minute; a failure is logged and the next run takes place all the same."""
    while True:
        await asyncio.sleep(_HOUSEKEEPING_SECONDS)
        try:
            done = work()
            if inspect.isawaitable(done):
                await done
        except Exception:
            _log.exception("%s failed", what)
