"""The routes by which admins give tiers to accounts."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Query, Request

from api.access import Demand, caller_of
from api.grants.schemas import AccountBody, GrantBody, GrantedTier, NewGrant
from api.grants.service import GrantService
from api.web.problems import INVALID, LIMIT, NOT_FOUND, FieldError, Problem
from api.web.routes import Routes
from api.web.times import epoch_ms, rfc3339
from marketplace.entitlements import Tier
from marketplace.identity.accounts import User
from marketplace.identity.emails import MAX_CHARS

_ACCOUNT: Final[dict[str, Any]] = {
    "id": "3f2a9c51d06e4b7fa8c1e2d3b4a59687", "email": "ann@shop.example", "name": "Ann", "admin": False,
    "banned": False, "tier": "premium",
    "grants": [{"tier": "premium", "since": "2026-11-29T12:00:00.000Z", "until": None}],
}  # fmt: skip

_THIS: Final = {"user": "$response.body#/id"}

GRANTS: Final = Routes("/v1/admin/accounts", "Administration")


def _service(request: Request) -> GrantService:
    found: GrantService = request.app.state.tenancy.grants
    return found


@GRANTS.add("GET", "", demand=Demand.ADMIN, problems=[NOT_FOUND], example=_ACCOUNT,
            links={"get_account": _THIS, "grant_tier": _THIS, "end_tier": _THIS})  # fmt: skip
async def find_account(
    request: Request, email: Annotated[str, Query(min_length=3, max_length=MAX_CHARS, description="Its address.")]
) -> AccountBody:
    """The account of an address."""
    service = _service(request)
    return _account(await service.by_email(email), service.now_ms)


@GRANTS.add("GET", "/{user}", demand=Demand.ADMIN, problems=[NOT_FOUND], example=_ACCOUNT)
async def get_account(request: Request, user: str) -> AccountBody:
    """An account with the tiers that it has, had or will have."""
    service = _service(request)
    return _account(await service.account(user), service.now_ms)


@GRANTS.add("POST", "/{user}/grants", demand=Demand.ADMIN, status=201, problems=[NOT_FOUND, LIMIT], example=_ACCOUNT)
async def grant_tier(request: Request, user: str, body: NewGrant) -> AccountBody:
    """Give an account a tier for a time. Stores that were frozen thaw with it, as far as it includes them."""
    service = _service(request)
    since = epoch_ms(body.since) if body.since else service.now_ms
    until = epoch_ms(body.until) if body.until else None
    if since < 0 or (until is not None and until <= since):
        path = "/since" if since < 0 else "/until"
        raise Problem(INVALID, errors=[FieldError(path, "order", "a tier begins after 1970 and ends after that")])
    return _account(
        await service.grant(user, caller_of(request).user.id, Tier(body.tier), since, until), service.now_ms
    )


@GRANTS.add("DELETE", "/{user}/grants/{tier}", demand=Demand.ADMIN, problems=[NOT_FOUND], example=_ACCOUNT)
async def end_tier(request: Request, user: str, tier: GrantedTier) -> AccountBody:
    """End a tier of an account now. Nothing is deleted: what is beyond the lower tier is frozen."""
    service = _service(request)
    return _account(await service.end(user, caller_of(request).user.id, Tier(tier)), service.now_ms)


def _account(user: User, now_ms: int) -> AccountBody:
    grants = [
        GrantBody(
            tier=grant.tier.value,
            since=rfc3339(grant.since),
            until=None if grant.until is None else rfc3339(grant.until),
        )
        for grant in user.grants
    ]
    return AccountBody(
        id=user.id,
        email=user.email,
        name=user.name,
        admin=user.admin,
        banned=user.banned,
        tier=user.tier(now_ms).value,
        grants=grants,
    )
