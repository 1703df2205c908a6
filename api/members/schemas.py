"""What the routes of members and invitations take and give, as JSON."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from api.identity.schemas import Email, Input, Secret

RoleName = Annotated[Literal["owner", "manager", "analyst"], Field(examples=["analyst"])]


class RoleChange(Input):
    """A member's new role."""

    role: RoleName


class InvitationBody(Input):
    """Whom to invite, and as what."""

    email: Email
    role: RoleName


class Acceptance(Input):
    """The secret of an invitation's link."""

    token: Secret


class MemberBody(BaseModel):
    """A member of a store."""

    user: str
    name: str
    email: str
    role: str
    since: str


class MemberList(BaseModel):
    """All members, in the order in which they joined."""

    members: list[MemberBody]


class WaitingInvitation(BaseModel):
    """An invitation that can be accepted."""

    id: str
    email: str
    role: str
    invited_by: str = Field(description="The id of a member, or of somebody who was one.")
    created_at: str
    expires_at: str


class InvitationList(BaseModel):
    """All invitations that wait, the oldest first."""

    invitations: list[WaitingInvitation]


class Joined(BaseModel):
    """A membership that was made."""

    store: str
    role: str
