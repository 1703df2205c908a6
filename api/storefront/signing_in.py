"""Signing in by a form: on the page that is made for it, and on the way through a checkout."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from fastapi import Request

from api.callers import Caller
from api.identity.routes import attempt
from api.identity.service import IdentityService
from api.storefront.cookies import CART, SESSION, deletion, setting, value_of
from api.storefront.shop import sentence
from api.storefront.visitors import Visitor, shop_of
from api.web.clients import network_of
from api.web.problems import UNAUTHENTICATED, Problem
from connectors.errors import Unavailable
from marketplace.identity.emails import MAX_CHARS as EMAIL_CHARS
from marketplace.identity.emails import InvalidEmail, checked_email
from marketplace.identity.passwords import MAX_CHARS as PASSWORD_CHARS

_MAX_CLIENT_CHARS: Final = 200
_WRONG: Final = "The address and the password do not go together."

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SignedIn:
    """Somebody is signed in now.

    Attributes:
        caller: Who; None where the sign-in has ended already.
        cookies: Values of ``Set-Cookie`` for the answer.
        merged: What became of the guest's cart; empty where there is nothing to say of it.
    """

    caller: Caller | None
    cookies: Sequence[str]
    merged: str = ""


@dataclass(frozen=True)
class NotSignedIn:
    """Nobody is.

    Attributes:
        problems: What is wrong with fields, by their names.
        message: What is wrong with all of it.
    """

    problems: Mapping[str, str] = field(default_factory=dict)
    message: str = ""


async def sign_in(request: Request, visitor: Visitor, form: Mapping[str, str]) -> SignedIn | NotSignedIn:
    """Sign in: what is in the guest's cart comes along, and the browser's earlier sign-in ends.

    Args:
        request: Of a page.
        visitor: Who was there before.
        form: With the fields ``email`` and ``password``.

    Raises:
        Problem: There were too many tries.
        Unavailable: A part does not answer; they may be signed in.
    """
    try:
        email, password = checked_email(form.get("email", "")[: EMAIL_CHARS + 1].strip()), form.get("password", "")
    except InvalidEmail as error:
        return NotSignedIn({"email": sentence(error)})
    if not 1 <= len(password) <= 4 * PASSWORD_CHARS:
        return NotSignedIn({"password": "Type your password."})
    await attempt(request, email)
    identities = identities_of(request)
    client = request.headers.get("user-agent", "")[:_MAX_CLIENT_CHARS]
    try:
        signed_in = await identities.sign_in(email, password, client, network_of(request))
    except Problem as error:
        if error.type is not UNAUTHENTICATED:
            raise
        return NotSignedIn(message=_WRONG)
    cookies = [setting(request.scope, SESSION, signed_in.refresh_token)]
    await end_earlier(request)
    caller = await identities.caller_of_cookie(signed_in.refresh_token)
    merged = ""
    if visitor.guest and caller is not None:
        try:
            merged = await shop_of(request).carts.merge(caller, visitor.guest)
        except Unavailable as error:
            # They are signed in. The guest's cart stays until something is put into the cart.
            _log.warning("a guest's cart is merged later: %s", error)
            merged = "later"
        if merged in ("", "capped"):
            cookies.append(deletion(request.scope, CART))
    return SignedIn(caller, cookies, merged)


async def end_earlier(request: Request) -> None:
    """End the sign-in that this browser has: its other pages must not go on as somebody else."""
    session = value_of(request.scope, SESSION)
    if session:
        try:
            await identities_of(request).sign_out(session)
        except Problem as error:
            if error.type is not UNAUTHENTICATED:
                raise


def identities_of(request: Request) -> IdentityService:
    """What knows accounts and sign-ins."""
    found: IdentityService = request.app.state.identities
    return found
