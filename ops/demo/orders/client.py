"""The API as one person of the demo uses it: what is not answered is asked again, a write under the same key."""

from __future__ import annotations

import ssl
import sys
import time
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

import httpx

from ops.demo.services.demo_processes import DemoFailed

_SECONDS: Final = 20.0
_NO_CERTIFICATES: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody."""

_PATIENCE_SECONDS: Final = 90.0
_PAUSE_SECONDS: Final = 0.3
_LONGEST_PAUSE_SECONDS: Final = 5.0
_SIGNED_OUT: Final = 401
_TRY_AGAIN: Final = frozenset({429, 502, 503, 504})


class Person:
    """Somebody who is signed in, in one browser or several: threads may share it.

    Args:
        api: The API's URL.
        email, password: To sign in with.

    Raises:
        DemoFailed: The API does not answer, or does not know them.
    """

    def __init__(self, api: str, email: str, password: str) -> None:
        self._client = client_of(api, _address_of(email))
        self._credentials = {"email": email, "password": password}
        self._token = ""
        self._sign_in()

    def close(self) -> None:
        """Disconnect."""
        self._client.close()

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str = "",
        params: Mapping[str, str | int] | None = None,
    ) -> httpx.Response:
        """Ask until there is an answer that says what happened.

        Args:
            method: GET, POST, ...
            path: What is asked.
            body: Sent as JSON; None for none.
            key: The idempotency key, of what moves money or goods.
            params: Of the query.

        Raises:
            DemoFailed: There is no such answer for too long.
        """
        deadline, pause, said = time.monotonic() + _PATIENCE_SECONDS, _PAUSE_SECONDS, ""
        while time.monotonic() < deadline:
            headers = {"authorization": f"Bearer {self._token}"} | ({"idempotency-key": key} if key else {})
            try:
                found = self._client.request(method, path, json=body, headers=headers, params=params)
            except httpx.HTTPError as error:
                said = type(error).__name__
            else:
                if found.status_code == _SIGNED_OUT:
                    self._sign_in()
                    continue
                if found.status_code not in _TRY_AGAIN and not _is_in_progress(found):
                    return found
                said = f"{found.status_code} {found.text[:200]}"
                pause = min(_LONGEST_PAUSE_SECONDS, max(pause, float(found.headers.get("retry-after", "0"))))
            time.sleep(pause)
        raise DemoFailed(f"the API does not answer {method} {path}: {said}")

    def _sign_in(self) -> None:
        deadline, said = time.monotonic() + _PATIENCE_SECONDS, ""
        while time.monotonic() < deadline:
            try:
                found = self._client.post("/v1/identity/sessions", json=self._credentials)
            except httpx.HTTPError as error:
                said = type(error).__name__
            else:
                if found.is_success:
                    self._token = found.json()["access_token"]
                    return
                said = f"{found.status_code} {found.text[:200]}"
                if found.status_code not in _TRY_AGAIN:
                    break
            time.sleep(_PAUSE_SECONDS)
        raise DemoFailed(f"{self._credentials['email']} cannot sign in: {said}")


def client_of(url: str, local_address: str | None = None) -> httpx.Client:
    """A client of a service of the demo. Where one speaks plain HTTP, reading certificates takes longer than asking."""
    verify = True if url.startswith("https:") else _NO_CERTIFICATES
    transport = httpx.HTTPTransport(verify=verify, local_address=local_address)
    return httpx.Client(base_url=url, timeout=_SECONDS, transport=transport)


def _address_of(email: str) -> str | None:
    """An address of this machine that somebody has alone; None where a machine has only one.

    The API limits what one address may do: whoever tries the demo signs in from an address that nobody has used up.
    """
    if sys.platform != "linux":
        return None
    first, second = blake2b(email.encode(), digest_size=2).digest()
    return f"127.13.{first}.{max(1, second)}"


def _is_in_progress(found: httpx.Response) -> bool:
    """Whether another request of the same key is being handled."""
    return found.status_code == 409 and '"in-progress"' in found.text
