"""Changes that a seller makes: requests to the REST API with the viewer's own rights, each of which is done once."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import httpx

from connectors.errors import Unavailable
from dashboards.data.access import SignedOut
from dashboards.web.identity_api import Answer, Browser, headers_of
from runtime.admin import LOOPBACK
from runtime.sections import API_PORT, DASHBOARD_API_URL
from runtime.settings import EnvReader

_TIMEOUT: Final = httpx.Timeout(12.0, connect=2.0)
"""Longer than the API works for a request."""

_LIMITS: Final = httpx.Limits(max_connections=50, keepalive_expiry=15)
_IN_PROGRESS: Final = "in-progress"
"""The code of a problem: another request with this key is under way."""


class MaybeDone(Exception):
    """The API did not say what it did: it may have done what was asked, and asking again does it once."""


@dataclass(frozen=True)
class SignIn:
    """Who changes something.

    Attributes:
        token: Of the sign-in, as the browser's cookie has it; empty for none.
        browser: From where, for the API's limits.
    """

    token: str = field(repr=False)
    browser: Browser


@dataclass(frozen=True)
class Change:
    """A request that changes something in a store.

    Attributes:
        method: Of HTTP.
        path: Below ``/v1/stores/<slug>/``.
        body: The fields; None for a request without one.
    """

    method: str
    path: str
    body: Mapping[str, Any] | None = None


class Form:
    """A form that is open: whatever is sent from it with one content is one request, however often it is sent.

    A double click sends the same key twice, and so does another try after an answer that did not come. After a change
    that was made, the form is another one.

    Attributes:
        nonce: What is drawn of it has this in its keys, so that a late click on it is none on its successor.
    """

    def __init__(self) -> None:
        self.nonce = secrets.token_hex(12)

    def key(self, store: str, change: Change) -> str:
        """The idempotency key of a change that is sent from it."""
        body = None if change.body is None else dict(change.body)
        asked = json.dumps([store, change.method, change.path, body], sort_keys=True)
        return f"dashboard-{self.nonce}-{sha256(asked.encode()).hexdigest()[:24]}"


class StoreApi:
    """Asks the API for changes; safe to share between threads.

    Args:
        url: Where it is.
        transport: For tests.
    """

    def __init__(self, url: str, transport: httpx.BaseTransport | None = None) -> None:
        self._client = httpx.Client(
            base_url=url, timeout=_TIMEOUT, limits=_LIMITS, transport=transport, trust_env=False, follow_redirects=False
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def change(self, sign_in: SignIn, store: str, change: Change, key: str) -> Answer:
        """Change something, with the rights that the viewer has at this moment.

        Args:
            sign_in: Whose; it is exchanged for an access token that is used once.
            store: The slug.
            change: What.
            key: See :meth:`Form.key`.

        Returns:
            What the API answered: below 300 it is done, otherwise nothing has been changed.

        Raises:
            SignedOut: The sign-in has ended; nothing was changed.
            Unavailable: The API does not answer; nothing was changed.
            MaybeDone: It took the request, and did not say what it did.
        """
        headers = headers_of(sign_in.browser)
        token = self._access_token(sign_in.token, headers)
        headers |= {"authorization": f"Bearer {token}", "idempotency-key": key}
        path = f"/v1/stores/{store}/{change.path}"
        try:
            json_body = None if change.body is None else dict(change.body)
            answer = self._client.request(change.method, path, json=json_body, headers=headers)
            body = answer.json() if answer.content else {}
        except httpx.ConnectError as error:
            raise Unavailable("the REST API does not answer") from error
        except (httpx.HTTPError, ValueError, UnicodeError) as error:
            raise MaybeDone(f"the REST API does not answer: {type(error).__name__}") from error
        if answer.status_code == 401:
            raise SignedOut
        if answer.status_code >= 500 or not isinstance(body, dict):
            raise MaybeDone(f"the REST API answers {answer.status_code}")
        found = Answer(answer.status_code, body, answer.headers.get("retry-after", ""))
        if _IN_PROGRESS in found.problems("code").values():
            raise MaybeDone("the same request is under way")
        return found

    def _access_token(self, token: str, headers: Mapping[str, str]) -> str:
        if not token:
            raise SignedOut
        try:
            answer = self._client.post(
                "/v1/identity/access-tokens", json={"refresh_token": token}, headers=dict(headers)
            )
            found = answer.json() if answer.content else {}
        except (httpx.HTTPError, ValueError, UnicodeError) as error:
            raise Unavailable(f"the REST API does not answer: {type(error).__name__}") from error
        if answer.status_code in (401, 422):
            raise SignedOut
        text = found.get("access_token") if isinstance(found, dict) else None
        if answer.status_code != 200 or not isinstance(text, str):
            raise Unavailable(f"the REST API answers {answer.status_code}")
        return text


def api_url(env: EnvReader) -> str:
    """Where the API is, as the dashboard's settings say it."""
    return env.read(DASHBOARD_API_URL) or f"http://{LOOPBACK}:{env.read(API_PORT) or API_PORT.default}"
