"""The cookie of a sign-in: no script reads it, no other site sends it with a form, and it is deleted as it was set."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.types import Scope

_NAME: Final = "marketplace-session"
_DAYS: Final = 30
"""After so many a person signs in again. The sign-in itself ends a week after its last use, or when it is ended."""


def is_secure(scope: Scope) -> bool:
    """Whether the browser has come by TLS, to this server or to a proxy in front of it.

    The header is believed from everybody: who makes it up gets a cookie that is stricter, and only for oneself.
    """
    proto = Headers(scope=scope).get("x-forwarded-proto", "")
    return scope["scheme"] in ("https", "wss") or proto.strip().lower() in ("https", "wss")


def name_of(scope: Scope) -> str:
    """The cookie's name. With the prefix, no other host of the domain and no plain http can have set it."""
    return f"__Host-{_NAME}" if is_secure(scope) else _NAME


def session_of(scope: Scope) -> str:
    """The token of the request's cookie; empty where there is none, or several."""
    wanted = name_of(scope)
    pairs = (pair.strip().partition("=") for line in Headers(scope=scope).getlist("cookie") for pair in line.split(";"))
    found = {value for name, _, value in pairs if name == wanted and value}
    return found.pop() if len(found) == 1 else ""


def setting(scope: Scope, token: str) -> str:
    """The value of ``Set-Cookie`` that keeps a token."""
    return _cookie(scope, token, _DAYS * 86_400)


def deletion(scope: Scope) -> str:
    """The value of ``Set-Cookie`` that deletes it: with other attributes browsers would keep it."""
    return _cookie(scope, "", 0)


def _cookie(scope: Scope, value: str, seconds: int) -> str:
    secure = "; Secure" if is_secure(scope) else ""
    return f"{name_of(scope)}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
