"""The routes of identity."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from fastapi import Request

from api.access import Demand, caller_of
from api.identity.schemas import (
    Address,
    Confirmation,
    Credentials,
    Me,
    PasswordReset,
    RefreshToken,
    Registration,
    Tokens,
)
from api.identity.service import IdentityService, SignedIn
from api.limits import Limiter
from api.web.clients import address_of
from api.web.problems import GONE, INVALID, FieldError, Problem
from api.web.routes import Routes
from marketplace.identity.accounts import User
from marketplace.identity.emails import email_key
from marketplace.identity.passwords import WeakPassword, check_password

_ID: Final = "3f2a9c51d06e4b7fa8c1e2d3b4a59687"
_ME: Final = {
    "id": _ID, "email": "ann@shop.example", "name": "Ann", "admin": False, "tier": "free",
    "created_at": "2026-11-29T12:00:00.000Z",
}  # fmt: skip
_TOKENS: Final = {
    "access_token": "eyJhbGciOiJFZERTQSIsImtpZCI6IjEiLCJ0eXAiOiJhdCtqd3QifQ.e30.c2ln",
    "token_type": "Bearer", "expires_in": 900, "refresh_token": f"{_ID}.9b1c.Zk3v",
}  # fmt: skip

_MAX_CLIENT_CHARS: Final = 200

IDENTITY: Final = Routes("/v1/identity", "Identity")


def _service(request: Request) -> IdentityService:
    found: IdentityService = request.app.state.identities
    return found


async def _attempt(request: Request, email: str) -> None:
    limiter: Limiter = request.app.state.limiter
    await limiter.attempt(email_key(email), address_of(request))


def _accept(password: str, path: str, *personal: str) -> None:
    try:
        check_password(password, personal=personal)
    except WeakPassword as error:
        raise Problem(INVALID, errors=[FieldError(path, error.code, str(error))]) from error


@IDENTITY.add("POST", "/registrations", demand=Demand.NOTHING, cost=5, status=202, example={})
async def register(request: Request, body: Registration) -> dict[str, Any]:
    """Ask for an account.

    A mail with a link is sent to the address; the account exists once the link was followed. The answer is the same
    where the address has an account already: then the mail says so.
    """
    _accept(body.password, "/password", body.email, body.name)
    await _attempt(request, body.email)
    await _service(request).register(body.email, body.name, body.password)
    return {}


@IDENTITY.add("POST", "/confirmations", demand=Demand.NOTHING, cost=5, status=201, problems=[GONE], example=_ME)
async def confirm(request: Request, body: Confirmation) -> Me:
    """Make the account of a registration, by the link in its mail."""
    return _me(await _service(request).confirm(body.token))


@IDENTITY.add("POST", "/sessions", demand=Demand.NOTHING, cost=5, status=201, example=_TOKENS)
async def sign_in(request: Request, body: Credentials) -> Tokens:
    """Sign in."""
    await _attempt(request, body.email)
    client = request.headers.get("user-agent", "")[:_MAX_CLIENT_CHARS]
    return _tokens(await _service(request).sign_in(body.email, body.password, client, address_of(request)))


@IDENTITY.add("POST", "/sessions/refresh", demand=Demand.NOTHING, cost=2, example=_TOKENS)
async def refresh(request: Request, body: RefreshToken) -> Tokens:
    """Replace a refresh token and get a new access token.

    A token whose answer was lost can be sent again for a minute, and gets the same successor. An older one ends the
    session, because somebody has copied it.
    """
    return _tokens(await _service(request).refresh(body.refresh_token))


@IDENTITY.add("POST", "/sessions/end", demand=Demand.NOTHING, cost=2, status=204)
async def sign_out(request: Request, body: RefreshToken) -> None:
    """Sign out: the session of this refresh token ends, and its access token within a second."""
    await _service(request).sign_out(body.refresh_token)


@IDENTITY.add("POST", "/password-resets", demand=Demand.NOTHING, cost=5, status=202, example={})
async def forgot_password(request: Request, body: Address) -> dict[str, Any]:
    """Ask for a link to choose a new password; the answer is the same whether the address has an account or not."""
    await _attempt(request, body.email)
    await _service(request).forgot_password(body.email)
    return {}


@IDENTITY.add("POST", "/passwords", demand=Demand.NOTHING, cost=5, status=204, problems=[GONE])
async def reset_password(request: Request, body: PasswordReset) -> None:
    """Choose a new password by the link in a mail; all sessions of the account end."""
    _accept(body.password, "/password")
    await _service(request).reset_password(body.token, body.password)


@IDENTITY.add("GET", "/me", demand=Demand.SIGNED_IN, example=_ME)
async def me(request: Request) -> Me:
    """Who is signed in."""
    return _me(caller_of(request).user)


def _me(user: User) -> Me:
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    return Me(
        id=user.id,
        email=user.email,
        name=user.name,
        admin=user.admin,
        tier=user.tier(now_ms).value,
        created_at=_time(user.created_at),
    )


def _time(milliseconds: int) -> str:
    """RFC 3339, UTC, with milliseconds."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _tokens(signed_in: SignedIn) -> Tokens:
    return Tokens(
        access_token=signed_in.access_token, expires_in=signed_in.expires_in, refresh_token=signed_in.refresh_token
    )
