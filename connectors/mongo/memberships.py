"""Memberships in Mongo: who works in a store, in which role, and what its owners pay for.

They are kept in no cache here; who only reads may be decided by what was read half a second before (``api.known``).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from pymongo.asynchronous.client_session import AsyncClientSession

from connectors.mongo.accounts import user_of
from connectors.mongo.async_client import Documents, answering, in_transaction
from connectors.mongo.tenant_stores import TenantStores
from connectors.mongo.tenants import (
    begin_ownership,
    check_permission,
    lock_store,
    members_range,
    membership_document,
    membership_of,
    roles_in,
)
from connectors.mongo.times import milliseconds
from marketplace.collections import MEMBERSHIPS, STORES, USERS
from marketplace.identity.accounts import User
from marketplace.identity.roles import Permission, StoreRole, leaves_an_owner
from marketplace.identity.tenancy import (
    LastOwner,
    Membership,
    NoSuchMember,
    NoSuchStore,
    Owner,
    Standing,
    StoreRecord,
    standing_of,
)


@dataclass(frozen=True)
class StoreView:
    """A store as it is at one moment.

    Attributes:
        record: Its settings.
        members: By user.
        standing: What its owners pay for.
    """

    record: StoreRecord
    members: Mapping[str, Membership]
    standing: Standing


class Memberships:
    """The collection ``memberships``.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
        stores: The stores of the same database.
    """

    def __init__(self, client: Documents, database: str, stores: TenantStores) -> None:
        self._client, self._records = client, stores
        mongo = client[database]
        self._memberships, self._stores, self._users = mongo[MEMBERSHIPS.name], mongo[STORES.name], mongo[USERS.name]

    async def view(self, slug: str, now: datetime, member: str | None = None) -> StoreView | None:
        """A store with its members and what its owners pay for.

        Args:
            slug: The store's.
            now: The time.
            member: An account that has to be a member; None for any store.

        Returns:
            The store; None where there is none, or the account is no member of it. Both are the same work, so that the
            time does not show which it is.

        Raises:
            Unavailable: Mongo does not answer.
            InvalidStore: The document is not valid.
        """
        found, members = await asyncio.gather(self._records.get(slug), self.members(slug), return_exceptions=True)
        if isinstance(members, BaseException):
            raise members
        if member is not None and member not in members:
            # Whatever is wrong with the store is none of a stranger's business.
            return None
        if isinstance(found, BaseException):
            raise found
        if found is None:
            return None
        standings = await self.standings({slug: members.values()}, now)
        return StoreView(found, members, standings[slug])

    async def members(self, slug: str) -> dict[str, Membership]:
        """The members of a store, by user.

        Raises:
            Unavailable: Mongo does not answer.
        """
        async with answering():
            documents = await self._memberships.find(members_range(slug)).to_list()
        return {document["user"]: membership_of(document) for document in documents}

    async def of_user(self, user: str, after: str = "", limit: int | None = None) -> list[Membership]:
        """The memberships of an account by store.

        Args:
            user: The account's id.
            after: Only of stores behind this slug.
            limit: At most so many.

        Raises:
            Unavailable: Mongo does not answer.
        """
        async with answering():
            found = self._memberships.find({"user": user, "store": {"$gt": after}}).sort("store")
            return [membership_of(document) for document in await found.limit(limit or 0).to_list()]

    async def users(self, ids: Collection[str]) -> dict[str, User]:
        """The accounts of these ids that there are.

        Raises:
            Unavailable: Mongo does not answer.
        """
        async with answering():
            documents = await self._users.find({"_id": {"$in": sorted(ids)}}).to_list()
        return {document["_id"]: user_of(document) for document in documents}

    async def owners(self) -> dict[str, list[str]]:
        """The addresses of those who own stores, sorted, by store; one without an owner is not in it.

        Raises:
            Unavailable: Mongo does not answer.
        """
        async with answering():
            owned = await self._memberships.find({"role": StoreRole.OWNER.value}).to_list()
        accounts = await self.users({document["user"] for document in owned})
        owners: defaultdict[str, list[str]] = defaultdict(list)
        for document in owned:
            if document["user"] in accounts:
                owners[document["store"]].append(accounts[document["user"]].email)
        return {slug: sorted(emails) for slug, emails in owners.items()}

    async def standings_of(self, slugs: Collection[str], now: datetime) -> dict[str, Standing]:
        """What the owners of several stores pay for, by slug.

        Raises:
            Unavailable: Mongo does not answer.
        """
        if not slugs:
            return {}
        # Ranges of ids: no index begins with the store.
        owners = {"$or": [members_range(slug) for slug in sorted(slugs)], "role": StoreRole.OWNER.value}
        async with answering():
            documents = await self._memberships.find(owners).to_list()
        by_store: dict[str, list[Membership]] = {slug: [] for slug in slugs}
        for document in documents:
            by_store[document["store"]].append(membership_of(document))
        return await self.standings(by_store, now)

    async def standings(self, members: Mapping[str, Collection[Membership]], now: datetime) -> dict[str, Standing]:
        """What the owners of stores pay for, given the stores' members.

        Raises:
            Unavailable: Mongo does not answer.
        """
        owners = {
            slug: [member.user for member in several if member.role is StoreRole.OWNER]
            for slug, several in members.items()
        }
        known = await self._owners({user for users in owners.values() for user in users}, now)
        return {
            slug: standing_of(slug, [known[user] for user in users if user in known]) for slug, users in owners.items()
        }

    async def _owners(self, users: Collection[str], now: datetime) -> dict[str, Owner]:
        async with answering():
            owned = self._memberships.find({"user": {"$in": sorted(users)}, "role": StoreRole.OWNER.value})
            accounts, documents = await asyncio.gather(self.users(users), owned.to_list())
        stores: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for document in documents:
            stores[document["user"]][document["store"]] = document["store_created_at"]
        return {user: Owner(accounts[user].tier(milliseconds(now)), stores[user]) for user in accounts}

    async def change_role(self, slug: str, actor: str, user: str, role: StoreRole, now: datetime) -> Membership:
        """Give a member another role.

        Raises:
            NoSuchStore: There is no such store.
            NotAllowed: Who asks may not, by the role of now.
            NoSuchMember: There is no such member.
            LastOwner: The store would be without an owner.
            LimitReached: The member, as an owner, would own more stores than the tier includes.
            Unavailable: Mongo does not answer; it may have happened.
        """

        async def work(session: AsyncClientSession) -> Membership:
            members = await self._check(slug, actor, user, Permission.MANAGE_MEMBERS, role, session)
            if role is StoreRole.OWNER and members[user].role is not StoreRole.OWNER:
                await begin_ownership(self._users, self._memberships, user, now, session)
            changed = replace(members[user], role=role)
            await self._memberships.replace_one({"_id": changed.id}, membership_document(changed), session=session)
            return changed

        return await in_transaction(self._client, work)

    async def remove(self, slug: str, actor: str, user: str) -> None:
        """End the membership of somebody, or the own one. API keys that the member made are worth nothing from now on.

        Raises:
            NoSuchStore: There is no such store.
            NotAllowed: Who asks may not, by the role of now.
            NoSuchMember: There is no such member.
            LastOwner: The store would be without an owner.
            Unavailable: Mongo does not answer; it may have happened.
        """
        permission = Permission.LEAVE_STORE if actor == user else Permission.MANAGE_MEMBERS

        async def work(session: AsyncClientSession) -> None:
            members = await self._check(slug, actor, user, permission, None, session)
            await self._memberships.delete_one({"_id": members[user].id}, session=session)

        await in_transaction(self._client, work)

    async def _check(
        self,
        slug: str,
        actor: str,
        user: str,
        permission: Permission,
        role: StoreRole | None,
        session: AsyncClientSession,
    ) -> dict[str, Membership]:
        _, members = await check_permission(self._stores, self._memberships, slug, actor, permission, session)
        if user not in members:
            raise NoSuchMember("there is no such member")
        if not await self._leaves_an_owner(members, user, role, session):
            raise LastOwner("a store has at least one owner: make another member an owner first")
        return members

    async def _leaves_an_owner(
        self, members: Mapping[str, Membership], user: str, role: StoreRole | None, session: AsyncClientSession
    ) -> bool:
        """Whether a store keeps an owner who can act when a member's role changes; banned ones and ghosts cannot."""
        if user in members and members[user].role is not StoreRole.OWNER:
            return True
        able = {"_id": {"$in": sorted(members)}, "banned": False}
        others = {document["_id"] for document in await self._users.find(able, session=session).to_list()}
        roles = {each: member.role for each, member in members.items() if each in others or each == user}
        return leaves_an_owner(roles, user, role)

    async def make_owner(self, slug: str, user: str, now: datetime) -> None:
        """Make an account an owner of a store, whatever it was there before: for the operator.

        Raises:
            NoSuchStore: There is no such store.
            NoSuchUser: There is no such account.
            LimitReached: It owns as many stores as the tier includes.
            Unavailable: Mongo does not answer; it may have happened.
        """

        async def work(session: AsyncClientSession) -> None:
            store = await lock_store(self._stores, slug, session)
            there = (await roles_in(self._memberships, slug, session)).get(user)
            if there is not None and there.role is StoreRole.OWNER:
                return
            await begin_ownership(self._users, self._memberships, user, now, session)
            since = milliseconds(now) if there is None else there.since
            member = Membership(slug, user, StoreRole.OWNER, since, int(store.get("created_at") or 0))
            document = membership_document(member)
            await self._memberships.replace_one({"_id": member.id}, document, upsert=True, session=session)

        await in_transaction(self._client, work)

    async def leave_all(self, user: str, session: AsyncClientSession) -> list[str]:
        """End all memberships of an account, in the transaction that deletes it.

        Returns:
            The slugs of stores that are without an owner then: if there are any, the transaction must not be committed.
        """
        mine = await self._memberships.find({"user": user}, session=session).sort("store").to_list()
        alone = []
        for document in mine:
            try:
                await lock_store(self._stores, document["store"], session)
            except NoSuchStore:
                # Somebody has removed its document by hand: nobody has to stay for it.
                continue
            members = await roles_in(self._memberships, document["store"], session)
            if not await self._leaves_an_owner(members, user, None, session):
                alone.append(document["store"])
        await self._memberships.delete_many({"user": user}, session=session)
        return alone
