"""What all transactions of tenancy share: who may, and what makes two of them conflict.

Whatever depends on all members of a store goes through one field of the store's document, and whatever depends on all
stores of an owner through one field of the account's: two that happen at one time conflict there, and the second one is
repeated and sees what the first one did. Otherwise two owners who leave at once would each see the other one stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection

from connectors.mongo.accounts import user_of
from connectors.mongo.times import milliseconds
from marketplace.entitlements import ENTITLEMENTS
from marketplace.identity.accounts import User
from marketplace.identity.roles import Permission, StoreRole, has_permission
from marketplace.identity.tenancy import LimitReached, Membership, NoSuchStore, NoSuchUser, NotAllowed

Collection = AsyncCollection[dict[str, Any]]

ALIVE: Final[Mapping[str, Any]] = {"deleted_at": None}
"""Of a store that was not deleted."""


def members_range(slug: str) -> dict[str, Any]:
    """The ids of the memberships of a store."""
    # A semicolon follows a colon; no slug has either.
    return {"_id": {"$gte": f"{slug}:", "$lt": f"{slug};"}}


def membership_document(membership: Membership) -> dict[str, Any]:
    """A membership as it is kept."""
    return {
        "_id": membership.id,
        "store": membership.store,
        "user": membership.user,
        "role": membership.role.value,
        "since": membership.since,
        "store_created_at": membership.store_created_at,
    }


def membership_of(document: Mapping[str, Any]) -> Membership:
    """The membership of a document."""
    role = StoreRole(document["role"])
    return Membership(document["store"], document["user"], role, document["since"], document["store_created_at"])


async def lock_store(stores: Collection, slug: str, session: AsyncClientSession) -> dict[str, Any]:
    """Let the transaction conflict with every other one about the store's members, and give the store's document.

    Raises:
        NoSuchStore: There is none.
    """
    # Not in one command: the Mongo of the embedded stack reads a whole collection for it.
    await stores.update_one({"_id": slug, **ALIVE}, {"$inc": {"members_revision": 1}}, session=session)
    found = await stores.find_one({"_id": slug, **ALIVE}, session=session)
    if found is None:
        raise NoSuchStore("there is no such store")
    return found


async def roles_in(memberships: Collection, slug: str, session: AsyncClientSession) -> dict[str, Membership]:
    """The members of a store, by user."""
    documents = await memberships.find(members_range(slug), session=session).to_list()
    return {document["user"]: membership_of(document) for document in documents}


async def check_permission(
    stores: Collection,
    memberships: Collection,
    slug: str,
    actor: str,
    permission: Permission,
    session: AsyncClientSession,
) -> tuple[dict[str, Any], dict[str, Membership]]:
    """Lock a store, and ask once more whether somebody may: the role may have changed since the request began.

    Returns:
        The store's document and its members, by user.

    Raises:
        NoSuchStore: There is none.
        NotAllowed: The role does not allow it.
    """
    store = await lock_store(stores, slug, session)
    members = await roles_in(memberships, slug, session)
    if actor not in members or not has_permission(members[actor].role, permission):
        raise NotAllowed("your role does not allow this any more")
    return store, members


async def lock_account(users: Collection, user: str, session: AsyncClientSession) -> User:
    """Let the transaction conflict with every other one that gives this account something, bans or deletes it.

    Raises:
        NoSuchUser: There is no such account, or it is banned.
    """
    # Not in one command: the Mongo of the embedded stack reads a whole collection for it.
    await users.update_one({"_id": user, "banned": False}, {"$inc": {"ownership_revision": 1}}, session=session)
    found = await users.find_one({"_id": user, "banned": False}, session=session)
    if found is None:
        raise NoSuchUser("there is no such account")
    return user_of(found)


async def begin_ownership(
    users: Collection, memberships: Collection, user: str, now: datetime, session: AsyncClientSession
) -> User:
    """Let the transaction conflict with every other one that gives this account a store, if it may own one more.

    Raises:
        NoSuchUser: There is no such account, or it is banned.
        LimitReached: It owns as many stores as its tier includes.
    """
    account = await lock_account(users, user, session)
    limit = ENTITLEMENTS[account.tier(milliseconds(now))].stores
    owned = await memberships.find({"user": user, "role": StoreRole.OWNER.value}, session=session).to_list()
    if len(owned) >= limit:
        raise LimitReached(f"the plan includes {limit} {'store' if limit == 1 else 'stores'} of one owner")
    return account


async def forget_members(memberships: Collection, slug: str, session: AsyncClientSession) -> int:
    """Delete all memberships of a store; gives how many there were."""
    deleted = await memberships.delete_many(members_range(slug), session=session)
    return deleted.deleted_count
