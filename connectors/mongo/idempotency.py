"""Idempotency keys in Mongo: one attempt at a time has a key, and its answer is written with what it changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from connectors.errors import Unavailable
from connectors.mongo.async_client import Documents, answering
from connectors.mongo.times import milliseconds
from marketplace.collections import IDEMPOTENCY_KEYS
from marketplace.idempotency import KEPT_SECONDS, LEASE_SECONDS, Attempt, LeaseLost, Next, StoredAnswer, next_of

_ATTEMPTS = 5

Session = AsyncClientSession
"""Of a transaction, for those who pass it on."""

T = TypeVar("T")
AnswerOf = Callable[[T], StoredAnswer]
"""Makes the answer of what was done."""


@dataclass(frozen=True)
class Begun:
    """What a request gets, and what was kept of its key before.

    Attributes:
        next: What it gets.
        kept: None where nothing was kept.
    """

    next: Next
    kept: Attempt | None


class IdempotencyKeys:
    """The collection ``idempotency_keys``.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Documents, database: str) -> None:
        self._keys = client[database][IDEMPOTENCY_KEYS.name]

    async def begin(self, row: str, fingerprint: str, owner: str, now: datetime) -> Begun:
        """Take a key for an attempt, if nobody else has it.

        Args:
            row: The id of the key's document.
            fingerprint: Of the request.
            owner: Names the attempt; no other one has the name.
            now: The time.

        Raises:
            Unavailable: Mongo does not answer, or others come in between too often; it may be taken.
        """
        lease = milliseconds(now) + LEASE_SECONDS * 1_000
        document = {
            "_id": row, "fingerprint": fingerprint, "owner": owner, "lease_until_ms": lease, "answer": None,
            "expires_at": now + timedelta(seconds=KEPT_SECONDS),
        }  # fmt: skip
        for _ in range(_ATTEMPTS):
            async with answering():
                try:
                    await self._keys.insert_one(dict(document))
                except DuplicateKeyError:
                    found = await self._keys.find_one({"_id": row})
                else:
                    return Begun(Next.WORK, None)
                if found is None:
                    continue  # its attempt has just given it up
                if milliseconds(found["expires_at"]) <= milliseconds(now):
                    # Mongo deletes expired ones some time later.
                    await self._keys.delete_one({"_id": row, "owner": found["owner"]})
                    continue
                kept = _attempt(found)
                what = next_of(kept, fingerprint, milliseconds(now))
                if what is not Next.WORK:
                    return Begun(what, kept)
                taken = await self._keys.replace_one({"_id": row, "owner": kept.owner, "answer": None}, document)
            if taken.modified_count:
                return Begun(Next.WORK, kept)
        raise Unavailable("others take the same key again and again")

    async def give_up(self, row: str, owner: str) -> None:
        """Forget an attempt that has changed nothing; one that is done, or another one's, stays.

        It is safe also where it is not known whether the attempt was done: that writes the same document, so this
        follows it.

        Raises:
            Unavailable: Mongo does not answer; it is another one's turn after the lease then.
        """
        async with answering():
            await self._keys.delete_one({"_id": row, "owner": owner, "answer": None})

    async def forget(self, account: str, session: AsyncClientSession) -> None:
        """Delete all keys of an account, in the transaction that deletes it: answers say where people live."""
        # A semicolon follows a colon.
        own = {"_id": {"$gte": f"user:{account}:", "$lt": f"user:{account};"}}
        await self._keys.delete_many(own, session=session)

    async def keep(self, row: str, owner: str, answer: StoredAnswer, session: AsyncClientSession) -> None:
        """Keep an answer, in the transaction that did what it says.

        Raises:
            LeaseLost: Another attempt has the key: the transaction must not be committed.
        """
        kept = {"status": answer.status, "body": answer.body, "location": answer.location}
        mine = {"_id": row, "owner": owner, "answer": None}
        done = await self._keys.update_one(mine, {"$set": {"answer": kept}}, session=session)
        if done.matched_count != 1:
            raise LeaseLost("another request of the same key is at it")


@dataclass(frozen=True)
class Claim:
    """The key of one attempt, for the transaction that does its work.

    Attributes:
        keys: Where it is kept.
        row: The id of its document.
        owner: Names the attempt.
    """

    keys: IdempotencyKeys
    row: str
    owner: str

    async def keep(self, answer: StoredAnswer, session: AsyncClientSession) -> None:
        """See :meth:`IdempotencyKeys.keep`."""
        await self.keys.keep(self.row, self.owner, answer, session)


def _attempt(document: Mapping[str, Any]) -> Attempt:
    answer = document["answer"]
    return Attempt(
        document["fingerprint"],
        document["owner"],
        document["lease_until_ms"],
        None if answer is None else StoredAnswer(answer["status"], answer["body"], answer["location"]),
    )
