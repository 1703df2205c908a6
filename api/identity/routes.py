"""The routes of identity."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Annotated, Any, Final

from fastapi import Path, Request
from starlette.responses import Response

from api.access import Demand, caller_of
from api.identity.schemas import (
    AccessTokenView,
    Address,
    Confirmation,
    Credentials,
    EmailChange,
    Me,
    PasswordChange,
    PasswordReset,
    Proof,
    RefreshToken,
    Registration,
    SessionList,
    SessionView,
    Tokens,
)
from api.identity.service import IdentityService, SignedIn
from api.limits import Limiter
from api.web.clients import address_of, network_of
from api.web.conditions import is_unchanged
from api.web.problems import CONFLICT, GONE, INVALID, NOT_FOUND, FieldError, Problem
from api.web.routes import Routes
from api.web.times import rfc3339
from marketplace.identity.accounts import LinkKind, User
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
_ACCESS_TOKEN: Final = {name: _TOKENS[name] for name in ("access_token", "token_type", "expires_in")}
_KEYS: Final = {
    "keys": [
        {
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "6f1e0c9a2b3d4e5f",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        }
    ]
}  # fmt: skip
_SESSIONS: Final = {
    "sessions": [
        {
            "id": _ID, "created_at": "2026-11-29T12:00:00.000Z", "used_at": "2026-11-29T12:15:00.000Z",
            "client": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
            "network": "203.0.113.0/24", "current": True,
        }
    ]
}  # fmt: skip

_NEXT_TOKEN: Final = {"body.refresh_token": "$response.body#/refresh_token"}
_MAX_CLIENT_CHARS: Final = 200

KEY_SET_SECONDS: Final = 30
"""How long caches may keep the public keys: a new one signs later than that after it was published."""

IDENTITY: Final = Routes("/v1/identity", "Identity")
KEY_SET: Final = Routes("/.well-known", "Identity")


def _service(request: Request) -> IdentityService:
    found: IdentityService = request.app.state.identities
    return found


async def attempt(request: Request, email: str, mail: LinkKind | None = None) -> None:
    """Count an attempt to be somebody, or a mail.

    Raises:
        Problem: There were too many, for this address of mails or from where the request comes.
    """
    limiter: Limiter = request.app.state.limiter
    await limiter.attempt(email_key(email), address_of(request), mail)


@contextmanager
def _refusing_weak(path: str) -> Iterator[None]:
    try:
        yield
    except WeakPassword as error:
        raise Problem(INVALID, errors=[FieldError(path, error.code, str(error))]) from error


def _accept(password: str, path: str, *personal: str) -> None:
    with _refusing_weak(path):
        check_password(password, personal=personal)


@IDENTITY.add("POST", "/registrations", demand=Demand.NOTHING, cost=5, status=202, example={})
async def register(request: Request, body: Registration) -> dict[str, Any]:
    """Ask for an account.

    A mail with a link is sent to the address; the account exists once the link was followed. The answer is the same
    where the address has an account already: then the mail says so.
    """
    _accept(body.password, "/password", body.email, body.name)
    await attempt(request, body.email, LinkKind.REGISTRATION)
    await _service(request).register(body.email, body.name, body.password)
    return {}


@IDENTITY.add("POST", "/confirmations", demand=Demand.NOTHING, cost=5, status=201, problems=[GONE], example=_ME)
async def confirm(request: Request, body: Confirmation) -> Me:
    """Make the account of a registration, by the link in its mail."""
    return _me(await _service(request).confirm(body.token))


@IDENTITY.add("POST", "/sessions", demand=Demand.NOTHING, cost=5, status=201, example=_TOKENS,
              links={"refresh": _NEXT_TOKEN, "sign_out": _NEXT_TOKEN})  # fmt: skip
async def sign_in(request: Request, body: Credentials) -> Tokens:
    """Sign in."""
    await attempt(request, body.email)
    client = request.headers.get("user-agent", "")[:_MAX_CLIENT_CHARS]
    signed_in = await _service(request).sign_in(body.email, body.password, client, network_of(request))
    limiter: Limiter = request.app.state.limiter
    await limiter.succeeded(email_key(body.email), address_of(request))
    return _tokens(signed_in)


@IDENTITY.add("POST", "/sessions/refresh", demand=Demand.NOTHING, cost=2, example=_TOKENS,
              links={"refresh": _NEXT_TOKEN, "sign_out": _NEXT_TOKEN})  # fmt: skip
async def refresh(request: Request, body: RefreshToken) -> Tokens:
    """Replace a refresh token and get a new access token.

    A token whose answer was lost can be sent again for a minute, and gets the same successor. An older one ends the
    session, because somebody has copied it.
    """
    return _tokens(await _service(request).refresh(body.refresh_token))


@IDENTITY.add("POST", "/access-tokens", demand=Demand.NOTHING, cost=2, example=_ACCESS_TOKEN)
async def get_access_token(request: Request, body: RefreshToken) -> AccessTokenView:
    """Get an access token by a refresh token that stays as it is.

    For a server that keeps the refresh token of a browser in a cookie which no script can read, as the dashboard does:
    it asks for an access token when it needs one, and keeps none. Other clients replace theirs, so that a stolen one is
    found out: only the current token of a session is taken here.
    """
    found = await _service(request).access_token(body.refresh_token)
    return AccessTokenView(access_token=found.text, expires_in=found.expires_in)


@IDENTITY.add("POST", "/sessions/end", demand=Demand.NOTHING, cost=2, status=204)
async def sign_out(request: Request, body: RefreshToken) -> None:
    """Sign out: the session of this refresh token ends, and its access token within a second."""
    await _service(request).sign_out(body.refresh_token)


@IDENTITY.add("POST", "/password-resets", demand=Demand.NOTHING, cost=5, status=202, example={})
async def forgot_password(request: Request, body: Address) -> dict[str, Any]:
    """Ask for a link to choose a new password; the answer is the same whether the address has an account or not."""
    await attempt(request, body.email, LinkKind.RESET)
    await _service(request).forgot_password(body.email)
    return {}


@IDENTITY.add("POST", "/passwords", demand=Demand.NOTHING, cost=5, status=204, problems=[GONE])
async def reset_password(request: Request, body: PasswordReset) -> None:
    """Choose a new password by the link in a mail; all sessions of the account end."""
    _accept(body.password, "/password")
    with _refusing_weak("/password"):
        await _service(request).reset_password(body.token, body.password)


@IDENTITY.add("GET", "/sessions", demand=Demand.SIGNED_IN, example=_SESSIONS,
              links={"end_session": {"session": "$response.body#/sessions/0/id"}})  # fmt: skip
async def list_sessions(request: Request) -> SessionList:
    """List the own sign-ins that have not ended, the one that was used last first."""
    caller = caller_of(request)
    found = await _service(request).list_sessions(caller)
    return SessionList(
        sessions=[
            SessionView(
                id=each.id,
                created_at=rfc3339(each.created_at),
                used_at=rfc3339(each.used_at),
                client=each.client,
                network=each.network,
                current=each.id == caller.session,
            )
            for each in found
        ]
    )


@IDENTITY.add("DELETE", "/sessions", demand=Demand.SIGNED_IN, cost=2, status=204)
async def sign_out_everywhere(request: Request) -> None:
    """Sign out everywhere: all own sign-ins end, this one too, and links in mails that were not used."""
    await _service(request).end_sessions(caller_of(request))


@IDENTITY.add(
    "DELETE", "/sessions/{session}", demand=Demand.SIGNED_IN, cost=2, status=204, problems=[INVALID, NOT_FOUND]
)
async def end_session(request: Request, session: Annotated[str, Path(pattern="^[0-9a-f]{32}$")]) -> None:
    """End one own sign-in."""
    await _service(request).end_session(caller_of(request), session)


@IDENTITY.add("POST", "/password-changes", demand=Demand.SIGNED_IN, cost=5, status=204)
async def change_password(request: Request, body: PasswordChange) -> None:
    """Choose a new password; all other sign-ins and links in mails end, and this one stays."""
    caller = caller_of(request)
    _accept(body.password, "/password", caller.user.email, caller.user.name)
    await attempt(request, caller.user.email)
    await _service(request).change_password(caller, body.current_password, body.password)


@IDENTITY.add("POST", "/email-changes", demand=Demand.SIGNED_IN, cost=5, status=202, example={})
async def ask_email_change(request: Request, body: EmailChange) -> dict[str, Any]:
    """Ask for another address of the account.

    A mail with a link is sent to it, and a notice to the present one; nothing changes until the link was followed. The
    answer is the same where the address has an account already: then the mail says so.
    """
    caller = caller_of(request)
    await attempt(request, caller.user.email)
    await attempt(request, body.email, LinkKind.EMAIL_CHANGE)
    await _service(request).ask_email_change(caller, body.email, body.password)
    return {}


@IDENTITY.add("POST", "/emails", demand=Demand.NOTHING, cost=5, status=204, problems=[GONE])
async def change_email(request: Request, body: Confirmation) -> None:
    """Give the account its new address, by the link in the mail to it; all sign-ins and other links end."""
    await _service(request).change_email(body.token)


@IDENTITY.add("POST", "/deletions", demand=Demand.SIGNED_IN, cost=5, status=204, problems=[CONFLICT])
async def delete_account(request: Request, body: Proof) -> None:
    """Delete the own account: everything of it ends, and its address is free.

    Whoever is the only owner of a store cannot: give it another owner first, or delete it.
    """
    caller = caller_of(request)
    await attempt(request, caller.user.email)
    await _service(request).delete_account(caller, body.password)


@IDENTITY.add("GET", "/me", demand=Demand.SIGNED_IN, example=_ME)
async def me(request: Request) -> Me:
    """Who is signed in."""
    return _me(caller_of(request).user)


@KEY_SET.add("GET", "/jwks.json", demand=Demand.NOTHING, example=_KEYS, revalidates=True)
async def key_set(request: Request) -> Response:
    """The public keys of access tokens, as a JSON Web Key Set (RFC 7517), for services that check tokens themselves."""
    text = _service(request).key_set()
    tag = f'"{blake2b(text.encode(), digest_size=16).hexdigest()}"'
    headers = {"cache-control": f"public, max-age={KEY_SET_SECONDS}", "etag": tag}
    if is_unchanged(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(text, headers=headers, media_type="application/json")


def _me(user: User) -> Me:
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    return Me(
        id=user.id,
        email=user.email,
        name=user.name,
        admin=user.admin,
        tier=user.tier(now_ms).value,
        created_at=rfc3339(user.created_at),
    )


def _tokens(signed_in: SignedIn) -> Tokens:
    return Tokens(
        access_token=signed_in.access_token, expires_in=signed_in.expires_in, refresh_token=signed_in.refresh_token
    )
