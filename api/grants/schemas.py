"""What the routes of grants take and give, as JSON."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from api.identity.schemas import Input
from api.web.times import Moment

GrantedTier = Annotated[Literal["premium"], Field(examples=["premium"])]


class NewGrant(Input):
    """A tier for a time."""

    tier: GrantedTier
    since: Moment = Field(default_factory=str, description="The first moment; where it is left out, now.")
    until: Moment = Field(default_factory=str, description="The first moment without it; where it is left out, none.")


class GrantBody(BaseModel):
    """A tier for a time."""

    tier: str
    since: str
    until: str | None


class AccountBody(BaseModel):
    """An account, as admins see it."""

    id: str
    email: str
    name: str
    admin: bool
    banned: bool
    tier: str
    grants: list[GrantBody]
