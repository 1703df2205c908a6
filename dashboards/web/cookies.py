"""The dashboard's cookies: no script reads them, no other site sends them by a form, each is deleted as it was set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Scope


@dataclass(frozen=True)
class Cookie:
    """One of the dashboard's.

    Attributes:
        name: Where the browser has not come by TLS.
        seconds: How long the browser keeps it.
    """

    name: str
    seconds: int


SESSION: Final = Cookie("marketplace-session", 30 * 86_400)
"""A sign-in, which itself ends a week after its last use, or when it is ended."""

INVITATION: Final = Cookie("marketplace-invitation", 86_400)
"""The secret of an invitation that was followed: kept as long as a link to confirm an address, which may come first."""


def is_secure(scope: Scope) -> bool:
    """Whether the browser has come by TLS, to this server or to a proxy in front of it.

    The header is believed from everybody: who makes it up gets a cookie that is stricter, and only for oneself.
    """
    proto = Headers(scope=scope).get("x-forwarded-proto", "")
    return scope["scheme"] in ("https", "wss") or proto.strip().lower() in ("https", "wss")


def name_of(scope: Scope, cookie: Cookie = SESSION) -> str:
    """A cookie's name. With the prefix, no other host of the domain and no plain http can have set it."""
    return f"__Host-{cookie.name}" if is_secure(scope) else cookie.name


def value_of(scope: Scope, cookie: Cookie = SESSION) -> str:
    """The value of a request's cookie; empty where there is none, or several."""
    wanted = name_of(scope, cookie)
    pairs = (pair.strip().partition("=") for line in Headers(scope=scope).getlist("cookie") for pair in line.split(";"))
    found = {value for name, _, value in pairs if name == wanted and value}
    return found.pop() if len(found) == 1 else ""


def setting(scope: Scope, value: str, cookie: Cookie = SESSION) -> str:
    """The value of ``Set-Cookie`` that keeps a secret."""
    return _line(scope, cookie, value, cookie.seconds)


def deletion(scope: Scope, cookie: Cookie = SESSION) -> str:
    """The value of ``Set-Cookie`` that deletes it: with other attributes browsers would keep it."""
    return _line(scope, cookie, "", 0)


def _line(scope: Scope, cookie: Cookie, value: str, seconds: int) -> str:
    secure = "; Secure" if is_secure(scope) else ""
    return f"{name_of(scope, cookie)}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
