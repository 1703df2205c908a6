"""Lists of reviews, page by page: each begins behind the last one of the page before, wherever others came or went."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from connectors.mongo.async_client import Documents, answering
from connectors.mongo.review_documents import NO_HISTORY, key_of, review_of
from marketplace.collections import REVIEW_REPORTS, REVIEW_VOTES, REVIEWS, USERS
from marketplace.reviews.reviews import ReportReason, Review, ReviewState


class ReviewOrder(StrEnum):
    """The order of a product's reviews."""

    NEWEST = "newest"
    HELPFUL = "helpful"


@dataclass(frozen=True)
class Place:
    """Where a page begins.

    Attributes:
        value: Of the last review before it: what the list is in the order of.
        id: Of that review.
    """

    value: int
    id: str


@dataclass(frozen=True)
class Report:
    """What somebody reported.

    Attributes:
        reason: What is wrong.
        note: In own words; empty for none.
        at: Epoch milliseconds.
        counts: Whether its author does not work in the store.
    """

    reason: ReportReason
    note: str
    at: int
    counts: bool


class ReviewQueries:
    """Reads of the collections ``reviews``, ``review_votes`` and ``review_reports``.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Documents, database: str) -> None:
        mongo = client[database]
        self._reviews, self._votes, self._reports = (
            mongo[each.name] for each in (REVIEWS, REVIEW_VOTES, REVIEW_REPORTS)
        )
        self._users = mongo[USERS.name]

    async def of_product(
        self, product: str, order: ReviewOrder, stars: int | None, after: Place | None, limit: int
    ) -> list[Review]:
        """Reviews of a product that everybody can see.

        Args:
            product: Its id.
            order: Theirs.
            stars: Only those with so many; None for all.
            after: Behind which place; None for the first page.
            limit: At most so many.

        Raises:
            Unavailable: Mongo does not answer.
        """
        question: dict[str, Any] = {"product": product, "state": ReviewState.VISIBLE.value}
        if stars is not None:
            question["stars"] = stars
        return await self._page(question, _FIELDS[order], after, limit)

    async def of_user(self, user: str, after: Place | None, limit: int) -> list[Review]:
        """The own reviews of somebody, the newest first, without those that were deleted.

        Raises:
            Unavailable: Mongo does not answer.
        """
        return await self._page({"user": user, "withdrawn": False}, "written_at", after, limit)

    async def of_store(self, store: str, after: Place | None, limit: int) -> list[Review]:
        """Reviews of a store's products, the newest first, without those that were removed.

        Raises:
            Unavailable: Mongo does not answer.
        """
        question = {"store": store, "state": {"$ne": ReviewState.REMOVED.value}}
        return await self._page(question, "written_at", after, limit)

    async def waiting(self, state: ReviewState | None, after: Place | None, limit: int) -> list[Review]:
        """Reviews that moderators look at, those that wait for longest first.

        Args:
            state: Only those that are pending, or that are visible and were reported; None for both.
            after: Behind which place; None for the first page.
            limit: At most so many.

        Raises:
            Unavailable: Mongo does not answer.
        """
        question: dict[str, Any] = {"queued_at": {"$gt": 0}} if state is None else {
            "queued_at": {"$gt": 0}, "state": state.value,
        }  # fmt: skip
        return await self._page(question, "queued_at", after, limit, ascending=True)

    async def get(self, review: str) -> Review | None:
        """A review with its history.

        Raises:
            Unavailable: Mongo does not answer.
        """
        async with answering():
            found = await self._reviews.find_one({"id": review})
        return None if found is None else review_of(found)

    async def of_author(self, user: str, product: str) -> Review | None:
        """Somebody's own review of a product; None where there is none, or it was deleted.

        Raises:
            Unavailable: Mongo does not answer.
        """
        async with answering():
            found = await self._reviews.find_one({"_id": key_of(product, user), "withdrawn": False}, NO_HISTORY)
        return None if found is None else review_of(found)

    async def reports(self, review: str, limit: int) -> list[Report]:
        """What was reported about a review, in no order.

        Raises:
            Unavailable: Mongo does not answer.
        """
        async with answering():
            found = await self._reports.find({"review": review}).limit(limit).to_list()
        return [Report(ReportReason(each["reason"]), each["note"], each["at"], each["counts"]) for each in found]

    async def voted(self, user: str, reviews: Collection[str]) -> set[str]:
        """For which of these reviews somebody has voted.

        Raises:
            Unavailable: Mongo does not answer.
        """
        if not reviews:
            return set()
        async with answering():
            found = await self._votes.find({"_id": {"$in": [f"{review}:{user}" for review in reviews]}}).to_list()
        return {each["review"] for each in found}

    async def names(self, users: Collection[str]) -> dict[str, str]:
        """The names of these accounts, of those that there are.

        Raises:
            Unavailable: Mongo does not answer.
        """
        if not users:
            return {}
        async with answering():
            found = await self._users.find({"_id": {"$in": sorted(users)}}, {"name": 1}).to_list()
        return {each["_id"]: each["name"] for each in found}

    async def _page(
        self, question: Mapping[str, Any], field: str, after: Place | None, limit: int, *, ascending: bool = False
    ) -> list[Review]:
        beyond = "$gt" if ascending else "$lt"
        asked = dict(question)
        if after is not None:
            further = [{field: {beyond: after.value}}, {field: after.value, "id": {"$gt": after.id}}]
            asked["$or"] = further
        order = [(field, 1 if ascending else -1), ("id", 1)]
        async with answering():
            found = await self._reviews.find(asked, NO_HISTORY).sort(order).limit(limit).to_list()
        return [review_of(each) for each in found]


_FIELDS = {ReviewOrder.NEWEST: "written_at", ReviewOrder.HELPFUL: "helpful"}
