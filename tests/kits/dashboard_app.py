"""The dashboard's own pages without a network: the gate and the guard, with known viewers and an API of answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import httpx
from starlette.types import Message, Receive, Scope, Send

from dashboards.data.access import Viewer
from dashboards.data.query_cache import QueryCache
from dashboards.data.viewers import Viewers
from dashboards.web.gate import Gate
from dashboards.web.identity_api import IdentityApi
from dashboards.web.sign_in import SignIn
from tests.kits.viewers import Known, viewer_of

TOKEN = "0f.1e.secret"
FORM = {"email": "ann@shop.example", "password": "correct horse battery"}
TYPE = "application/x-www-form-urlencoded"
OWN = {"origin": "http://127.0.0.1:8501", "sec-fetch-site": "same-origin"}
PROXIED = {"host": "shop.example", "x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.9"}


class Dashboard:
    """The gate and the guard, with known viewers and an API that answers what a test says.

    Attributes:
        known: What is known of sign-ins.
        asked: What the API was asked.
        answer: What it answers.
        answers: What it answers at a path, where that is something else.
        passed: Requests that came through.
    """

    def __init__(self, viewers: Mapping[str, Viewer] | None = None, *, accounts: bool = True) -> None:
        self.known = Known(dict(viewers or {}), accounts)
        self.asked: list[httpx.Request] = []
        self.answer: httpx.Response | Exception = httpx.Response(201, json={"refresh_token": TOKEN})
        self.answers: dict[str, httpx.Response | Exception] = {}
        self.passed: list[Scope] = []
        api = IdentityApi("http://api.example", httpx.MockTransport(self._api))
        viewers_now = Viewers(self.known, QueryCache())
        self.app = Gate(SignIn(self._behind, viewers_now, api, ["shop.example"]), ["shop.example"])

    def _api(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.get(request.url.path, self.answer)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _behind(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.passed.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"numbers"})

    def ask(self, method: str, path: str, headers: Mapping[str, Any] | None = None, **options: Any) -> httpx.Response:
        """Send one request, with these headers and no others."""

        async def whole() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, client=("127.0.0.1", 5000))
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8501") as client:
                raw = [
                    (name.encode(), each if isinstance(each, bytes) else each.encode())
                    for name, each in (headers or {}).items()
                ]
                return await client.request(method, path, headers=raw, **options)

        return asyncio.run(whole())

    def post(
        self, path: str, data: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send a form, as one of the dashboard's own pages does."""
        return self.ask("POST", path, {**OWN, "content-type": TYPE, **(headers or {})}, content=urlencode(data or {}))

    def socket(self, path: str, headers: Mapping[str, str], *, until: int = 2) -> list[Message]:
        """What a page's connection gets until it ends, or until so many messages."""
        sent: list[Message] = []
        enough = asyncio.Event()

        async def whole() -> None:
            first = True

            async def receive() -> Message:
                nonlocal first
                if first:
                    first = False
                    return {"type": "websocket.connect"}
                await enough.wait()
                return {"type": "websocket.disconnect", "code": 1000}

            async def send(message: Message) -> None:
                sent.append(message)
                if len(sent) >= until:
                    enough.set()

            pairs = [(name.encode(), value.encode()) for name, value in {"host": "127.0.0.1:8501", **headers}.items()]
            scope = {"type": "websocket", "path": path, "scheme": "ws", "headers": pairs, "client": ("127.0.0.1", 1)}
            async with asyncio.timeout(20):
                await self.app(scope, receive, send)

        asyncio.run(whole())
        return sent


def cookie_of(response: httpx.Response) -> tuple[str, str, dict[str, str]]:
    """Name, value and attributes of the one cookie that a response sets."""
    (line,) = response.headers.get_list("set-cookie")
    pair, *attributes = [part.strip() for part in line.split(";")]
    name, _, value = pair.partition("=")
    return name, value, {key: text for key, _, text in (each.partition("=") for each in attributes)}


def signed_in(*slugs: str) -> Dashboard:
    """One in which the viewer of ``COOKIE`` sees these stores."""
    return Dashboard({TOKEN: viewer_of(*slugs or ("tea",))})


COOKIE = {"cookie": f"marketplace-session={TOKEN}"}
