"""The storefront's cookies: no script reads them, no other site sends them by a form, each is deleted as it was set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Scope

_DAY: Final = 86_400


@dataclass(frozen=True)
class Cookie:
    """One of the storefront's.

    Attributes:
        name: Where the browser has not come by TLS.
        seconds: How long the browser keeps it.
    """

    name: str
    seconds: int


SESSION: Final = Cookie("marketplace-buyer", 30 * _DAY)
"""A sign-in, which itself ends a week after its last use, or when it is ended."""

CART: Final = Cookie("marketplace-cart", 30 * _DAY)
"""The secret of a guest's cart."""

FORM: Final = Cookie("marketplace-form", 30 * _DAY)
"""What forms are made with, so that another site cannot make one."""


def is_secure(scope: Scope) -> bool:
    """Whether the browser has come by TLS, to this server or to a proxy in front of it.

    The header is believed from everybody: who makes it up gets a cookie that is stricter, and only for oneself.
    """
    proto = Headers(scope=scope).get("x-forwarded-proto", "")
    return scope["scheme"] == "https" or proto.strip().lower() == "https"


def name_of(scope: Scope, cookie: Cookie) -> str:
    """A cookie's name. With the prefix, no other host of the domain and no plain http can have set it."""
    return f"__Host-{cookie.name}" if is_secure(scope) else cookie.name


def value_of(scope: Scope, cookie: Cookie) -> str:
    """The value of a request's cookie; empty where there is none, or several."""
    wanted = name_of(scope, cookie)
    pairs = (pair.strip().partition("=") for line in Headers(scope=scope).getlist("cookie") for pair in line.split(";"))
    found = {value for name, _, value in pairs if name == wanted and value}
    return found.pop() if len(found) == 1 else ""


def setting(scope: Scope, cookie: Cookie, value: str) -> str:
    """The value of ``Set-Cookie`` that keeps a secret."""
    return _line(scope, cookie, value, cookie.seconds)


def deletion(scope: Scope, cookie: Cookie) -> str:
    """The value of ``Set-Cookie`` that deletes it: with other attributes browsers would keep it."""
    return _line(scope, cookie, "", 0)


def _line(scope: Scope, cookie: Cookie, value: str, seconds: int) -> str:
    secure = "; Secure" if is_secure(scope) else ""
    return f"{name_of(scope, cookie)}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
