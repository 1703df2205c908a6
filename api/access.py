"""Who is asking, and what a route demands of them: decided here and nowhere else.

A route is registered with a :class:`Demand`, or with a :class:`Permission` in the store that its path names; one
without cannot be. Credentials that are sent and do not hold are refused by every route, also by those that demand none:
who sends them believes to be signed in.

The store of a request is the one in its path, and no other part of a request names one. A store that the caller is no
member of is answered like one that does not exist. Roles are read for every request: a change, a removal or a ban holds
from the next one on.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, Protocol

from fastapi import Path, Request

from api.limits import Limiter
from api.web.clients import address_of
from api.web.problems import FORBIDDEN, LIMIT, NOT_FOUND, UNAUTHENTICATED, Problem
from marketplace.entitlements import Tier
from marketplace.identity.accounts import User
from marketplace.identity.claims import InvalidClaims
from marketplace.identity.roles import Permission, StoreRole
from marketplace.identity.tenancy import KEY_PREFIX, ApiKey, Membership, Standing, StoreRecord

_BEARER: Final = "bearer"


class Demand(StrEnum):
    """What a route asks of a caller."""

    NOTHING = "nobody has to be signed in"
    SIGNED_IN = "any account"
    ADMIN = "an admin of the platform"


Requirement = Demand | Permission
"""What a route asks: a permission is one in the store that its path names."""

STORE_PARAMETER: Final = "{store}"
"""How a path names its store."""


@dataclass(frozen=True)
class Caller:
    """Who is asking.

    Attributes:
        user: The account; of an API key, its maker.
        session: The sign-in that the request belongs to; empty for an API key.
        key: The API key, where a server asks with one.
    """

    user: User
    session: str
    key: ApiKey | None = None


@dataclass(frozen=True)
class Access:
    """What somebody may do in a store, at one moment.

    Attributes:
        record: The store.
        members: All of them, by user.
        standing: What the store's owners pay for.
        role: The caller's; None for an API key.
        permissions: What the caller may do.
    """

    record: StoreRecord
    members: Mapping[str, Membership]
    standing: Standing
    role: StoreRole | None
    permissions: frozenset[Permission]

    @property
    def slug(self) -> str:
        """The store's."""
        return self.record.store.slug


class Identities(Protocol):
    """Knows accounts and sign-ins."""

    async def caller_of(self, access_token: str) -> Caller | None:
        """Who an access token stands for now; None where its session ended or its account is gone.

        Raises:
            InvalidClaims: It is no access token of ours that is valid now.
            Unavailable: Nobody can say now.
        """


class StoreAccess(Protocol):
    """Knows API keys, and who may do what in which store."""

    async def caller_of_key(self, key: str) -> Caller | None:
        """Who an API key stands for now; None where it is none, or its maker is no member of its store any more.

        Raises:
            Unavailable: Nobody can say now.
        """

    async def access(self, caller: Caller, slug: str) -> Access | None:
        """What a caller may do in a store now; None where there is no such store, or the caller has no part in it.

        Raises:
            Unavailable: Nobody can say now.
        """


Check = Callable[..., Awaitable[None]]


def check_path(requirement: Requirement, path: str) -> None:
    """Check that a route's path names a store exactly where it demands a permission in one.

    Raises:
        ValueError: It does not.
    """
    names_store = STORE_PARAMETER in path.split("/")
    if isinstance(requirement, Permission) != names_store:
        raise ValueError(f"{path}: a permission is demanded in a store that the path names, and the other way round")


def checking(requirement: Requirement, cost: float, works_frozen: bool = True) -> Check:
    """What FastAPI runs before a route: who is asking, how much they may ask, and whether they may ask this.

    Args:
        requirement: What the route demands.
        cost: Tokens that a request takes.
        works_frozen: Whether a store that no owner's tier includes is as good as another one for it.
    """

    async def check(request: Request) -> None:
        try:
            caller = await _caller(request)
        except Problem:
            # Guesses at credentials are limited as if nothing had been sent.
            await _take_tokens(request, None, Tier.FREE, cost)
            raise
        access = None
        if caller is None or caller.key is None:
            await _take_tokens(request, caller, _own_tier(caller), cost)
            access = await _access(request, caller, requirement)
        else:
            # A key has the tier of its store, whoever made it.
            access = await _access(request, caller, requirement)
            await _take_tokens(request, caller, access.standing.tier if access else Tier.FREE, cost)
        _allow(requirement, caller, access)
        if access is not None and access.standing.frozen and not works_frozen:
            raise Problem(LIMIT, "the store is frozen: the plans of its owners include fewer stores than they own")
        request.state.caller, request.state.access = caller, access

    async def check_in_store(
        request: Request, store: Annotated[str, Path(description="The store's slug.", examples=["shop"])]
    ) -> None:
        del store  # declared for the documentation
        await check(request)

    return check_in_store if isinstance(requirement, Permission) else check


def _own_tier(caller: Caller | None) -> Tier:
    return Tier.FREE if caller is None else caller.user.tier(int(time.time() * 1000))


def _allow(requirement: Requirement, caller: Caller | None, access: Access | None) -> None:
    """Refuse who may not; the only place where this is decided."""
    if requirement is Demand.NOTHING:
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


async def _access(request: Request, caller: Caller | None, requirement: Requirement) -> Access | None:
    if caller is None or not isinstance(requirement, Permission):
        return None
    tenancy: StoreAccess = request.app.state.tenancy
    return await tenancy.access(caller, request.path_params["store"])


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


async def _caller(request: Request) -> Caller | None:
    given = request.headers.getlist("authorization")
    if not given:
        return None
    scheme, _, token = given[0].partition(" ")
    if len(given) > 1 or scheme.lower() != _BEARER or not token:
        raise Problem(UNAUTHENTICATED, "the header Authorization is: Bearer, a space, and an access token")
    if token.startswith(KEY_PREFIX):
        return await _caller_of_key(request, token)
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


async def _caller_of_key(request: Request, key: str) -> Caller:
    tenancy: StoreAccess = request.app.state.tenancy
    caller = await tenancy.caller_of_key(key)
    if caller is None:
        raise Problem(
            UNAUTHENTICATED,
            "the API key is not valid: it was revoked, or who made it is no member of the store any more",
            headers={"www-authenticate": _invalid_token()},
        )
    return caller


def _invalid_token() -> str:
    """RFC 6750, section 3.1."""
    return 'Bearer error="invalid_token"'
