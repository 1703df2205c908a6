"""The routes of members and invitations."""

from __future__ import annotations

from typing import Any, Final

from fastapi import Request

from api.access import Demand, access_of, caller_is_there, caller_of
from api.limits import Limiter
from api.members.schemas import (
    Acceptance,
    InvitationBody,
    InvitationList,
    InvitationPreview,
    Joined,
    MemberBody,
    MemberList,
    RoleChange,
    WaitingInvitation,
)
from api.members.service import Member, MemberService
from api.web.clients import address_of
from api.web.problems import CONFLICT, GONE, LIMIT
from api.web.routes import Routes
from api.web.times import rfc3339
from marketplace.identity.accounts import LinkKind
from marketplace.identity.emails import email_key
from marketplace.identity.roles import Permission, StoreRole
from marketplace.identity.tenancy import Invitation

_ID: Final = "3f2a9c51d06e4b7fa8c1e2d3b4a59687"
_MEMBER: Final[dict[str, Any]] = {
    "user": _ID, "name": "Ann", "email": "ann@shop.example", "role": "owner", "since": "2026-11-29T12:00:00.000Z",
}  # fmt: skip
_INVITATION: Final[dict[str, Any]] = {
    "id": _ID, "email": "bob@shop.example", "role": "analyst", "invited_by": _ID,
    "created_at": "2026-11-29T12:00:00.000Z", "expires_at": "2026-12-06T12:00:00.000Z",
}  # fmt: skip

_PREVIEW: Final = {
    "id": _ID, "store": "anns-shop", "title": "Ann's shop", "role": "analyst", "email": "bob@shop.example",
    "inviter_email": "ann@shop.example", "expires_at": "2026-12-06T12:00:00.000Z",
}  # fmt: skip

_THIS_INVITATION: Final = {"store": "$request.path.store", "invitation": "$response.body#/id"}
_FIRST_MEMBER: Final = {"store": "$request.path.store", "user": "$response.body#/members/0/user"}

MEMBERS: Final = Routes("/v1", "Members")


def _service(request: Request) -> MemberService:
    found: MemberService = request.app.state.tenancy.members
    return found


@MEMBERS.add("GET", "/stores/{store}/members", demand=Permission.READ_MEMBERS, example={"members": [_MEMBER]},
             links={"change_role": _FIRST_MEMBER, "remove_member": _FIRST_MEMBER})  # fmt: skip
async def list_members(request: Request) -> MemberList:
    """The members of a store, in the order in which they joined."""
    return MemberList(members=[_member(each) for each in await _service(request).named(access_of(request).members)])


@MEMBERS.add("PATCH", "/stores/{store}/members/{user}", demand=Permission.MANAGE_MEMBERS, cost=2, works_frozen=True,
             problems=[CONFLICT, LIMIT], example=_MEMBER)  # fmt: skip
async def change_role(request: Request, user: str, body: RoleChange) -> MemberBody:
    """Give a member another role, which holds half a second later at the latest. A store keeps at least one owner."""
    slug, actor = access_of(request).slug, caller_of(request).user.id
    return _member(await _service(request).change_role(slug, actor, user, StoreRole(body.role)))


@MEMBERS.add("DELETE", "/stores/{store}/members/{user}", demand=Permission.MANAGE_MEMBERS, cost=2, status=204,
             works_frozen=True, problems=[CONFLICT])  # fmt: skip
async def remove_member(request: Request, user: str) -> None:
    """Remove a member. API keys that the member made are worth nothing any more."""
    await _service(request).remove(access_of(request).slug, caller_of(request).user.id, user)


@MEMBERS.add("DELETE", "/stores/{store}/membership", demand=Permission.LEAVE_STORE, cost=2, status=204,
             works_frozen=True, problems=[CONFLICT])  # fmt: skip
async def leave_store(request: Request) -> None:
    """Leave a store. The last owner cannot."""
    me = caller_of(request).user.id
    await _service(request).remove(access_of(request).slug, me, me)


@MEMBERS.add("GET", "/stores/{store}/invitations", demand=Permission.INVITE, example={"invitations": [_INVITATION]})
async def list_invitations(request: Request) -> InvitationList:
    """The invitations to a store that can be accepted, the oldest first."""
    waiting = await _service(request).waiting(access_of(request).slug)
    return InvitationList(invitations=[_invitation(each) for each in waiting])


@MEMBERS.add("POST", "/stores/{store}/invitations", demand=Permission.INVITE, cost=5, status=201, problems=[CONFLICT],
             example=_INVITATION,
             links={"revoke_invitation": _THIS_INVITATION})  # fmt: skip
async def invite(request: Request, body: InvitationBody) -> WaitingInvitation:
    """Send somebody a mail with a link that makes a member of the store; it is valid for a week.

    The answer is the same whether the address has an account or not. An earlier invitation of the address ends. Nobody
    offers a role above the own one; whether the inviter may give it is asked again when it is accepted.
    """
    access = access_of(request)
    limiter: Limiter = request.app.state.limiter
    await limiter.attempt(email_key(body.email), address_of(request), LinkKind.INVITATION)
    sent = await _service(request).invite(
        access.slug, caller_of(request).user, body.email, StoreRole(body.role), access.standing.tier
    )
    return _invitation(sent)


@MEMBERS.add("DELETE", "/stores/{store}/invitations/{invitation}", demand=Permission.INVITE, cost=2, status=204,
             works_frozen=True)  # fmt: skip
async def revoke_invitation(request: Request, invitation: str) -> None:
    """Revoke an invitation: its link is worth nothing any more."""
    await _service(request).revoke(access_of(request).slug, caller_of(request).user.id, invitation)


@MEMBERS.add("POST", "/invitations/previews", demand=Demand.NOTHING, cost=2, changes_access=False, problems=[GONE],
             example=_PREVIEW)  # fmt: skip
async def preview_invitation(request: Request, body: Acceptance) -> InvitationPreview:
    """Read what an invitation offers, by the link in its mail, which is not used by that.

    Where it cannot be accepted any more, the `code` of the error says why: `accepted`, `revoked`, `replaced` by a newer
    one, `expired`, or `unknown`.
    """
    found = await _service(request).preview(body.token)
    return InvitationPreview(
        id=found.invitation.id,
        store=found.invitation.store,
        title=found.title,
        role=found.invitation.role.value,
        email=found.invitation.email,
        inviter_email=found.inviter_email,
        expires_at=rfc3339(found.invitation.expires_at),
    )


@MEMBERS.add("POST", "/invitations/acceptances", demand=Demand.SIGNED_IN, cost=5, status=201,
             problems=[CONFLICT, GONE, LIMIT], example={"store": "anns-shop", "role": "analyst"})  # fmt: skip
async def accept_invitation(request: Request, body: Acceptance) -> Joined:
    """Become a member of a store, by the link in a mail that was sent to the caller's own address."""
    with caller_is_there():
        made = await _service(request).accept(body.token, caller_of(request).user)
    return Joined(store=made.store, role=made.role.value)


def _member(member: Member) -> MemberBody:
    return MemberBody(
        user=member.user.id,
        name=member.user.name,
        email=member.user.email,
        role=member.membership.role.value,
        since=rfc3339(member.membership.since),
    )


def _invitation(invitation: Invitation) -> WaitingInvitation:
    return WaitingInvitation(
        id=invitation.id,
        email=invitation.email,
        role=invitation.role.value,
        invited_by=invitation.inviter,
        created_at=rfc3339(invitation.created_at),
        expires_at=rfc3339(invitation.expires_at),
    )
