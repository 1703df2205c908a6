"""Paths that are no page: Streamlit would draw its first page there, under a dialog of its own."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from dashboards.web.pages import Page, response
from dashboards.web.targets import HOME

_OF_STREAMLIT: Final = ("/static/", "/app/static/", "/media/", "/component/")
_HEALTH: Final = "/_stcore/"
"""Browsers look for it below the page that they are on first."""

_FILES: Final = frozenset({"/favicon.png", "/manifest.json"})


class UnknownPages:
    """ASGI middleware that answers paths that are no page with 404 and a page that says so.

    Args:
        app: The application behind it.
        names: The paths of pages, without slashes.
        first: The one of them that is at the root.
    """

    def __init__(self, app: ASGIApp, names: Collection[str], first: str) -> None:
        self._app, self._names, self._first = app, frozenset(names), first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            path: str = scope["path"]
            name = path.strip("/")
            if name == self._first:
                query = scope.get("query_string", b"").decode("latin-1")
                await RedirectResponse(f"{HOME}?{query}" if query else HOME)(scope, receive, send)
                return
            if name and name not in self._names and not _is_streamlits(path):
                await response(_UNKNOWN, 404)(scope, receive, send)
                return
        await self._app(scope, receive, send)


_UNKNOWN: Final = Page(
    "There is no such page",
    ("The address names a page that the dashboard does not have. Perhaps it was mistyped, or a link to it is old.",),
    actions=(("Open the dashboard", HOME),),
)


def _is_streamlits(path: str) -> bool:
    return path.startswith(_OF_STREAMLIT) or _HEALTH in path or path in _FILES
