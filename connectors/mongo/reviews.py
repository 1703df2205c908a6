"""Reviews in Mongo: each change is one transaction with the counters of the product's stars.

Who writes is locked first, so that an account that is banned or deleted at that moment changes nothing afterwards. Two
changes of one review, and two that count for one product, conflict at its document and follow each other.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from connectors.mongo.async_client import Documents, answering, in_transaction
from connectors.mongo.review_documents import key_of, review_document, review_of
from connectors.mongo.tenants import ALIVE, check_permission, lock_account
from connectors.mongo.times import milliseconds
from connectors.mongo.turns import Turns
from marketplace.catalog.products import ProductState
from marketplace.collections import MEMBERSHIPS, PRODUCTS, REVIEW_REPORTS, REVIEW_VOTES, REVIEWS, STORES, USERS
from marketplace.identity.roles import Permission
from marketplace.identity.tenancy import NotAllowed
from marketplace.reviews.reviews import (
    Decision,
    NoSuchProduct,
    NoSuchReview,
    NotReviewed,
    OwnReview,
    OwnStore,
    OwnStoreVote,
    ReportReason,
    Review,
    ReviewState,
    decided,
    deleted,
    edited,
    replied,
    reported,
    stars_delta,
)


class Reviews:
    """Writes of the collections ``reviews``, ``review_votes`` and ``review_reports``.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Documents, database: str) -> None:
        self._client, self._turns = client, Turns()
        mongo = client[database]
        self._reviews, self._votes, self._reports = (
            mongo[each.name] for each in (REVIEWS, REVIEW_VOTES, REVIEW_REPORTS)
        )
        self._products, self._stores = mongo[PRODUCTS.name], mongo[STORES.name]
        self._users, self._memberships = mongo[USERS.name], mongo[MEMBERSHIPS.name]

    async def write(self, user: str, product: str, stars: int, text: str, now: datetime) -> Review:
        """Write somebody's review of a product, or change the one that there is.

        Args:
            user: The author's account.
            product: The product's id.
            stars: 1 to 5.
            text: Checked.
            now: The time.

        Raises:
            NoSuchProduct: There is no such product that can be seen; one that is archived keeps its reviews.
            OwnStore: The author works in its store.
            RemovedForGood: A moderator has removed the author's review.
            TooManyEdits: The review was changed too often.
            NoSuchUser: There is no such account any more, or it is banned.
            Unavailable: Mongo does not answer; it may be written.
        """
        new_id = secrets.token_hex(16)

        async def work(session: AsyncClientSession) -> Review:
            await lock_account(self._users, user, session)
            before = await self._find({"_id": key_of(product, user)}, session)
            sold = await self._products.find_one({"_id": product}, {"store": 1, "state": 1}, session=session)
            if sold is None or (before is None and sold["state"] != ProductState.ACTIVE.value):
                raise NoSuchProduct("there is no such product")
            if await self._stores.find_one({"_id": sold["store"], **ALIVE}, {"_id": 1}, session=session) is None:
                raise NoSuchProduct("there is no such product")
            if await self._works_in(sold["store"], user, session):
                raise OwnStore("who works in the store does not review its products")
            if before is None:
                after = Review(new_id, product, sold["store"], user, stars, text, milliseconds(now))
            else:
                after = edited(before, stars, text, milliseconds(now))
            await self._write(before, after, session)
            return after

        async with self._turns.of(f"user:{user}", f"product:{product}"):
            return await self._repeated(work)

    async def delete(self, user: str, product: str) -> None:
        """Delete somebody's own review.

        Raises:
            NotReviewed: There is none.
            NoSuchUser: There is no such account any more, or it is banned.
            Unavailable: Mongo does not answer; it may be gone.
        """

        async def work(session: AsyncClientSession) -> Review | None:
            await lock_account(self._users, user, session)
            before = await self._find({"_id": key_of(product, user)}, session)
            if before is None or before.withdrawn:
                raise NotReviewed("you have no review of this product")
            after = deleted(before)
            await self._write(before, after, session)
            return before if after is None else None

        async with self._turns.of(f"user:{user}", f"product:{product}"):
            gone = await in_transaction(self._client, work)
        if gone is not None:
            # Nothing refers to them any more, because a review that is written again gets another id: not in the
            # transaction, because there may be many.
            of_it = {"_id": {"$gte": f"{gone.id}:", "$lt": f"{gone.id};"}}
            async with answering():
                await self._votes.delete_many(of_it)

    async def vote(self, user: str, review: str, *, helpful: bool) -> Review:
        """Say once that a review was helpful, or take that back; done twice it is done once.

        Raises:
            NoSuchReview: There is none that can be seen.
            OwnReview: It is the own one.
            OwnStoreVote: Who votes works in the store.
            NoSuchUser: There is no such account any more, or it is banned.
            Unavailable: Mongo does not answer; it may be counted.
        """
        vote = {"_id": f"{review}:{user}", "review": review, "user": user}

        async def work(session: AsyncClientSession) -> Review:
            await lock_account(self._users, user, session)
            before = await self._visible(review, user, session)
            if await self._works_in(before.store, user, session):
                raise OwnStoreVote("who works in the store does not vote for reviews of its products")
            there = await self._votes.find_one({"_id": vote["_id"]}, session=session) is not None
            if there is helpful:
                return before
            if helpful:
                await self._votes.insert_one(dict(vote), session=session)
            else:
                await self._votes.delete_one({"_id": vote["_id"]}, session=session)
            await self._reviews.update_one({"id": review}, {"$inc": {"helpful": 1 if helpful else -1}}, session=session)
            return before

        async with self._turns.of(f"user:{user}", f"review:{review}"):
            return await self._repeated(work)

    async def report(self, user: str, review: str, reason: ReportReason, note: str, now: datetime) -> Review:
        """Report a review to the moderators; the second report of one account changes nothing.

        Raises:
            NoSuchReview: There is none that can be seen.
            OwnReview: It is the own one.
            NoSuchUser: There is no such account any more, or it is banned.
            Unavailable: Mongo does not answer; it may be written.
        """

        async def work(session: AsyncClientSession) -> Review:
            await lock_account(self._users, user, session)
            key = f"{review}:{user}"
            if await self._reports.find_one({"_id": key}, session=session) is not None:
                return await self._existing({"id": review}, session)
            before = await self._visible(review, user, session)
            counts = not await self._works_in(before.store, user, session)
            report = {
                "_id": key, "review": review, "user": user, "reason": reason.value, "note": note, "counts": counts,
                "at": milliseconds(now),
            }  # fmt: skip
            await self._reports.insert_one(report, session=session)
            after = reported(before, milliseconds(now), counts=counts)
            await self._write(before, after, session)
            return after

        async with self._turns.of(f"user:{user}", f"review:{review}"):
            return await self._repeated(work)

    async def reply(self, store: str, actor: str, review: str, text: str | None, now: datetime) -> Review:
        """Let a store answer a review, change its answer, or take it back.

        Args:
            store: The slug.
            actor: Who asks.
            review: The review's id.
            text: Checked; None for no answer.
            now: The time.

        Raises:
            NoSuchStore: There is no such store.
            NotAllowed: Who asks may not, by the role of now.
            NoSuchReview: There is none of a product of the store.
            Unavailable: Mongo does not answer; it may be written.
        """

        async def work(session: AsyncClientSession) -> Review:
            edit = Permission.EDIT_CATALOG
            await check_permission(self._stores, self._memberships, store, actor, edit, session)
            before = await self._existing({"id": review}, session)
            if before.store != store or before.state is ReviewState.REMOVED:
                raise NoSuchReview("there is no such review")
            after = _without_reply(before) if text is None else replied(before, text, actor, milliseconds(now))
            await self._write(before, after, session)
            return after

        return await in_transaction(self._client, work)

    async def decide(self, moderator: str, review: str, decision: Decision, now: datetime) -> Review:
        """Decide about a review.

        Raises:
            NotAllowed: Who asks is no admin any more.
            NoSuchReview: There is none, or its author has deleted it.
            Unavailable: Mongo does not answer; it may be decided.
        """

        async def work(session: AsyncClientSession) -> Review:
            admin = {"_id": moderator, "admin": True, "banned": False}
            if await self._users.find_one(admin, session=session) is None:
                raise NotAllowed("this is for admins of the platform")
            before = await self._existing({"id": review}, session)
            after = decided(before, decision, moderator, milliseconds(now))
            await self._write(before, after, session)
            return after

        return await in_transaction(self._client, work)

    async def _repeated(self, work: Callable[[AsyncClientSession], Awaitable[Review]]) -> Review:
        """Do it in a transaction, and once more where another one has written the same document first."""
        try:
            return await in_transaction(self._client, work)
        except DuplicateKeyError:
            return await in_transaction(self._client, work)

    async def _write(self, before: Review | None, after: Review | None, session: AsyncClientSession) -> None:
        """Write a review as it is after a change, and what that adds to the product's counters."""
        known = after or before
        if known is None or before == after:
            return
        if after is None:
            await self._reviews.delete_one({"_id": key_of(known.product, known.user)}, session=session)
        elif before is None:
            await self._reviews.insert_one(review_document(after), session=session)
        else:
            document = review_document(after)
            await self._reviews.replace_one({"_id": document["_id"]}, document, session=session)
        delta = stars_delta(before, after)
        if delta:
            add = {f"stars.{stars}": count for stars, count in delta.items()}
            await self._products.update_one({"_id": known.product}, {"$inc": add}, session=session)

    async def _find(self, question: Mapping[str, Any], session: AsyncClientSession) -> Review | None:
        found = await self._reviews.find_one(question, session=session)
        return None if found is None else review_of(found)

    async def _existing(self, question: Mapping[str, Any], session: AsyncClientSession) -> Review:
        found = await self._find(question, session)
        if found is None:
            raise NoSuchReview("there is no such review")
        return found

    async def _visible(self, review: str, user: str, session: AsyncClientSession) -> Review:
        """A review of somebody else that can be seen."""
        found = await self._existing({"id": review}, session)
        if not found.is_visible:
            raise NoSuchReview("there is no such review")
        if found.user == user:
            raise OwnReview("it is your own review")
        return found

    async def _works_in(self, store: str, user: str, session: AsyncClientSession) -> bool:
        return await self._memberships.find_one({"_id": f"{store}:{user}"}, session=session) is not None


def _without_reply(review: Review) -> Review:
    return replace(review, reply=None)
