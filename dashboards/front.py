"""The page that a browser gets first: something to look at while Streamlit's parts are on their way, and all of them.

Streamlit's own page is blank until a megabyte of script has run, and names only the parts that every app needs; those
that draw charts and tiles are asked for one after another as the first elements arrive. This page paints the frame at
once and names the other parts too. Where Streamlit's page is not as expected, it is served as it is.
"""

from __future__ import annotations

import json
import logging
import mimetypes
import re
from collections.abc import Callable, Collection, Iterable
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

_WAITING: Final = Path(__file__).with_name("static") / "waiting.html"
_AT_ONCE: Final = (
    "Html", "Selectbox", "Checkbox", "Metric", "ButtonGroup", "Button", "ArrowVegaLiteChart", "loadVegaEmbed", "embed",
    "vega-interpreter", "BidiComponent",
)  # fmt: skip
"""Parts of Streamlit that the first page is made of; their files are called like that, with a dot and a hash."""

_LATER: Final = ("DataFrame", "DownloadButton")
"""Those of the other pages: fetched when the browser has nothing else to do."""

_STATIC: Final = "/static/"
_HOST_CONFIG: Final = "/_stcore/host-config"
_GUARDS: Final = (
    # No other page shows this one in a frame of its own, where it could lead a viewer's clicks.
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
    # The address names the store and what is looked at, which no other site needs to know.
    (b"referrer-policy", b"same-origin"),
)
_NO_PAGES: Final = ("/_stcore/", "/app/static/", "/component/", "/media/")
_CONDITIONS: Final = frozenset({b"if-none-match", b"if-modified-since", b"range", b"accept-encoding"})
"""Headers that are about Streamlit's own page, which a browser may still hold, and not about this one."""

_ROOT: Final = '<div id="root"></div>'
_TITLE: Final = re.compile(r"<title>.*?</title>")
_NOSCRIPT: Final = re.compile(r"<noscript>.*?</noscript>", re.DOTALL)
_IMPORTS: Final = re.compile(r"""\b(?:from|import)\s*["'](\./[^"']+\.js)["']""")


class Front:
    """ASGI middleware that puts this page in the place of Streamlit's, and serves Streamlit's files from memory.

    A first visit asks for more than a hundred of them.
    """

    def __init__(
        self, app: ASGIApp, names: Collection[str] = (), page: Callable[[], bytes | None] | None = None
    ) -> None:
        self._app, self._names, self._page = app, frozenset(names), page or front_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            send = _guarded(send)
        if scope["type"] in ("http", "websocket") and not is_ours(Headers(scope=scope), self._names):
            await _refuse(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._app(_from_here(scope), receive, send)
        elif scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
        else:
            await self._get(scope, receive, send)

    async def _get(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == _HOST_CONFIG:
            await _host_config(self._app, scope, receive, send)
        elif scope["path"].startswith(_STATIC):
            await self._serve_file(scope["path"].removeprefix(_STATIC), scope, receive, send)
        elif scope["path"].startswith(_NO_PAGES):
            await self._app(scope, receive, send)
        else:
            await self._serve_page(scope, receive, send)

    async def _serve_file(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        found = _file(name)
        if found is None:
            await PlainTextResponse("there is no such file\n", 404)(scope, receive, send)
            return
        kind, body = found
        headers = _headers(kind, body, "public, immutable, max-age=31536000")
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _serve_page(self, scope: Scope, receive: Receive, send: Send) -> None:
        page = self._page()
        replaced = False
        if page is not None:
            scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] not in _CONDITIONS]}

        async def sent(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and page is not None:
                kind = Headers(raw=message["headers"]).get("content-type", "")
                replaced = message["status"] == 200 and kind.startswith("text/html")
                if replaced:
                    headers = _headers("text/html; charset=utf-8", page, "no-cache")
                    await send({"type": "http.response.start", "status": 200, "headers": headers})
                    await send({"type": "http.response.body", "body": page})
                    return
            if not replaced:
                await send(message)

        await self._app(scope, receive, sent)


def is_ours(headers: Headers, names: Collection[str]) -> bool:
    """Whether a request is meant for this server and comes from its own pages.

    A page of any site can open a connection to an address of this machine, and can have its own name lead here. An
    address in place of a name cannot be made to lead elsewhere; names are believed when they are given, or local.

    Args:
        headers: Of the request.
        names: Names under which the dashboard is reached, as behind a proxy.
    """
    host = headers.get("host", "")
    if not _is_known(host, names):
        return False
    origin = headers.get("origin")
    if origin is None:
        return True
    netloc = urlsplit(origin).netloc
    return netloc == host or _hostname(netloc) in names


def _from_here(scope: Scope) -> Scope:
    """The scope with an origin that Streamlit takes for its own; for others it asks the internet who it is."""
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
    """The same, with headers on every answer that keep other sites out."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_GUARDS]}
        await send(message)

    return guarded


async def _host_config(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Streamlit's word on which sites may steer the page from around it, with all of them taken out."""
    start: Message = {}
    body = bytearray()

    async def collect(message: Message) -> None:
        nonlocal start
        if message["type"] == "http.response.start":
            start = message
        else:
            body.extend(message.get("body", b""))

    await app({**scope, "headers": [pair for pair in scope["headers"] if pair[0] not in _CONDITIONS]}, receive, collect)
    if start.get("status") == 200:
        config = {**json.loads(bytes(body)), "allowedOrigins": []}
        body[:] = json.dumps(config).encode()
        start = {**start, "headers": _headers("application/json", bytes(body), "no-cache")}
    await send(start)
    await send({"type": "http.response.body", "body": bytes(body)})


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    text = "The dashboard does not answer to this name. MARKETPLACE_DASHBOARD_NAMES says which ones it has.\n"
    await PlainTextResponse(text, 403)(scope, receive, send)


def _headers(kind: str, body: bytes, caching: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", caching.encode()),
        (b"x-content-type-options", b"nosniff"),
    ]


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
