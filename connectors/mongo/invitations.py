"""Invitations in Mongo: links of the kind ``invitation`` whose subject is the store, and the mails that carry them.

One that ends before its time is kept until then, with how it ended: whoever follows the link once more learns that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession

from connectors.mongo.accounts import link_document, mail_document
from connectors.mongo.async_client import Documents, answering, in_transaction
from connectors.mongo.tenants import (
    begin_ownership,
    check_permission,
    lock_account,
    lock_store,
    membership_document,
    roles_in,
)
from connectors.mongo.times import milliseconds
from marketplace.collections import LINKS, MAILS, MEMBERSHIPS, STORES, USERS
from marketplace.identity.accounts import LinkKind, Mail, User
from marketplace.identity.emails import email_key
from marketplace.identity.roles import Permission, StoreRole, may_grant
from marketplace.identity.tenancy import (
    AlreadyMember,
    Invitation,
    InviterGone,
    LimitReached,
    LinkEnd,
    LinkGone,
    Membership,
    NoSuchThing,
    NotAllowed,
    WrongAddress,
)

_KIND = LinkKind.INVITATION
_NOT_ENDED: dict[str, Any] = {"ended": {"$exists": False}}


@dataclass(frozen=True)
class Offer:
    """An invitation that is to be written.

    Attributes:
        id: Its id.
        store: The slug.
        email: The address.
        role: What is offered.
        inviter: Who offers it.
    """

    id: str
    store: str
    email: str
    role: StoreRole
    inviter: str


class Invitations:
    """Writes, lists, revokes and accepts invitations.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Documents, database: str) -> None:
        self._client = client
        mongo = client[database]
        self._stores, self._memberships, self._users = mongo[STORES.name], mongo[MEMBERSHIPS.name], mongo[USERS.name]
        self._links, self._mails = mongo[LINKS.name], mongo[MAILS.name]

    async def invite(self, offer: Offer, link_hash: str, mail: Mail, members_limit: int, now: datetime) -> Invitation:
        """Keep an invitation and the mail that carries it; an earlier one of the same address to the store ends.

        The work is the same whether the address has an account or not.

        Args:
            offer: What is offered to whom.
            link_hash: Of the link's secret.
            mail: Carries the link.
            members_limit: How many members and waiting invitations the store's tier includes.
            now: The time.

        Raises:
            NoSuchStore: There is no such store.
            NotAllowed: Who invites may not give this role.
            AlreadyMember: The address is a member's.
            LimitReached: The tier does not include one more.
            Unavailable: Mongo does not answer; the mail may come nevertheless.
        """
        data = {**asdict(offer), "role": offer.role.value, "email_key": email_key(offer.email)}
        document = link_document(_KIND, link_hash, offer.store, data, now)

        async def work(session: AsyncClientSession) -> None:
            members = await self._check_granter(offer.store, offer.inviter, offer.role, session)
            same_address = {"_id": {"$in": sorted(members)}, "email_key": data["email_key"]}
            if await self._users.find_one(same_address, session=session) is not None:
                raise AlreadyMember("the address is a member's already")
            earlier = {"kind": _KIND.value, "subject": offer.store, "data.email_key": data["email_key"]}
            await self._links.update_many(earlier | _NOT_ENDED, _ending(LinkEnd.REPLACED), session=session)
            if len(members) + len(await self._waiting(offer.store, now, session)) >= members_limit:
                raise LimitReached(_members_sentence(members_limit))
            await self._links.insert_one(document, session=session)
            await self._mails.insert_one(mail_document(mail, now), session=session)

        await in_transaction(self._client, work)
        return _invitation(document)

    async def waiting(self, slug: str, now: datetime) -> list[Invitation]:
        """The invitations of a store that can be accepted, the oldest first.

        Raises:
            Unavailable: Mongo does not answer.
        """
        async with answering():
            found = [_invitation(document) for document in await self._waiting(slug, now, None)]
        return sorted(found, key=lambda each: (each.created_at, each.id))

    async def find(self, link_hash: str, now: datetime) -> Invitation:
        """The invitation of a link; it is not used by that.

        Raises:
            LinkGone: There is none that can be accepted.
            Unavailable: Mongo does not answer.
        """
        async with answering():
            found = await self._links.find_one({"_id": link_hash, "kind": _KIND.value})
        end = _end_of(found, now)
        if found is None or end is not None:
            raise LinkGone(end or LinkEnd.UNKNOWN)
        return _invitation(found)

    async def revoke(self, slug: str, actor: str, invitation: str, now: datetime) -> None:
        """End an invitation.

        Raises:
            NoSuchStore: There is no such store.
            NoSuchThing: There is no such invitation in it.
            NotAllowed: Who asks may not give the role that it offers.
            Unavailable: Mongo does not answer; it may have happened.
        """

        async def work(session: AsyncClientSession) -> None:
            found = [each for each in await self._waiting(slug, now, session) if each["data"]["id"] == invitation]
            if not found:
                raise NoSuchThing("there is no such invitation")
            await self._check_granter(slug, actor, StoreRole(found[0]["data"]["role"]), session)
            await self._links.update_one({"_id": found[0]["_id"]}, _ending(LinkEnd.REVOKED), session=session)

        await in_transaction(self._client, work)

    async def accept(self, link_hash: str, user: User, members_limit: int, now: datetime) -> Membership:
        """Make a member of who was invited; the link is used by that and by nothing else.

        Args:
            link_hash: Of the link's secret.
            user: Who is signed in.
            members_limit: How many members the store's tier includes.
            now: The time.

        Raises:
            LinkGone: The link is unknown, used, revoked or expired, or the store was deleted.
            WrongAddress: It was sent to another address than the account's.
            InviterGone: Who invited may not give the role any more.
            AlreadyMember: The account is a member already.
            NoSuchUser: The account was deleted or banned meanwhile.
            LimitReached: The tier does not include one more member, or for an owner one more store.
            Unavailable: Mongo does not answer; it may have happened.
        """

        async def work(session: AsyncClientSession) -> Membership:
            question = {"_id": link_hash, "kind": _KIND.value}
            unused = {**question, "expires_at": {"$gt": now}, **_NOT_ENDED}
            found = await self._links.find_one_and_update(unused, _ending(LinkEnd.ACCEPTED), session=session)
            if found is None:
                ended = await self._links.find_one(question, session=session)
                raise LinkGone(_end_of(ended, now) or LinkEnd.UNKNOWN)
            if found["data"]["email_key"] != user.email_key:
                raise WrongAddress
            offered = _invitation(found)
            store = await lock_store(self._stores, offered.store, session)
            members = await roles_in(self._memberships, offered.store, session)
            if user.id in members:
                raise AlreadyMember("you are a member already")
            await self._check_inviter(offered, members, session)
            if len(members) >= members_limit:
                raise LimitReached(_members_sentence(members_limit))
            if offered.role is StoreRole.OWNER:
                await begin_ownership(self._users, self._memberships, user.id, now, session)
            else:
                await lock_account(self._users, user.id, session)
            created_at = int(store.get("created_at") or 0)
            member = Membership(offered.store, user.id, offered.role, milliseconds(now), created_at)
            await self._memberships.insert_one(membership_document(member), session=session)
            return member

        return await in_transaction(self._client, work)

    async def _check_granter(
        self, slug: str, actor: str, role: StoreRole, session: AsyncClientSession
    ) -> dict[str, Membership]:
        """Lock a store and check that somebody may give a role in it; returns its members."""
        _, members = await check_permission(self._stores, self._memberships, slug, actor, Permission.INVITE, session)
        if not may_grant(members[actor].role, role):
            raise NotAllowed("nobody gives a role above the own one")
        return members

    async def _check_inviter(
        self, offered: Invitation, members: Mapping[str, Membership], session: AsyncClientSession
    ) -> None:
        inviter = members.get(offered.inviter)
        account = await self._users.find_one({"_id": offered.inviter, "banned": False}, session=session)
        if not may_grant(inviter.role if inviter and account else None, offered.role):
            raise InviterGone("who invited you may not give this role any more: ask for another invitation")

    async def _waiting(self, slug: str, now: datetime, session: AsyncClientSession | None) -> list[dict[str, Any]]:
        # Mongo deletes expired ones some time later: until then they are there and count for nothing.
        question = {"kind": _KIND.value, "subject": slug, "expires_at": {"$gt": now}, **_NOT_ENDED}
        return await self._links.find(question, session=session).to_list()


def _ending(end: LinkEnd) -> dict[str, Any]:
    return {"$set": {"ended": end.value}}


def _end_of(document: Mapping[str, Any] | None, now: datetime) -> LinkEnd | None:
    """Why a link cannot be accepted; None where it can."""
    if document is None:
        return LinkEnd.UNKNOWN
    if "ended" in document:
        return LinkEnd(document["ended"])
    return LinkEnd.EXPIRED if milliseconds(document["expires_at"]) <= milliseconds(now) else None


def _members_sentence(limit: int) -> str:
    return f"the plan includes {limit} members of a store, with the invitations that wait"


def _invitation(document: Mapping[str, Any]) -> Invitation:
    data = document["data"]
    return Invitation(
        id=data["id"],
        store=data["store"],
        email=data["email"],
        role=StoreRole(data["role"]),
        inviter=data["inviter"],
        created_at=milliseconds(document["created_at"]),
        expires_at=milliseconds(document["expires_at"]),
    )
