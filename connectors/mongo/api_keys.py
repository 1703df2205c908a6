"""API keys in Mongo: found by the part that is no secret, and compared by the hash of the other one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession

from connectors.mongo.async_client import Documents, answering, in_transaction
from connectors.mongo.tenants import check_permission
from connectors.mongo.times import milliseconds
from marketplace.collections import API_KEYS, MEMBERSHIPS, STORES
from marketplace.identity.roles import Permission, scopes_in_effect
from marketplace.identity.tenancy import LAST_USE_SECONDS, MAX_API_KEYS, ApiKey, LimitReached, NoSuchThing, NotAllowed


class ApiKeys:
    """The collection ``api_keys``.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Documents, database: str) -> None:
        self._client = client
        mongo = client[database]
        self._keys, self._stores, self._memberships = mongo[API_KEYS.name], mongo[STORES.name], mongo[MEMBERSHIPS.name]

    async def create(self, key: ApiKey) -> None:
        """Keep a new key.

        Raises:
            NoSuchStore: There is no such store.
            NotAllowed: Its maker may not make keys by the role of now, or not with these scopes.
            LimitReached: The store has as many as there may be.
            Unavailable: Mongo does not answer; it may be kept.
        """

        async def work(session: AsyncClientSession) -> None:
            _, members = await check_permission(
                self._stores, self._memberships, key.store, key.maker, Permission.MANAGE_API_KEYS, session
            )
            if not key.scopes <= scopes_in_effect(key.scopes, members[key.maker].role):
                raise NotAllowed("a key is given nothing that its maker may not do")
            if await self._keys.count_documents({"store": key.store}, session=session) >= MAX_API_KEYS:
                raise LimitReached(f"a store has at most {MAX_API_KEYS} API keys: revoke one that is not used")
            await self._keys.insert_one(_document(key), session=session)

        await in_transaction(self._client, work)

    async def get(self, key_id: str) -> ApiKey | None:
        """The key of that id.

        Raises:
            Unavailable: Mongo does not answer.
        """
        async with answering():
            found = await self._keys.find_one({"_id": key_id})
        return None if found is None else _key(found)

    async def of_store(self, slug: str) -> list[ApiKey]:
        """The keys of a store, the oldest first.

        Raises:
            Unavailable: Mongo does not answer.
        """
        async with answering():
            found = await self._keys.find({"store": slug}).to_list()
        return sorted(map(_key, found), key=lambda key: (key.created_at, key.id))

    async def revoke(self, slug: str, actor: str, key_id: str) -> None:
        """Delete a key of a store.

        Raises:
            NoSuchStore: There is no such store.
            NotAllowed: Who asks may not, by the role of now.
            NoSuchThing: The store has no such key.
            Unavailable: Mongo does not answer; it may have happened.
        """

        async def work(session: AsyncClientSession) -> None:
            await check_permission(self._stores, self._memberships, slug, actor, Permission.MANAGE_API_KEYS, session)
            done = await self._keys.delete_one({"_id": key_id, "store": slug}, session=session)
            if not done.deleted_count:
                raise NoSuchThing("there is no such API key")

        await in_transaction(self._client, work)

    async def note_use(self, key: ApiKey, now: datetime) -> bool:
        """Write down that a key is used, unless that was done within a minute; returns whether it was written.

        Raises:
            Unavailable: Mongo does not answer.
        """
        before = milliseconds(now - timedelta(seconds=LAST_USE_SECONDS))
        if key.last_used_at > before:
            return False
        async with answering():
            done = await self._keys.update_one(
                {"_id": key.id, "last_used_at": {"$lte": before}}, {"$set": {"last_used_at": milliseconds(now)}}
            )
        return bool(done.matched_count)


def _document(key: ApiKey) -> dict[str, Any]:
    return {
        "_id": key.id,
        "store": key.store,
        "maker": key.maker,
        "name": key.name,
        "scopes": sorted(scope.value for scope in key.scopes),
        "secret_hash": key.secret_hash,
        "created_at": key.created_at,
        "last_used_at": key.last_used_at,
    }


def _key(document: Mapping[str, Any]) -> ApiKey:
    known = {scope.value: scope for scope in Permission}
    return ApiKey(
        id=document["_id"],
        store=document["store"],
        maker=document["maker"],
        name=document["name"],
        # A scope that a later version knows is worth nothing here.
        scopes=frozenset(known[scope] for scope in document["scopes"] if scope in known),
        secret_hash=document["secret_hash"],
        created_at=document["created_at"],
        last_used_at=document["last_used_at"],
    )
