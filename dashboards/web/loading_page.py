"""The page that a browser gets first: something to look at while Streamlit's parts are on their way, and all of them.

Streamlit's own page is blank until a megabyte of script has run, and names only the parts that every app needs; those
that draw charts and tiles are asked for one after another as the first elements arrive. This page paints the frame at
once and names the other parts too. Where Streamlit's page is not as expected, it is served as it is. Nothing else
depends on this middleware: without it the dashboard is the same, and slower at first.
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
"""Parts of Streamlit that the first page is made of; their files are called like that, with a dot and a hash."""

_LATER: Final = ("DataFrame", "DownloadButton")
"""Those of the other pages: fetched when the browser has nothing else to do."""

_STATIC: Final = "/static/"
_NO_PAGES: Final = ("/_stcore/", "/app/static/", "/component/", "/media/")
_ROOT: Final = '<div id="root"></div>'
_TITLE: Final = re.compile(r"<title>.*?</title>")
_NOSCRIPT: Final = re.compile(r"<noscript>.*?</noscript>", re.DOTALL)
_IMPORTS: Final = re.compile(r"""\b(?:from|import)\s*["'](\./[^"']+\.js)["']""")


class Front:
    """ASGI middleware that puts this page in the place of Streamlit's, and serves Streamlit's files from memory.

    A first visit asks for more than a hundred of them.
    """

    def __init__(self, app: ASGIApp, page: Callable[[], bytes | None] | None = None) -> None:
        self._app, self._page = app, page or front_page

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
    # Only names that are known are looked up, so that nobody's wishes fill the memory or reach other folders.
    return _read(name) if name in _names() else None


@cache
def _read(name: str) -> tuple[str, bytes]:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return kind, (_folder() / "static" / name).read_bytes()


def prepare() -> None:
    """Read what every visitor needs."""
    front_page()
    _names()


@cache
def front_page() -> bytes | None:
    """The page; None where Streamlit's is not as expected."""
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
    """The files of some parts and of all that they import, as far as they are there.

    Args:
        scripts: The folder.
        parts: What the names of files begin with, up to the first dot.
    """
    wanted = [path.name for part in parts for path in sorted(scripts.glob(f"{part}.*.js"))]
    found: dict[str, None] = {}
    while wanted:
        name = wanted.pop(0)
        path = scripts / name
        if name in found or not path.is_file():
            continue
        found[name] = None
        # What a file imports stands at its beginning.
        wanted += [
            imported.removeprefix("./") for imported in _IMPORTS.findall(path.read_text(encoding="utf-8")[:8_000])
        ]
    return list(found)
