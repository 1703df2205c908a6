"""Mails that wait in Mongo: who sends one takes it for a while, and deletes it when a server has it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pymongo import ReturnDocument

from connectors.mongo.async_client import Documents, answering
from marketplace.collections import MAILS
from marketplace.identity.accounts import Mail

TAKEN_SECONDS: Final = 60.0
"""A mail whose sender died is sent by another one after this."""

_LONGEST_SECONDS: Final = 1_800.0


@dataclass(frozen=True)
class WaitingMail:
    """A mail that was taken to be sent.

    Attributes:
        id: Its id, the same at every attempt.
        mail: What it says; of a notification, nothing but its template.
        attempts: How often it was taken, this time included.
        notice: The id of the notification that it is about; empty for none.
        user: The id of the account that gets the notification.
    """

    id: str
    mail: Mail
    attempts: int
    notice: str = ""
    user: str = ""


class MailQueue:
    """Takes and finishes mails; any number of processes may.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Documents, database: str) -> None:
        self._mails = client[database][MAILS.name]

    async def take(self, now: datetime) -> WaitingMail | None:
        """The mail that waits longest of those with the lowest rank; nobody else gets it for a minute.

        Raises:
            Unavailable: Mongo does not answer.
        """
        async with answering():
            found = await self._mails.find_one_and_update(
                {"next_attempt_at": {"$lte": now}},
                {"$set": {"next_attempt_at": now + timedelta(seconds=TAKEN_SECONDS)}, "$inc": {"attempts": 1}},
                # What has no rank comes before what has one.
                sort=[("rank", 1), ("next_attempt_at", 1)],
                return_document=ReturnDocument.AFTER,
            )
        if found is None:
            return None
        mail = Mail(found["to"], found["template"], found["values"])
        return WaitingMail(found["_id"], mail, found["attempts"], found.get("notice", ""), found.get("user", ""))

    async def count(self) -> int:
        """How many wait, those among them that somebody is sending.

        Raises:
            Unavailable: Mongo does not answer.
        """
        async with answering():
            return int(await self._mails.estimated_document_count())

    async def finish(self, mail: WaitingMail) -> bool:
        """Delete a mail: it was sent, or never can be; returns False where it was deleted before.

        Raises:
            Unavailable: Mongo does not answer; it will be sent again.
        """
        async with answering():
            done = await self._mails.delete_one({"_id": mail.id})
        return done.deleted_count > 0

    async def put_off(self, mail: WaitingMail, now: datetime) -> bool:
        """Try again later, each time after a longer while; returns whether it has not expired until then.

        Raises:
            Unavailable: Mongo does not answer; it is tried again after a minute.
        """
        later = now + timedelta(seconds=min(2.0 ** min(mail.attempts, 16), _LONGEST_SECONDS))
        async with answering():
            done = await self._mails.update_one(
                {"_id": mail.id, "expires_at": {"$gt": later}}, {"$set": {"next_attempt_at": later}}
            )
        return done.matched_count > 0
