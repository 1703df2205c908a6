"""Accounts in Mongo, with the links that prove an address and the mails that carry them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from pymongo import ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from connectors.mongo.async_client import Documents, answering, in_transaction
from marketplace.collections import LINKS, MAILS, USERS
from marketplace.identity.accounts import LINK_SECONDS, LinkKind, Mail, Registration, User
from marketplace.identity.emails import email_key

_MAIL_DAYS: Final = 3
"""A mail that no server has taken by then is given up: its link has expired long before."""


class Accounts:
    """Makes and changes accounts; what belongs together is one transaction.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Documents, database: str) -> None:
        self._client = client
        mongo = client[database]
        self._users, self._links, self._mails = mongo[USERS.name], mongo[LINKS.name], mongo[MAILS.name]

    async def get(self, user: str) -> User | None:
        """The account of that id.

        Raises:
            Unavailable: Mongo does not answer.
        """
        return await self._find({"_id": user})

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
        document = _link(LinkKind.REGISTRATION, link_hash, email_key(registration.email), asdict(registration), now)

        async def work(session: AsyncClientSession) -> None:
            await self._links.insert_one(document, session=session)
            await self._mails.insert_one(_mail(mail, now), session=session)

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
            user = User(user_id, registration.email, registration.name, registration.password_hash, _milliseconds(now))
            await self._users.insert_one(_document(user), session=session)
            await self._links.delete_many(
                {"kind": LinkKind.REGISTRATION.value, "subject": user.email_key}, session=session
            )
            return user

        try:
            return await in_transaction(self._client, work)
        except DuplicateKeyError:
            return None

    async def send_link(
        self, kind: LinkKind, link_hash: str, user: str, data: Mapping[str, str], mail: Mail, now: datetime
    ) -> None:
        """Keep a link for an account, and the mail that carries it.

        Raises:
            Unavailable: Mongo does not answer; the mail may come nevertheless.
        """

        async def work(session: AsyncClientSession) -> None:
            await self._links.insert_one(_link(kind, link_hash, user, {**data, "user": user}, now), session=session)
            await self._mails.insert_one(_mail(mail, now), session=session)

        await in_transaction(self._client, work)

    async def send(self, mail: Mail, now: datetime) -> None:
        """Keep a mail until it is sent.

        Raises:
            Unavailable: Mongo does not answer; it may come nevertheless.
        """
        async with answering():
            await self._mails.insert_one(_mail(mail, now))

    async def reset_password(self, link_hash: str, password_hash: str, now: datetime) -> User | None:
        """Set the password of the account that a link was sent to; its other links to do so end.

        Returns:
            The account as it is now; None where the link is unknown, used or expired.

        Raises:
            Unavailable: Mongo does not answer; it may have happened.
        """

        async def work(session: AsyncClientSession) -> User | None:
            data = await self._take_link(LinkKind.RESET, link_hash, now, session)
            if data is None:
                return None
            await self._links.delete_many({"kind": LinkKind.RESET.value, "subject": data["user"]}, session=session)
            return await self._set_password(data["user"], password_hash, session)

        return await in_transaction(self._client, work)

    async def set_password(self, user: str, password_hash: str) -> User | None:
        """Set a password; what was given out before ends with it, links to reset it too.

        Raises:
            Unavailable: Mongo does not answer; it may have happened.
        """

        async def work(session: AsyncClientSession) -> User | None:
            await self._links.delete_many({"kind": LinkKind.RESET.value, "subject": user}, session=session)
            return await self._set_password(user, password_hash, session)

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

    async def _set_password(self, user: str, password_hash: str, session: AsyncClientSession) -> User | None:
        found = await self._users.find_one_and_update(
            {"_id": user},
            {"$set": {"password_hash": password_hash}, "$inc": {"authority": 1}},
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        return None if found is None else _user(found)

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
        return None if found is None else _user(found)


def _link(kind: LinkKind, link_hash: str, subject: str, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {
        "_id": link_hash,
        "kind": kind.value,
        "subject": subject,
        "data": dict(data),
        "created_at": now,
        "expires_at": now + timedelta(seconds=LINK_SECONDS[kind]),
    }


def _mail(mail: Mail, now: datetime) -> dict[str, Any]:
    return {
        "_id": uuid.uuid4().hex,
        **asdict(mail),
        "attempts": 0,
        "next_attempt_at": now,
        "expires_at": now + timedelta(days=_MAIL_DAYS),
    }


def _document(user: User) -> dict[str, Any]:
    fields = asdict(replace(user, grants=()))
    grants = [{"tier": grant.tier.value, "since": grant.since, "until": grant.until} for grant in user.grants]
    return {"_id": fields.pop("id"), **fields, "email_key": user.email_key, "grants": grants}


def _user(document: Mapping[str, Any]) -> User:
    fields = {name: value for name, value in document.items() if name not in ("_id", "email_key")}
    return msgspec.convert({"id": document["_id"], **fields}, User)


def _milliseconds(now: datetime) -> int:
    return int(now.astimezone(UTC).timestamp() * 1000)


# For the collections of tenancy, which keep invitations as links, send mails and read accounts.
link_document, mail_document, user_of = _link, _mail, _user
