"""Members and invitations: what the routes do, without HTTP."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from connectors.mongo.acceptances import Acceptances
from connectors.mongo.invitations import Invitations, Offer
from connectors.mongo.memberships import Memberships
from marketplace.entitlements import ENTITLEMENTS, Tier
from marketplace.identity.accounts import Mail, User
from marketplace.identity.roles import StoreRole
from marketplace.identity.tenancy import Invitation, LinkGone, Membership, hash_of_secret


@dataclass(frozen=True)
class Member:
    """A member of a store.

    Attributes:
        membership: The role.
        user: The account.
    """

    membership: Membership
    user: User


@dataclass(frozen=True)
class Preview:
    """What the link of an invitation offers.

    Attributes:
        invitation: The invitation.
        title: Of the store.
        inviter_email: Who invites; empty where this account was deleted.
    """

    invitation: Invitation
    title: str
    inviter_email: str


class MemberService:
    """Lists and changes members, invites and accepts.

    Args:
        memberships: Where they are.
        invitations: Where they wait.
        public_url: Of the pages that links in mails lead to; never what a request says of its host.
        clock: The time.
    """

    def __init__(
        self,
        memberships: Memberships,
        invitations: Invitations,
        public_url: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._memberships, self._invitations = memberships, invitations
        self._acceptances = Acceptances(invitations, memberships)
        self._public_url, self._clock = public_url.rstrip("/"), clock

    async def named(self, members: Mapping[str, Membership]) -> list[Member]:
        """Members with their accounts, in the order in which they joined.

        Raises:
            Unavailable: Mongo does not answer.
        """
        users = await self._memberships.users(members)
        ordered = sorted(members.values(), key=lambda member: (member.since, member.user))
        return [Member(member, users[member.user]) for member in ordered if member.user in users]

    async def change_role(self, slug: str, actor: str, user: str, role: StoreRole) -> Member:
        """Give a member another role; see :meth:`Memberships.change_role` for the errors."""
        changed = await self._memberships.change_role(slug, actor, user, role, self._clock())
        return (await self.named({user: changed}))[0]

    async def remove(self, slug: str, actor: str, user: str) -> None:
        """End a membership; see :meth:`Memberships.remove` for the errors."""
        await self._memberships.remove(slug, actor, user)

    async def invite(self, slug: str, inviter: User, email: str, role: StoreRole, tier: Tier) -> Invitation:
        """Send an invitation; see :meth:`Invitations.invite` for the errors.

        Args:
            slug: The store's.
            inviter: Who invites.
            email: The address.
            role: What is offered.
            tier: The store's.
        """
        secret = secrets.token_urlsafe(32)
        # Behind the fragment it is sent to no server, and in no log and no referrer.
        link = f"{self._public_url}/invitation#{quote(secret)}"
        values = {"inviter": inviter.email, "store": slug, "role": role.value, "link": link}
        offer = Offer(secrets.token_hex(16), slug, email, role, inviter.id)
        return await self._invitations.invite(
            offer,
            hash_of_secret(secret),
            Mail(email, "invitation", values),
            ENTITLEMENTS[tier].members,
            self._clock(),
        )

    async def waiting(self, slug: str) -> list[Invitation]:
        """The invitations of a store that can be accepted, the oldest first.

        Raises:
            Unavailable: Mongo does not answer.
        """
        return await self._invitations.waiting(slug, self._clock())

    async def revoke(self, slug: str, actor: str, invitation: str) -> None:
        """End an invitation; see :meth:`Invitations.revoke` for the errors."""
        await self._invitations.revoke(slug, actor, invitation, self._clock())

    async def preview(self, secret: str) -> Preview:
        """What the link of an invitation offers; it is not used by that.

        Raises:
            LinkGone: It cannot be accepted, or the store was deleted.
            Unavailable: Mongo does not answer.
        """
        now = self._clock()
        invitation = await self._invitations.find(hash_of_secret(secret), now)
        view = await self._memberships.view(invitation.store, now)
        if view is None:
            raise LinkGone
        inviter = (await self._memberships.users([invitation.inviter])).get(invitation.inviter)
        return Preview(invitation, view.record.store.title, inviter.email if inviter is not None else "")

    async def accept(self, secret: str, user: User) -> Membership:
        """Make a member of who was invited; see :meth:`Acceptances.accept` for the errors."""
        return await self._acceptances.accept(secret, user, self._clock())
