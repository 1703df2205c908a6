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


class InvitationPreview(BaseModel):
    """What an invitation offers, for who has the secret of its link."""

    id: str
    store: str = Field(description="Its slug.")
    title: str = Field(description="The store's.")
    role: str
    email: str = Field(description="The address that it was sent to: only an account with it can accept.")
    inviter_email: str = Field(description="Who invites; empty where this account was deleted.")
    expires_at: str


class Joined(BaseModel):
    """A membership that was made."""

    store: str
    role: str
