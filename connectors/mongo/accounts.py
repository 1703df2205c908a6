"""Accounts in Mongo, with the links that prove an address and the mails that carry them."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from pymongo import ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from connectors.errors import Refused
from connectors.mongo.async_client import Documents, answering, in_transaction
from connectors.mongo.times import milliseconds
from marketplace.collections import LINKS, MAILS, USERS
from marketplace.identity.accounts import LINK_SECONDS, LinkKind, Mail, Registration, User
from marketplace.identity.emails import email_key

_MAIL_DAYS: Final = 3
"""A mail that no server has taken by then is given up: its link has expired long before."""


LeaveStores = Callable[[str, AsyncClientSession], Awaitable[list[str]]]
"""See :meth:`connectors.mongo.memberships.Memberships.leave_all`."""

Forget = Callable[[str, AsyncClientSession], Awaitable[None]]
"""Deletes what belongs to an account alone, in the transaction that deletes it."""


def forgetting(*several: Forget) -> Forget:
    """All of these, one after the other."""

    async def forget(user: str, session: AsyncClientSession) -> None:
        for each in several:
            await each(user, session)

    return forget


class SoleOwner(Refused):
    """Stores would be without an owner.

    Args:
        stores: Their slugs.
    """

    def __init__(self, stores: list[str]) -> None:
        super().__init__(f"these stores would have no owner: {', '.join(sorted(stores))}")


class Accounts:
    """Makes and changes accounts; what belongs together is one transaction.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
        leave_stores: Ends an account's memberships in the transaction that deletes it, and gives the stores that would
            have no owner then.
        forget: Deletes what else belongs to an account, in the same transaction.
    """

    def __init__(
        self,
        client: Documents,
        database: str,
        leave_stores: LeaveStores | None = None,
        forget: Forget | None = None,
    ) -> None:
        self._client, self._leave_stores, self._forget = client, leave_stores, forget
        mongo = client[database]
        self._users, self._links, self._mails = mongo[USERS.name], mongo[LINKS.name], mongo[MAILS.name]

    async def get(self, user: str) -> User | None:
        """The account of that id.

        Raises:
            Unavailable: Mongo does not answer.
        """
        return await self._find({"_id": user})

    async def get_all(self, users: Collection[str]) -> dict[str, User | Exception]:
        """The accounts of these ids that there are; instead of one whose document is not valid, what is wrong with it.

        Raises:
            Unavailable: Mongo does not answer.
        """
        async with answering():
            documents = await self._users.find({"_id": {"$in": sorted(users)}}).to_list()
        found: dict[str, User | Exception] = {}
        for document in documents:
            try:
                found[document["_id"]] = user_of(document)
            except (KeyError, ValueError, TypeError) as error:
                found[document["_id"]] = error
        return found

    async def by_email(self, address: str) -> User | None:
        """The account of that address, however its letters are written.

        Raises:
            Unavailable: Mongo does not answer.
        """
        return await self._find({"email_key": email_key(address)})

    async def register(self, registration: Registration, link_hash: str, mail: Mail, now: datetime) -> None:
        """Keep a registration until its address is proved, and the mail that asks for it.

        It is the same work whether the address has an account or not: then the mail says so, and the link is good for
        nothing.

        Raises:
            Unavailable: Mongo does not answer; the mail may come nevertheless.
        """
        subject = email_key(registration.email)
        document = link_document(LinkKind.REGISTRATION, link_hash, subject, asdict(registration), now)

        async def work(session: AsyncClientSession) -> None:
            await self._links.insert_one(document, session=session)
            await self._mails.insert_one(mail_document(mail, now), session=session)

        await in_transaction(self._client, work)

    async def confirm_registration(self, link_hash: str, user_id: str, now: datetime) -> User | None:
        """Make the account of a registration whose link was followed.

        All other registrations of the address end.

        Returns:
            The account; None where the link is unknown, used or expired, or the address has an account by now.

        Raises:
            Unavailable: Mongo does not answer; whether the account was made shows when the link is followed again.
        """

        async def work(session: AsyncClientSession) -> User | None:
            data = await self._take_link(LinkKind.REGISTRATION, link_hash, now, session)
            if data is None:
                return None
            registration = Registration(**data)
            user = User(user_id, registration.email, registration.name, registration.password_hash, milliseconds(now))
            await self._users.insert_one(user_document(user), session=session)
            await self._links.delete_many(
                {"kind": LinkKind.REGISTRATION.value, "subject": user.email_key}, session=session
            )
            return user

        try:
            return await in_transaction(self._client, work)
        except DuplicateKeyError:
            return None

    async def send_link(
        self,
        kind: LinkKind,
        link_hash: str,
        user: str,
        data: Mapping[str, Any],
        mail: Mail,
        now: datetime,
        notice: Mail | None = None,
    ) -> None:
        """Keep a link for an account, and the mail that carries it.

        Args:
            kind: What the link is good for.
            link_hash: Of its secret.
            user: Whose account; empty for a link that is good for nothing.
            data: What is done when it is followed. ``security_stamp`` is the account's: under another one it is void.
            mail: Carries the secret.
            now: The time.
            notice: A further mail that goes with it.

        Raises:
            Unavailable: Mongo does not answer; the mail may come nevertheless.
        """
        link = link_document(kind, link_hash, user, {**data, "user": user}, now)
        mails = [mail_document(each, now) for each in (mail, notice) if each is not None]

        async def work(session: AsyncClientSession) -> None:
            await self._links.insert_one(link, session=session)
            await self._mails.insert_many(mails, session=session)

        await in_transaction(self._client, work)

    async def send(self, mail: Mail, now: datetime) -> None:
        """Keep a mail until it is sent.

        Raises:
            Unavailable: Mongo does not answer; it may come nevertheless.
        """
        async with answering():
            await self._mails.insert_one(mail_document(mail, now))

    async def by_link(self, kind: LinkKind, link_hash: str, now: datetime) -> User | None:
        """The account that a link was sent to; the link is not used by that.

        Returns:
            The account; None where the link is unknown, used, void or expired.

        Raises:
            Unavailable: Mongo does not answer.
        """
        async with answering():
            found = await self._links.find_one({"_id": link_hash, "kind": kind.value, "expires_at": {"$gt": now}})
        if found is None:
            return None
        return await self._find({"_id": found["data"]["user"], "security_stamp": found["data"]["security_stamp"]})

    async def reset_password(
        self, link_hash: str, password_hash: str, notice: Callable[[User], Mail], now: datetime
    ) -> User | None:
        """Set the password of the account that a link was sent to; all that was given out before ends.

        Args:
            link_hash: Of the link's secret.
            password_hash: The new one.
            notice: The mail about it, to the account as it is now.
            now: The time.

        Returns:
            The account as it is now; None where the link is unknown, used, void or expired.

        Raises:
            Unavailable: Mongo does not answer; it may have happened.
        """

        async def work(session: AsyncClientSession) -> User | None:
            data = await self._take_link(LinkKind.RESET, link_hash, now, session)
            if data is None:
                return None
            change = {"password_hash": password_hash}
            changed = await self._end_all(data["user"], data["security_stamp"], change, session)
            if changed is not None:
                await self._mails.insert_one(mail_document(notice(changed), now), session=session)
            return changed

        return await in_transaction(self._client, work)

    async def change_password(
        self, user: str, security_stamp: int, password_hash: str, notice: Mail, now: datetime
    ) -> User | None:
        """Set a password; all that was given out before ends.

        Args:
            user: Whose.
            security_stamp: Of the account when its owner proved to be it.
            password_hash: The new one.
            notice: The mail about it.
            now: The time.

        Returns:
            The account as it is now; None where another change was faster, or the account is gone.

        Raises:
            Unavailable: Mongo does not answer; it may have happened.
        """

        async def work(session: AsyncClientSession) -> User | None:
            changed = await self._end_all(user, security_stamp, {"password_hash": password_hash}, session)
            if changed is not None:
                await self._mails.insert_one(mail_document(notice, now), session=session)
            return changed

        return await in_transaction(self._client, work)

    async def change_email(self, link_hash: str, notice: Mail, now: datetime) -> User | None:
        """Give an account the address that a link was sent to; all that was given out before ends.

        Args:
            link_hash: Of the link's secret.
            notice: The mail about it; it goes to the former address, and ``name`` is put into its values.
            now: The time.

        Returns:
            The account as it is now; None where the link is unknown, used, void or expired, or another account has the
            address by now.

        Raises:
            Unavailable: Mongo does not answer; it may have happened.
        """

        async def work(session: AsyncClientSession) -> User | None:
            data = await self._take_link(LinkKind.EMAIL_CHANGE, link_hash, now, session)
            if data is None:
                return None
            before = await self._users.find_one({"_id": data["user"]}, session=session)
            change = {"email": data["email"], "email_key": email_key(data["email"])}
            changed = await self._end_all(data["user"], data["security_stamp"], change, session)
            if before is None or changed is None:
                return None
            values = {**notice.values, "name": changed.name}
            await self._mails.insert_one(
                mail_document(replace(notice, to=before["email"], values=values), now), session=session
            )
            return changed

        try:
            return await in_transaction(self._client, work)
        except DuplicateKeyError:
            return None

    async def end_all(self, user: str, security_stamp: int | None = None) -> User | None:
        """Let all that was given out end: sessions and links.

        Args:
            user: Whose.
            security_stamp: Of the account as far as the caller knows; with another one nothing happens. None for any.

        Returns:
            The account as it is now; None where it has another number, or is gone.

        Raises:
            Unavailable: Mongo does not answer; it may have happened.
        """
        return await in_transaction(self._client, lambda session: self._end_all(user, security_stamp, {}, session))

    async def set_banned(self, user: str, *, banned: bool) -> User | None:
        """Shut an account out, or let it in again; all that was given out before ends, and stays so.

        Returns:
            The account as it is now; None where it is gone.

        Raises:
            Unavailable: Mongo does not answer; it may have happened.
        """
        change = {"banned": banned}
        return await in_transaction(self._client, lambda session: self._end_all(user, None, change, session))

    async def set_admin(self, user: str, *, admin: bool) -> User | None:
        """Make the owner of an account an admin of the platform, or none; it counts half a second later at the latest.

        Returns:
            The account as it is now; None where it is gone.

        Raises:
            Unavailable: Mongo does not answer; it may have happened.
        """
        async with answering():
            found = await self._users.find_one_and_update(
                {"_id": user}, {"$set": {"admin": admin}}, return_document=ReturnDocument.AFTER
            )
        return None if found is None else user_of(found)

    async def has_any(self) -> bool:
        """Whether there is any account.

        Raises:
            Unavailable: Mongo does not answer.
        """
        return await self._find({}) is not None

    async def has_admin(self) -> bool:
        """Whether anybody is an admin of the platform.

        Raises:
            Unavailable: Mongo does not answer.
        """
        return await self._find({"admin": True}) is not None

    async def delete(self, user: str, security_stamp: int, notice: Mail, now: datetime) -> bool:
        """Delete an account, its memberships and its links; its address is free from now on, its id never used again.

        Args:
            user: Whose.
            security_stamp: Of the account when its owner proved to be it.
            notice: The mail about it.
            now: The time.

        Returns:
            Whether there was an account with that number.

        Raises:
            SoleOwner: Stores would have no owner; nothing was changed.
            Unavailable: Mongo does not answer; it may have happened.
        """

        async def work(session: AsyncClientSession) -> bool:
            found = await self._users.find_one_and_delete(
                {"_id": user, "security_stamp": security_stamp}, session=session
            )
            if found is None:
                return False
            alone = await self._leave_stores(user, session) if self._leave_stores else []
            if alone:
                raise SoleOwner(alone)
            await self._delete_links(user, session)
            if self._forget:
                await self._forget(user, session)
            registration = {"kind": LinkKind.REGISTRATION.value, "subject": found["email_key"]}
            await self._links.delete_many(registration, session=session)
            await self._mails.insert_one(mail_document(notice, now), session=session)
            return True

        return await in_transaction(self._client, work)

    async def raise_hash(self, user: str, old_hash: str, new_hash: str) -> None:
        """Replace a hash by one of the same password, unless the password was changed meanwhile.

        Raises:
            Unavailable: Mongo does not answer; it may have happened.
        """
        async with answering():
            await self._users.update_one(
                {"_id": user, "password_hash": old_hash}, {"$set": {"password_hash": new_hash}}
            )

    async def _end_all(
        self, user: str, security_stamp: int | None, change: Mapping[str, Any], session: AsyncClientSession
    ) -> User | None:
        """Change an account so that nothing of what was given out before is worth anything."""
        found = await self._users.find_one_and_update(
            {"_id": user} if security_stamp is None else {"_id": user, "security_stamp": security_stamp},
            {"$set": dict(change), "$inc": {"security_stamp": 1}} if change else {"$inc": {"security_stamp": 1}},
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        if found is None:
            return None
        await self._delete_links(user, session)
        return user_of(found)

    async def _delete_links(self, user: str, session: AsyncClientSession) -> None:
        """Delete what is void: one that is written at this moment carries a number that is over."""
        kinds = [LinkKind.RESET.value, LinkKind.EMAIL_CHANGE.value]
        await self._links.delete_many({"kind": {"$in": kinds}, "subject": user}, session=session)

    async def _take_link(
        self, kind: LinkKind, link_hash: str, now: datetime, session: AsyncClientSession
    ) -> dict[str, Any] | None:
        # Mongo deletes expired ones some time later: until then they are there and count for nothing.
        found = await self._links.find_one_and_delete(
            {"_id": link_hash, "kind": kind.value, "expires_at": {"$gt": now}}, session=session
        )
        return None if found is None else dict(found["data"])

    async def _find(self, question: Mapping[str, object]) -> User | None:
        async with answering():
            found = await self._users.find_one(question)
        return None if found is None else user_of(found)


def link_document(
    kind: LinkKind, link_hash: str, subject: str, data: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    """A link as it is kept.

    Args:
        kind: What it is good for.
        link_hash: Of its secret.
        subject: Whose it is: an account's id, the key of an address, or of an invitation the store's slug.
        data: What is done when it is followed.
        now: The time.
    """
    return {
        "_id": link_hash,
        "kind": kind.value,
        "subject": subject,
        "data": dict(data),
        "created_at": now,
        "expires_at": now + timedelta(seconds=LINK_SECONDS[kind]),
    }


def mail_document(mail: Mail, now: datetime) -> dict[str, Any]:
    """A mail as it waits to be sent."""
    return {
        "_id": uuid.uuid4().hex,
        **asdict(mail),
        "attempts": 0,
        "next_attempt_at": now,
        "expires_at": now + timedelta(days=_MAIL_DAYS),
    }


def user_document(user: User) -> dict[str, Any]:
    """An account as it is kept."""
    fields = asdict(replace(user, grants=()))
    grants = [{"tier": grant.tier.value, "since": grant.since, "until": grant.until} for grant in user.grants]
    return {"_id": fields.pop("id"), **fields, "email_key": user.email_key, "grants": grants}


def user_of(document: Mapping[str, Any]) -> User:
    """The account of a document."""
    fields = {name: value for name, value in document.items() if name not in ("_id", "email_key")}
    return msgspec.convert({"id": document["_id"], **fields}, User)
