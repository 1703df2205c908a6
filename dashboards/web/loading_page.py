"""A loading page in place of Streamlit's first page: it paints an empty frame at once and preloads all scripts.

Streamlit's own page is blank until a megabyte of script has run, and preloads only the scripts that every app needs;
those that draw charts and tiles are requested one after another as the first elements arrive. This page paints the
frame at once and preloads the other scripts too. If Streamlit's page is not as expected, it is served unchanged.
Nothing else depends on this middleware: without it the dashboard is the same, but slower at first.
"""

from __future__ import annotations

import logging
import mimetypes
import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboards.web.gate import CONDITIONS, response_headers

log = logging.getLogger(__name__)

_WAITING: Final = Path(__file__).parents[1] / "static" / "waiting.html"
_AT_ONCE: Final = (
    "Html", "Selectbox", "Checkbox", "Metric", "ButtonGroup", "Button", "ArrowVegaLiteChart", "loadVegaEmbed", "embed",
    "vega-interpreter", "BidiComponent",
)  # fmt: skip
"""Scripts of Streamlit that the first page needs; their files have these names, with a dot and a hash."""

_LATER: Final = ("DataFrame", "DownloadButton")
"""Scripts of the other pages: fetched when the browser is idle."""

_STATIC: Final = "/static/"
_NO_PAGES: Final = ("/_stcore/", "/app/static/", "/component/", "/media/")
_ROOT: Final = '<div id="root"></div>'
_TITLE: Final = re.compile(r"<title>.*?</title>")
_NOSCRIPT: Final = re.compile(r"<noscript>.*?</noscript>", re.DOTALL)
_IMPORTS: Final = re.compile(r"""\b(?:from|import)\s*["'](\./[^"']+\.js)["']""")


class LoadingPage:
    """ASGI middleware that replaces Streamlit's page, and serves Streamlit's files from memory.

    A first visit requests more than a hundred of them.
    """

    def __init__(self, app: ASGIApp, page: Callable[[], bytes | None] | None = None) -> None:
        self._app, self._page = app, page or loading_page_html

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"].startswith(_NO_PAGES):
            await self._app(scope, receive, send)
        elif scope["path"].startswith(_STATIC):
            await self._serve_file(scope["path"].removeprefix(_STATIC), scope, receive, send)
        else:
            await self._serve_page(scope, receive, send)

    async def _serve_file(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        found = _file(name)
        if found is None:
            await PlainTextResponse("there is no such file\n", 404)(scope, receive, send)
            return
        kind, body = found
        headers = response_headers(kind, body, "public, immutable, max-age=31536000")
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _serve_page(self, scope: Scope, receive: Receive, send: Send) -> None:
        page = self._page()
        replaced = False
        if page is not None:
            scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] not in CONDITIONS]}

        async def sent(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and page is not None:
                kind = Headers(raw=message["headers"]).get("content-type", "")
                replaced = message["status"] == 200 and kind.startswith("text/html")
                if replaced:
                    headers = response_headers("text/html; charset=utf-8", page, "no-cache")
                    await send({"type": "http.response.start", "status": 200, "headers": headers})
                    await send({"type": "http.response.body", "body": page})
                    return
            if not replaced:
                await send(message)

        await self._app(scope, receive, sent)


@cache
def _folder() -> Path:
    from streamlit import file_util

    return Path(file_util.get_static_dir())


@cache
def _names() -> frozenset[str]:
    root = _folder() / "static"
    return frozenset(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def _file(name: str) -> tuple[str, bytes] | None:
    # Only known names are read, so that requests cannot fill the memory or reach other folders.
    return _read(name) if name in _names() else None


@cache
def _read(name: str) -> tuple[str, bytes]:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return kind, (_folder() / "static" / name).read_bytes()


def prepare() -> None:
    """Build the page and list the files before the first request."""
    loading_page_html()
    _names()


@cache
def loading_page_html() -> bytes | None:
    """The page as UTF-8; None where Streamlit's is not as expected."""
    return build(_folder())


def build(static: Path) -> bytes | None:
    """The page from the folder of Streamlit's files.

    Args:
        static: The folder with ``index.html`` and ``static/js``.
    """
    page = (static / "index.html").read_text(encoding="utf-8")
    if _ROOT not in page or "</head>" not in page:
        log.warning("Streamlit's page is not as expected, and served as it is: it will be a little slower")
        return None
    scripts = static / "static" / "js"
    at_once = closure(scripts, _AT_ONCE)
    later = [name for name in closure(scripts, _LATER) if name not in at_once]
    links = [
        f'<link {how} crossorigin href="./static/js/{name}">'
        for how, names in (('rel="modulepreload" fetchpriority="low"', at_once), ('rel="prefetch"', later))
        for name in names
        if name not in page
    ]
    page = _TITLE.sub("<title>Marketplace analytics</title>", page, count=1)
    page = _NOSCRIPT.sub("<noscript><p>The dashboard needs JavaScript.</p></noscript>", page, count=1)
    page = page.replace("</head>", "\n".join([*links, "</head>"]), 1)
    return page.replace(_ROOT, _WAITING.read_text(encoding="utf-8") + _ROOT, 1).encode()


def closure(scripts: Path, parts: Iterable[str]) -> list[str]:
    """The files of scripts and of everything that they import; missing ones are left out.

    Args:
        scripts: The folder.
        parts: File names up to the first dot.
    """
    wanted = [path.name for part in parts for path in sorted(scripts.glob(f"{part}.*.js"))]
    found: dict[str, None] = {}
    while wanted:
        name = wanted.pop(0)
        path = scripts / name
        if name in found or not path.is_file():
            continue
        found[name] = None
        # Imports are at the beginning of a file.
        wanted += [
            imported.removeprefix("./") for imported in _IMPORTS.findall(path.read_text(encoding="utf-8")[:8_000])
        ]
    return list(found)
