"""Who is asking, and what a route demands of them: decided here and nowhere else.

A route is registered with a :class:`Demand`; one without cannot be. Credentials that are sent and do not hold are
refused by every route, also by those that demand none: who sends them believes to be signed in.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from fastapi import Request

from api.limits import Limiter
from api.web.clients import address_of
from api.web.problems import FORBIDDEN, UNAUTHENTICATED, Problem
from marketplace.entitlements import Tier
from marketplace.identity.accounts import User
from marketplace.identity.claims import InvalidClaims

_BEARER: Final = "bearer"


class Demand(StrEnum):
    """What a route asks of a caller."""

    NOTHING = "nobody has to be signed in"
    SIGNED_IN = "any account"
    ADMIN = "an admin of the platform"


@dataclass(frozen=True)
class Caller:
    """Who is asking.

    Attributes:
        user: The account.
        session: The sign-in that the request belongs to.
    """

    user: User
    session: str


class Identities(Protocol):
    """Knows accounts and sign-ins."""

    async def caller_of(self, access_token: str) -> Caller | None:
        """Who an access token stands for now; None where its session ended or its account is gone.

        Raises:
            InvalidClaims: It is no access token of ours that is valid now.
            Unavailable: Nobody can say now.
        """


Check = Callable[[Request], Awaitable[None]]


def checking(demand: Demand, cost: float) -> Check:
    """What FastAPI runs before a route: who is asking, how much they may ask, and whether they may ask this."""

    async def check(request: Request) -> None:
        caller = await _caller(request)
        await _take_tokens(request, caller, cost)
        if caller is None and demand is not Demand.NOTHING:
            raise Problem(UNAUTHENTICATED, "this needs an access token: Authorization: Bearer ...")
        if demand is Demand.ADMIN and caller is not None and not caller.user.admin:
            raise Problem(FORBIDDEN, "this is for admins of the platform")
        request.state.caller = caller

    return check


async def _take_tokens(request: Request, caller: Caller | None, cost: float) -> None:
    limiter: Limiter = request.app.state.limiter
    now_ms = int(time.time() * 1000)
    account, tier = ("", Tier.FREE) if caller is None else (caller.user.id, caller.user.tier(now_ms))
    limited = await limiter.request(account, tier, address_of(request), cost)
    request.state.answer_headers = limited.headers()


def caller_of(request: Request) -> Caller:
    """Who is asking; for routes that demand somebody."""
    caller: Caller | None = request.state.caller
    if caller is None:
        raise AssertionError("the route demands nobody")
    return caller


async def _caller(request: Request) -> Caller | None:
    given = request.headers.getlist("authorization")
    if not given:
        return None
    scheme, _, token = given[0].partition(" ")
    if len(given) > 1 or scheme.lower() != _BEARER or not token:
        raise Problem(UNAUTHENTICATED, "the header Authorization is: Bearer, a space, and an access token")
    identities: Identities = request.app.state.identities
    try:
        caller = await identities.caller_of(token)
    except InvalidClaims as error:
        raise Problem(
            UNAUTHENTICATED, "the access token is not valid", headers={"www-authenticate": _invalid_token()}
        ) from error
    if caller is None:
        raise Problem(UNAUTHENTICATED, "this sign-in has ended", headers={"www-authenticate": _invalid_token()})
    return caller


def _invalid_token() -> str:
    """RFC 6750, section 3.1."""
    return 'Bearer error="invalid_token"'
