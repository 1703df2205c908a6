"""The documentation's routes: the OpenAPI document, a page that shows it, and a page for each problem."""

from __future__ import annotations

from typing import Final

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool

from api.access import Demand
from api.documentation import pages
from api.documentation.pages import Page
from api.web.conditions import is_unchanged
from api.web.problems import NOT_FOUND, Problem
from api.web.routes import Routes

DOCUMENTATION: Final = Routes("", "Documentation")

_REFERENCE: Final = pages.reference()
_ASSETS: Final = pages.assets()
_PROBLEMS: Final = pages.problems()


@DOCUMENTATION.add("GET", "/openapi.json", demand=Demand.NOTHING, documented=False)
async def openapi_document(request: Request) -> Response:
    """The OpenAPI document of this API."""
    # The first one is made, which takes as long as many requests.
    return _answer(request, await run_in_threadpool(request.app.state.openapi_page))


@DOCUMENTATION.add("GET", "/docs", demand=Demand.NOTHING, documented=False)
async def reference(request: Request) -> Response:
    """The API reference, for people."""
    return _answer(request, _REFERENCE)


@DOCUMENTATION.add("GET", "/docs/{file}", demand=Demand.NOTHING, cost=0.5, documented=False)
async def reference_asset(request: Request, file: str) -> Response:
    """What the reference loads."""
    return _answer(request, _ASSETS.get(file))


@DOCUMENTATION.add("GET", "/problems", demand=Demand.NOTHING, documented=False)
async def list_problems(request: Request) -> Response:
    """All types of problems."""
    return _answer(request, _PROBLEMS[""])


@DOCUMENTATION.add("GET", "/problems/{name}", demand=Demand.NOTHING, documented=False)
async def problem(request: Request, name: str) -> Response:
    """What a type of problem means, and what to do."""
    return _answer(request, _PROBLEMS.get(name))


def _answer(request: Request, page: Page | None) -> Response:
    if page is None:
        raise Problem(NOT_FOUND)
    headers = {
        "content-security-policy": page.policy,
        "cache-control": f"public, max-age={page.max_age_seconds}" if page.max_age_seconds else "no-cache",
        "etag": page.etag,
    }
    if is_unchanged(request, page.etag):
        return Response(status_code=304, headers=headers)
    return Response(page.body, headers=headers, media_type=page.media_type)
