"""The REST API as the dashboard uses it: it checks passwords, sends mails and knows invitations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
from starlette.datastructures import Headers
from starlette.types import Scope

from connectors.errors import Unavailable

_TIMEOUT_SECONDS: Final = 12.0
"""Longer than the API works for a request."""

_CONNECT_SECONDS: Final = 2.0
_MAX_AGENT_CHARS: Final = 200
_LIMITS: Final = httpx.Limits(max_connections=50, keepalive_expiry=15)


@dataclass(frozen=True)
class Answer:
    """What the API answered.

    Attributes:
        status: The HTTP status.
        body: JSON; empty where there was none.
        retry_after: Seconds to wait, as it said them; empty where it did not.
    """

    status: int
    body: Mapping[str, Any]
    retry_after: str = ""

    def problems(self, key: str = "message") -> dict[str, str]:
        """What is wrong with the fields of a body, by name: the text for people, or the ``code``."""
        found = self.body.get("errors")
        errors = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
        return {str(each.get("path", "")).removeprefix("/"): str(each.get(key, "")) for each in errors}


@dataclass(frozen=True)
class Browser:
    """Who asks, for the API's limits and its list of sign-ins.

    Attributes:
        forwarded_for: Addresses, the one that is connected to the dashboard last.
        user_agent: What it says of itself.
    """

    forwarded_for: str
    user_agent: str


class IdentityApi:
    """Asks the API.

    Args:
        url: Where it is.
        transport: For tests.
    """

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._client = httpx.AsyncClient(
            base_url=url,
            timeout=httpx.Timeout(_TIMEOUT_SECONDS, connect=_CONNECT_SECONDS),
            limits=_LIMITS,
            transport=transport,
            trust_env=False,
            follow_redirects=False,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def is_there(self, browser: Browser) -> bool:
        """Whether it answers at all."""
        try:
            answer = await self._client.get("/.well-known/jwks.json", headers=headers_of(browser))
        except httpx.HTTPError:
            return False
        return answer.status_code < 500

    async def post(self, path: str, body: Mapping[str, str], browser: Browser) -> Answer:
        """Send JSON to a route.

        Args:
            path: Below ``/v1/``.
            body: The fields.
            browser: Who asks.

        Raises:
            Unavailable: It does not answer, or says that a part does not; it may have done what was asked.
        """
        try:
            answer = await self._client.post(f"/v1/{path}", json=dict(body), headers=headers_of(browser))
            found = answer.json() if answer.content else {}
        except (httpx.HTTPError, ValueError, UnicodeError) as error:
            raise Unavailable(f"the REST API does not answer: {type(error).__name__}") from error
        if answer.status_code >= 500 or not isinstance(found, dict):
            raise Unavailable(f"the REST API answers {answer.status_code}")
        return Answer(answer.status_code, found, answer.headers.get("retry-after", ""))


def browser_of(scope: Scope) -> Browser:
    """Who asks, of a request."""
    headers = Headers(scope=scope)
    client = scope.get("client")
    addresses = [*headers.getlist("x-forwarded-for"), *([client[0]] if client else [])]
    return Browser(", ".join(filter(str.isascii, addresses)), agent_of(headers.get("user-agent", "")))


def agent_of(text: str) -> str:
    """What a browser says of itself, as the API gets it."""
    agent = "".join(char for char in text if " " <= char <= "~")
    # An empty one would be replaced by that of our own client.
    return agent[:_MAX_AGENT_CHARS].strip() or "unknown"


def headers_of(browser: Browser) -> dict[str, str]:
    """Headers that say to the API who asks."""
    return {"x-forwarded-for": browser.forwarded_for, "user-agent": browser.user_agent}
