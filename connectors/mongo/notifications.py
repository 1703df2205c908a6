"""Notifications as accounts and stores read them, what accounts want by mail, and what a mail needs to be sent."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from pymongo.asynchronous.client_session import AsyncClientSession

from connectors.mongo.async_client import Documents, answering, in_transaction
from connectors.mongo.sagas.documents import order_of
from connectors.mongo.tenants import ALIVE, lock_account
from marketplace.collections import (
    MAILS,
    MEMBERSHIPS,
    NOTIFICATION_PREFERENCES,
    NOTIFICATIONS,
    ORDERS,
    STORES,
    USERS,
)
from marketplace.identity.emails import InvalidEmail, checked_email
from marketplace.identity.roles import StoreRole
from marketplace.notifications.facts import Facts
from marketplace.notifications.notices import NAME_THE_ADDRESS, Template, buyer_of, holds, team_of
from marketplace.notifications.preferences import SECRET_BYTES, Preferences, is_token_of, user_of_token
from marketplace.orders.delivery import Address

MOST_COUNTED: Final = 100
"""Unread ones beyond that are not counted."""

_STORE: Final = "store:"
KNOWN_TEMPLATES: Final = {"$in": sorted(template.value for template in Template)}
"""A later version may have written others; this one does not show them."""


@dataclass(frozen=True)
class Notification:
    """A notification.

    Attributes:
        id: Its id.
        template: What it is about.
        facts: What it says of that.
        at_ms: When it was written, epoch milliseconds.
        unread: Whether its recipient has not read it.
    """

    id: str
    template: Template
    facts: Facts
    at_ms: int
    unread: bool


@dataclass(frozen=True)
class Deliverable:
    """What a mail about a notification is made of.

    Attributes:
        to: The address, as the account has it now.
        user: The id of the account.
        secret: Of the links of its mails.
        template: What it is about.
        facts: What it says of that.
    """

    to: str
    user: str
    secret: bytes
    template: Template
    facts: Facts


class Notifications:
    """The collections ``notifications`` and ``notification_preferences``.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Documents, database: str) -> None:
        self._client, mongo = client, client[database]
        self._rows, self._preferences = mongo[NOTIFICATIONS.name], mongo[NOTIFICATION_PREFERENCES.name]
        self._users, self._mails = mongo[USERS.name], mongo[MAILS.name]
        self._orders, self._memberships = mongo[ORDERS.name], mongo[MEMBERSHIPS.name]
        self._stores = mongo[STORES.name]

    async def of_user(self, user: str, after: tuple[int, str] | None, limit: int) -> list[Notification]:
        """Notifications of an account, the newest first.

        Args:
            user: The id.
            after: The time and the id of the last one of the page before.
            limit: At most so many.

        Raises:
            Unavailable: Mongo does not answer.
        """
        return await self._page(buyer_of(user), after, limit)

    async def of_store(self, slug: str, after: tuple[int, str] | None, limit: int) -> list[Notification]:
        """Notifications of a store; see :meth:`of_user`."""
        return await self._page(team_of(slug), after, limit)

    async def unread(self, user: str) -> int:
        """How many an account has not read, up to :data:`MOST_COUNTED`.

        Raises:
            Unavailable: Mongo does not answer.
        """
        async with answering():
            new = {"recipient": buyer_of(user), "unread": True, "template": KNOWN_TEMPLATES}
            return int(await self._rows.count_documents(new, limit=MOST_COUNTED))

    async def read(self, user: str, until: str) -> None:
        """Note that an account has read a notification and all that were written before it.

        Args:
            user: The id.
            until: The id of the notification; one that is none of its own changes nothing.

        Raises:
            NoSuchUser: The account is banned or deleted by now.
            Unavailable: Mongo does not answer; it may have happened.
        """
        own = {"recipient": buyer_of(user)}

        async def work(session: AsyncClientSession) -> None:
            await lock_account(self._users, user, session)
            last = await self._rows.find_one({"_id": until, **own}, session=session)
            if last is not None:
                older = {**own, "unread": True, "at_ms": {"$lte": last["at_ms"]}}
                await self._rows.update_many(older, {"$set": {"unread": False}}, session=session)

        await in_transaction(self._client, work)

    async def preferences(self, user: str) -> Preferences:
        """What an account wants by mail.

        Raises:
            Unavailable: Mongo does not answer.
        """
        async with answering():
            return _preferences_of(await self._preferences.find_one({"_id": user}))

    async def set_preferences(self, user: str, wanted: Preferences) -> None:
        """Keep what an account wants by mail; it counts for mails that wait already.

        Raises:
            NoSuchUser: The account is banned or deleted by now.
            Unavailable: Mongo does not answer; it may have happened.
        """

        async def work(session: AsyncClientSession) -> None:
            await lock_account(self._users, user, session)
            await self._keep(user, {"orders_by_mail": wanted.orders_by_mail}, session)

        await in_transaction(self._client, work)

    async def preferences_of_token(self, token: str) -> Preferences | None:
        """What the account of a mail's link wants; None where the link is none, or the account is deleted.

        Raises:
            Unavailable: Mongo does not answer.
        """
        found = await self._of_token(token)
        return None if found is None else _preferences_of(found)

    async def set_by_token(self, token: str, wanted: Preferences) -> bool:
        """Keep what the account of a mail's link wants; returns False where the link is none.

        Raises:
            Unavailable: Mongo does not answer; it may have happened.
        """
        found = await self._of_token(token)
        if found is None:
            return False
        async with answering():
            # It makes no document: the account may have been deleted since.
            done = await self._preferences.update_one(
                {"_id": found["_id"], "secret": found["secret"]}, {"$set": {"orders_by_mail": wanted.orders_by_mail}}
            )
        return done.matched_count > 0

    async def deliverable(self, notice: str, user: str) -> Deliverable | None:
        """What a mail is made of now; None where it is not to be sent any more.

        That is so where the account is deleted, wants none, or works for the store no more, and where what the
        notification says is not so any more.

        Args:
            notice: The id of the notification.
            user: The id of the account.

        Raises:
            Unavailable: Mongo does not answer.
        """
        async with answering():
            row = await self._rows.find_one({"_id": notice})
            account = await self._users.find_one({"_id": user})
            if row is None or account is None:
                return None
            found, recipient = notification_of(row), str(row["recipient"])
            if recipient.startswith(_STORE) and not await self._owns(recipient.removeprefix(_STORE), account):
                return None
            facts = found.facts if not found.facts.order else await self._facts_now(found)
            if facts is None:
                return None
            if not recipient.startswith(_STORE):
                facts = msgspec.structs.replace(facts, contact=await self._contact(facts.store))
            kept = await self._preferences.find_one({"_id": user})
        if not _preferences_of(kept).orders_by_mail:
            return None
        secret = await self._new_secret(user) if kept is None or "secret" not in kept else bytes(kept["secret"])
        return Deliverable(account["email"], user, secret, found.template, facts)

    async def forget(self, user: str, session: AsyncClientSession) -> None:
        """Delete what belongs to an account, in the transaction that deletes it."""
        await self._rows.delete_many({"recipient": buyer_of(user)}, session=session)
        await self._preferences.delete_one({"_id": user}, session=session)
        await self._mails.delete_many({"user": user}, session=session)

    async def _page(self, recipient: str, after: tuple[int, str] | None, limit: int) -> list[Notification]:
        query: dict[str, Any] = {"recipient": recipient, "template": KNOWN_TEMPLATES}
        if after is not None:
            at, last = after
            query |= {"at_ms": {"$lte": at}, "$or": [{"at_ms": {"$lt": at}}, {"at_ms": at, "_id": {"$gt": last}}]}
        async with answering():
            rows = await self._rows.find(query).sort([("at_ms", -1), ("_id", 1)]).limit(limit).to_list()
        return [notification_of(row) for row in rows]

    async def _owns(self, slug: str, account: Mapping[str, Any]) -> bool:
        if account.get("banned"):
            return False
        member = {"_id": f"{slug}:{account['_id']}", "role": StoreRole.OWNER.value}
        return await self._memberships.find_one(member, {"_id": 1}) is not None

    async def _facts_now(self, found: Notification) -> Facts | None:
        """What the mail of a notification says now; None where what the notification says is not so any more."""
        order, facts = await self._orders.find_one({"_id": found.facts.order}), found.facts
        if order is None:
            return None
        if not holds(found.template, facts.amount_minor, order_of(order), facts.refund, facts.reversals):
            return None
        if found.template not in NAME_THE_ADDRESS or not order.get("delivery"):
            return facts
        return msgspec.structs.replace(facts, goes_to=Address(**order["delivery"]).lines)

    async def _contact(self, slug: str) -> str:
        """The mail address that buyers of a store write to; empty where it has none, or was deleted."""
        found = await self._stores.find_one({"_id": slug, **ALIVE}, {"contact": 1}) or {}
        try:
            return checked_email(str(found.get("contact") or ""))
        except InvalidEmail:
            return ""

    async def _new_secret(self, user: str) -> bytes:
        """The secret of an account that has none yet, which is kept only while there is the account."""
        made = secrets.token_bytes(SECRET_BYTES)

        async def work(session: AsyncClientSession) -> bytes:
            await self._users.update_one({"_id": user}, {"$inc": {"ownership_revision": 1}}, session=session)
            found = await self._preferences.find_one({"_id": user}, session=session)
            if found is not None and "secret" in found:
                return bytes(found["secret"])
            if await self._users.find_one({"_id": user}, {"_id": 1}, session=session) is not None:
                await self._keep(user, {"secret": made}, session)
            return made

        return await in_transaction(self._client, work)

    async def _keep(self, user: str, fields: Mapping[str, Any], session: AsyncClientSession) -> None:
        # Whoever writes it has changed the account in the same transaction, so that no two of them meet here.
        if await self._preferences.find_one({"_id": user}, {"_id": 1}, session=session) is None:
            await self._preferences.insert_one({"_id": user, **fields}, session=session)
        else:
            await self._preferences.update_one({"_id": user}, {"$set": dict(fields)}, session=session)

    async def _of_token(self, token: str) -> dict[str, Any] | None:
        user = user_of_token(token)
        async with answering():
            found = await self._preferences.find_one({"_id": user}) if user else None
        if found is None or not is_token_of(token, user, bytes(found.get("secret", b""))):
            return None
        return found if found.get("secret") else None


def notification_of(row: Mapping[str, Any]) -> Notification:
    """The notification of a document."""
    facts = msgspec.convert(row["facts"], Facts)
    return Notification(row["_id"], Template(row["template"]), facts, row["at_ms"], bool(row["unread"]))


def _preferences_of(found: Mapping[str, Any] | None) -> Preferences:
    return Preferences() if found is None else Preferences(bool(found.get("orders_by_mail", True)))
