"""Accepting an invitation: the same for the REST API and for the dashboard."""

from __future__ import annotations

from datetime import datetime

from connectors.mongo.invitations import Invitations
from connectors.mongo.memberships import Memberships
from marketplace.entitlements import ENTITLEMENTS
from marketplace.identity.accounts import User
from marketplace.identity.emails import email_key
from marketplace.identity.tenancy import FROZEN, LimitReached, LinkGone, Membership, WrongAddress, hash_of_secret


class Acceptances:
    """Accepts invitations.

    Args:
        invitations: Where they wait.
        memberships: Where members are.
    """

    def __init__(self, invitations: Invitations, memberships: Memberships) -> None:
        self._invitations, self._memberships = invitations, memberships

    async def accept(self, secret: str, user: User, now: datetime) -> Membership:
        """Make a member of who was invited.

        Args:
            secret: Of the link in the mail.
            user: Who is signed in.
            now: The time.

        Raises:
            TenancyError: See :meth:`Invitations.accept`; also ``LimitReached`` where the store is frozen.
            Unavailable: Mongo does not answer; it may have happened.
        """
        link_hash = hash_of_secret(secret)
        invitation = await self._invitations.find(link_hash, now)
        if email_key(invitation.email) != user.email_key:
            raise WrongAddress
        view = await self._memberships.view(invitation.store, now)
        if view is None:
            raise LinkGone
        if view.standing.frozen:
            raise LimitReached(FROZEN)
        return await self._invitations.accept(link_hash, user, ENTITLEMENTS[view.standing.tier].members, now)
