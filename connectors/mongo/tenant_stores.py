"""Stores as their owners see them: made, edited and deleted by asyncio services and by the command.

The click path reads the same documents with :mod:`connectors.mongo.stores`. A store that was deleted keeps its
document, so that nobody else gets its slug, and with it its numbers; its keys are worth nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError, PyMongoError

from connectors.mongo.async_client import Documents, in_transaction
from connectors.mongo.stores import (
    LENIENT,
    VERSION,
    StoreConflict,
    StoresUnavailable,
    fields_of,
    from_document,
    listing_of,
    to_document,
)
from connectors.mongo.tenants import (
    ALIVE,
    begin_ownership,
    check_permission,
    forget_members,
    lock_store,
    membership_document,
)
from connectors.mongo.times import milliseconds
from marketplace.collections import API_KEYS, LINKS, MEMBERSHIPS, ORDERS, STORES, USERS
from marketplace.identity.accounts import LinkKind
from marketplace.identity.roles import Permission, StoreRole
from marketplace.identity.tenancy import (
    DeletedStore,
    Membership,
    NoSuchStore,
    OpenOrders,
    SlugTaken,
    Stale,
    StoreRecord,
)
from marketplace.orders.closing import MAX_COUNTED, open_orders_sentence
from marketplace.orders.delivery import GONE
from marketplace.sagas.order_state import TERMINAL, OrderState
from marketplace.stores import Store, hash_write_key

_EDIT_ATTEMPTS: Final = 20

_GONE: Final = sorted(state.value for state in GONE)
_CONFIRMED: Final = OrderState.CONFIRMED.value
# One by one: SecantusDB takes no index for an $or.
_OPEN_ORDERS: Final[tuple[Mapping[str, Any], ...]] = (
    {"state": {"$in": sorted(state.value for state in OrderState if state not in TERMINAL)}},
    {"state": _CONFIRMED, "fulfilment.state": {"$nin": _GONE}},
    {"state": _CONFIRMED, "fulfilment.state": {"$in": _GONE}, "refunds.done": False},
)
"""Which orders are open, as :func:`marketplace.orders.closing.is_open` says; none is found twice."""

Change = Callable[[Store], Mapping[str, Any]]


class TenantStores:
    """The collection ``stores``, with the memberships of those who make stores.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Documents, database: str) -> None:
        self._client = client
        mongo = client[database]
        self._stores: AsyncCollection[dict[str, Any]] = mongo.get_collection(STORES.name, codec_options=LENIENT)
        self._memberships, self._users = mongo[MEMBERSHIPS.name], mongo[USERS.name]
        self._links, self._keys, self._orders = (mongo[each.name] for each in (LINKS, API_KEYS, ORDERS))

    async def prepare(self) -> None:
        """Create the unique indexes of stores, if they are missing.

        Raises:
            StoresUnavailable: Mongo did not answer, or does not make them.
        """
        with _typed():
            for index in STORES.indexes:
                await self._stores.create_index(list(index.fields), name=index.name, unique=index.unique)

    async def get(self, slug: str) -> StoreRecord | None:
        """The store of that slug; None where there is none, or it was deleted.

        Raises:
            Unavailable: Mongo does not answer.
            InvalidStore: The document is not valid.
        """
        with _typed():
            found = await self._stores.find_one({"_id": slug, **ALIVE})
        return None if found is None else _record(found)

    async def several(self, slugs: Collection[str]) -> dict[str, StoreRecord]:
        """Those of these stores that there are, by slug, without invalid documents.

        Raises:
            Unavailable: Mongo does not answer.
        """
        with _typed():
            documents = await self._stores.find({"_id": {"$in": sorted(slugs)}, **ALIVE}).to_list()
        by_slug = {str(document["_id"]): document for document in documents}
        return {slug: _record(by_slug[slug]) for slug in listing_of(documents).stores}

    async def every(self) -> list[Store]:
        """All stores by slug, without those that were deleted and without invalid documents.

        Raises:
            StoresUnavailable: Mongo did not answer.
        """
        with _typed():
            documents = await self._stores.find(ALIVE).sort("_id").to_list()
        return list(listing_of(documents).stores.values())

    async def create(self, store: Store, owner: str | None, now: datetime) -> StoreRecord:
        """Save a new store, and its owner's membership with it.

        Args:
            store: The store.
            owner: Whose it is; None for one that the operator makes, which has no owner yet.
            now: The time.

        Raises:
            SlugTaken: There is one of that slug, or was.
            StoreConflict: Another store has that write key.
            NoSuchUser: There is no such account.
            LimitReached: The owner has as many stores as the tier includes.
            StoresUnavailable: Mongo did not answer; it may or may not be saved.
            Unavailable: The same, with an owner.
        """
        document = {**to_document(store), "created_at": milliseconds(now)}
        try:
            with _typed():
                if owner is None:
                    await self._stores.insert_one(document)
                else:
                    await in_transaction(self._client, self._creation(document, owner, now))
        except DuplicateKeyError as error:
            with _typed():
                taken = await self._stores.find_one({"_id": store.slug})
            if taken is None:
                raise StoreConflict(f"store {store.slug}: another store has that write key") from error
            deleted = taken.get("deleted_at") is not None
            raise SlugTaken("it belonged to a store that was deleted" if deleted else "it is taken") from error
        return StoreRecord(store, 1, milliseconds(now))

    def _creation(self, document: Mapping[str, Any], owner: str, now: datetime) -> Callable[[AsyncClientSession], Any]:
        async def work(session: AsyncClientSession) -> None:
            await begin_ownership(self._users, self._memberships, owner, now, session)
            await self._stores.insert_one(dict(document), session=session)
            made = milliseconds(now)
            mine = Membership(str(document["_id"]), owner, StoreRole.OWNER, made, made)
            await self._memberships.insert_one(membership_document(mine), session=session)

        return work

    async def edit(self, slug: str, change: Change, version: int | None = None) -> StoreRecord:
        """Change only the fields that are named; others, of which this code may know nothing, stay.

        Args:
            slug: The store's.
            change: From the store to the fields; run again where another edit came in between.
            version: The one that is to be edited; None for whatever is there.

        Raises:
            NoSuchStore: There is none.
            Stale: It has another version.
            InvalidStore: The result is not valid; nothing was changed.
            StoreConflict: Another store has that write key; nothing was changed.
            StoresUnavailable: Mongo did not answer, and it may or may not be changed; or there were too many concurrent
                edits.
        """
        try:
            for _ in range(_EDIT_ATTEMPTS):
                with _typed():
                    document = await self._stores.find_one({"_id": slug, **ALIVE})
                if document is None:
                    raise NoSuchStore("there is no such store")
                before, after, fields = _edited(document, change, version)
                if not fields:
                    return before
                # A document without a version counts as version 0; in Mongo, null also matches a missing field.
                read = {"$in": [None, 0]} if before.version == 0 else before.version
                with _typed():
                    done = await self._stores.update_one(
                        {"_id": slug, VERSION: read, **ALIVE}, {"$set": {**fields, VERSION: after.version}}
                    )
                if done.matched_count:
                    return after
        except DuplicateKeyError as error:
            raise StoreConflict(f"store {slug}: another store has that write key") from error
        raise StoresUnavailable(f"store {slug}: others edited it {_EDIT_ATTEMPTS} times meanwhile")

    async def edit_as(
        self, slug: str, actor: str, permission: Permission, change: Change, version: int | None = None
    ) -> StoreRecord:
        """The same for somebody who has to be allowed it when it is done, and not only when it is asked for.

        Args:
            slug: The store's.
            actor: The account's id.
            permission: What the role has to allow.
            change: From the store to the fields; run again where another edit came in between.
            version: The one that is to be edited; None for whatever is there.

        Raises:
            NoSuchStore: There is none.
            NotAllowed: Who asks may not, by the role of now.
            Stale: It has another version.
            InvalidStore: The result is not valid; nothing was changed.
            StoreConflict: Another store has that write key; nothing was changed.
            Unavailable: Mongo does not answer; it may or may not be changed.
        """

        async def work(session: AsyncClientSession) -> StoreRecord:
            document, _ = await check_permission(self._stores, self._memberships, slug, actor, permission, session)
            before, after, fields = _edited(document, change, version)
            if fields:
                await self._stores.update_one(
                    {"_id": slug}, {"$set": {**fields, VERSION: after.version}}, session=session
                )
            return after if fields else before

        try:
            return await in_transaction(self._client, work)
        except DuplicateKeyError as error:
            raise StoreConflict(f"store {slug}: another store has that write key") from error

    async def delete(self, slug: str, actor: str | None, now: datetime) -> DeletedStore:
        """Delete a store for everybody: its members, invitations and API keys go, its own keys are worth nothing.

        Its document, its numbers and its slug are kept.

        Args:
            slug: The store's.
            actor: Who asks; None for the operator, who may.
            now: The time.

        Returns:
            What went with it.

        Raises:
            NoSuchStore: There is none.
            NotAllowed: Who asks may not, by the role of now.
            OpenOrders: Something of its orders is owed still.
            Unavailable: Mongo does not answer; it may have happened.
        """

        async def work(session: AsyncClientSession) -> DeletedStore:
            if actor is None:
                document = await lock_store(self._stores, slug, session)
            else:
                permission = Permission.DELETE_STORE
                document, _ = await check_permission(self._stores, self._memberships, slug, actor, permission, session)
            count = 0
            for question in _OPEN_ORDERS:
                own = {"store": slug, **question}
                count += await self._orders.count_documents(own, limit=MAX_COUNTED, session=session)
            if count:
                raise OpenOrders(open_orders_sentence(count), count, f"/v1/stores/{slug}/orders")
            # Nobody knows a key of this hash, and without its secret nobody finds out whose an id of a visitor was.
            lost = {"write_key_hash": hash_write_key(secrets.token_hex(32)), "visitor_secret": secrets.token_hex(32)}
            gone = {"deleted_at": now, "import_key_hash": None, **lost}
            await self._stores.update_one({"_id": slug}, {"$set": gone, "$inc": {VERSION: 1}}, session=session)
            members = await forget_members(self._memberships, slug, session)
            invitations = {"kind": LinkKind.INVITATION.value, "subject": slug}
            waiting = await self._links.delete_many(invitations, session=session)
            keys = await self._keys.delete_many({"store": slug}, session=session)
            title = str(document.get("title", ""))
            return DeletedStore(slug, title, now, members, waiting.deleted_count, keys.deleted_count)

        return await in_transaction(self._client, work)


@contextmanager
def _typed() -> Iterator[None]:
    try:
        yield
    except DuplicateKeyError:
        raise
    except PyMongoError as error:
        raise StoresUnavailable(f"Mongo did not answer: {type(error).__name__}") from error


def _edited(
    document: Mapping[str, Any], change: Change, version: int | None
) -> tuple[StoreRecord, StoreRecord, dict[str, Any]]:
    """A store as it is and as it is to be, and the fields of the document that are to change."""
    before = _record(document)
    if version is not None and before.version != version:
        raise Stale("the store was changed meanwhile")
    wanted = dict(change(before.store))
    after = StoreRecord(replace(before.store, **wanted), before.version + 1, before.created_at)
    return before, after, {name: value for name, value in fields_of(after.store).items() if name in wanted}


def _record(document: Mapping[str, Any]) -> StoreRecord:
    version, created_at = document.get(VERSION) or 0, document.get("created_at") or 0
    return StoreRecord(from_document(document), int(version), int(created_at))
