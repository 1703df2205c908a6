"""Who is asking, and what a route demands of them: decided here and nowhere else.

A route is registered with a :class:`Demand`, or with a :class:`Permission` in the store that its path names; one
without cannot be. Credentials that are sent and do not hold are refused by every route, also by those that demand none:
who sends them believes to be signed in.

The store of a request is the one in its path, and no other part of a request names one. A store that the caller is no
member of is answered like one that does not exist. A request that may change something is decided by what holds now,
and one that only reads by what held half a second before at the earliest: see :mod:`api.known`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

from fastapi import Request

from api.callers import Access, Caller
from api.known import Known
from api.limits import Limiter
from api.web.clients import address_of
from api.web.problems import FORBIDDEN, LIMIT, NOT_FOUND, UNAUTHENTICATED, Problem
from marketplace.entitlements import Tier
from marketplace.identity.claims import InvalidClaims
from marketplace.identity.roles import Permission
from marketplace.identity.tenancy import FROZEN, KEY_PREFIX, NoSuchUser

_BEARER: Final = "bearer"
_ENDED: Final = "this sign-in has ended"
_KEY_ENDED: Final = "the API key is not valid: it was revoked, or who made it is no member of the store any more"


class Demand(StrEnum):
    """What a route asks of a caller."""

    NOTHING = "nobody has to be signed in"
    CART = "any account, or the cart of a guest"
    SIGNED_IN = "any account"
    ADMIN = "an admin of the platform"


Requirement = Demand | Permission
"""What a route asks: a permission is one in the store that its path names."""

STORE_PARAMETER: Final = "{store}"
"""How a path names its store."""

CART_HEADER: Final = "x-cart"
"""Names the cart of somebody who is not signed in, by its secret."""


Check = Callable[[Request], Awaitable[None]]


def check_path(requirement: Requirement, path: str) -> None:
    """Check that a route's path names a store exactly where it demands a permission in one.

    Raises:
        ValueError: It does not.
    """
    names_store = STORE_PARAMETER in path.split("/")
    if isinstance(requirement, Permission) != names_store:
        raise ValueError(f"{path}: a permission is demanded in a store that the path names, and the other way round")


def checking(requirement: Requirement, cost: float, works_frozen: bool = True, changes_access: bool = False) -> Check:
    """What runs before a route: who is asking, how much they may ask, and whether they may ask this.

    Args:
        requirement: What the route demands.
        cost: Tokens that a request takes.
        works_frozen: Whether a store that no owner's tier includes is as good as another one for it.
        changes_access: Whether the route may change an account, a sign-in or who may do what in a store.
    """

    async def check(request: Request) -> None:
        known: Known = request.app.state.known
        # HEAD is GET by now.
        now = request.method != "GET"
        try:
            caller = await _caller(request, known, now)
        except Problem:
            # Guesses at credentials are limited as if nothing had been sent.
            await _take_tokens(request, None, Tier.FREE, cost)
            raise
        access = None
        if caller is None or caller.key is None:
            await _take_tokens(request, caller, _own_tier(caller), cost)
            access = await _access(request, known, caller, requirement, now)
        else:
            # A key has the tier of its store, whoever made it and whatever it asks for.
            own = await known.access(caller, caller.key.store, now=now)
            await _take_tokens(request, caller, own.standing.tier if own else Tier.FREE, cost)
            if isinstance(requirement, Permission) and request.path_params["store"] == caller.key.store:
                access = own
        _allow(requirement, caller, access, guest=CART_HEADER in request.headers)
        if access is not None and access.standing.frozen and not works_frozen:
            raise Problem(LIMIT, FROZEN)
        request.state.caller, request.state.access = caller, access
        if changes_access:
            # What is refused before this has begun nothing: whoever is over a limit must not make others be asked for.
            request.state.changed = known.forget

    return check


def _own_tier(caller: Caller | None) -> Tier:
    return Tier.FREE if caller is None else caller.user.tier(int(time.time() * 1000))


def _allow(requirement: Requirement, caller: Caller | None, access: Access | None, guest: bool) -> None:
    """Refuse who may not; the only place where this is decided. Whether a guest's cart is there shows later."""
    if requirement is Demand.NOTHING or (requirement is Demand.CART and caller is None and guest):
        return
    if caller is None:
        raise Problem(UNAUTHENTICATED, "this needs an access token: Authorization: Bearer ...")
    if isinstance(requirement, Permission):
        if access is None:
            raise Problem(NOT_FOUND)
        if requirement not in access.permissions:
            raise Problem(FORBIDDEN, f"this needs the permission {requirement.value} in the store")
    elif caller.key is not None:
        raise Problem(FORBIDDEN, "this is for people: an API key works in its store alone")
    elif requirement is Demand.ADMIN and not caller.user.admin:
        raise Problem(FORBIDDEN, "this is for admins of the platform")


async def _access(
    request: Request, known: Known, caller: Caller | None, requirement: Requirement, now: bool
) -> Access | None:
    if caller is None or not isinstance(requirement, Permission):
        return None
    return await known.access(caller, request.path_params["store"], now=now)


async def _take_tokens(request: Request, caller: Caller | None, tier: Tier, cost: float) -> None:
    limiter: Limiter = request.app.state.limiter
    account = "" if caller is None else caller.user.id if caller.key is None else f"key:{caller.key.id}"
    limited = await limiter.request(account, tier, address_of(request), cost)
    request.state.answer_headers = limited.headers()


def caller_of(request: Request) -> Caller:
    """Who is asking; for routes that demand somebody."""
    caller: Caller | None = request.state.caller
    if caller is None:
        raise AssertionError("the route demands nobody")
    return caller


def access_of(request: Request) -> Access:
    """The store of the request's path, and what the caller may do in it; for routes that demand a permission."""
    access: Access | None = request.state.access
    if access is None:
        raise AssertionError("the route demands no permission in a store")
    return access


async def is_there_still(request: Request) -> bool:
    """Whether the caller of a request that takes long could send it now, for routes that demand an account.

    Raises:
        Unavailable: Nobody can say now.
    """
    try:
        now = await _caller(request, request.app.state.known, True)
    except Problem:
        return False
    return now is not None and now.user.id == caller_of(request).user.id


@contextmanager
def caller_is_there() -> Iterator[None]:
    """Refuse a caller whose account was banned or deleted since the request began: what is changed was theirs."""
    try:
        yield
    except NoSuchUser as error:
        raise _refused(_ENDED) from error


async def _caller(request: Request, known: Known, now: bool) -> Caller | None:
    given = request.headers.getlist("authorization")
    if not given:
        return None
    scheme, _, credential = given[0].partition(" ")
    if len(given) > 1 or scheme.lower() != _BEARER or not credential:
        raise Problem(UNAUTHENTICATED, "the header Authorization is: Bearer, a space, and an access token")
    is_key = credential.startswith(KEY_PREFIX)
    try:
        caller = await known.caller(credential, is_key=is_key, now=now)
    except InvalidClaims as error:
        raise _refused("the access token is not valid") from error
    if caller is None:
        raise _refused(_KEY_ENDED if is_key else _ENDED)
    return caller


def _refused(detail: str) -> Problem:
    # RFC 6750, section 3.1.
    return Problem(UNAUTHENTICATED, detail, headers={"www-authenticate": 'Bearer error="invalid_token"'})
