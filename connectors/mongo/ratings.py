"""The counters of products' stars, compared with a count of the reviews, and put right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from pymongo.asynchronous.client_session import AsyncClientSession

from connectors.mongo.async_client import Documents, answering, in_transaction
from marketplace.catalog.products import STARS
from marketplace.collections import PRODUCTS, REVIEWS
from marketplace.reviews.reviews import ReviewState

_PRODUCTS_AT_ONCE: Final = 500
_NONE: Final = (0, 0, 0, 0, 0)


@dataclass(frozen=True)
class WrongRating:
    """A product whose counters are not what its reviews give.

    Attributes:
        product: Its id.
        store: The slug of its store.
        title: The product's.
        kept: The counters.
        counted: What the reviews give.
    """

    product: str
    store: str
    title: str
    kept: tuple[int, ...]
    counted: tuple[int, ...]


class Ratings:
    """Compares the collections ``products`` and ``reviews``.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Documents, database: str) -> None:
        self._client = client
        self._products, self._reviews = client[database][PRODUCTS.name], client[database][REVIEWS.name]

    async def reconcile(self, store: str | None = None, *, repair: bool) -> AsyncIterator[WrongRating]:
        """The products whose counters are wrong, while reviews come and go.

        Args:
            store: The slug of one; None for all.
            repair: Whether to put them right.

        Raises:
            Unavailable: Mongo does not answer.
        """
        after = ""
        while True:
            question: dict[str, Any] = {"_id": {"$gt": after}}
            if store is not None:
                question["store"] = store
            async with answering():
                found = self._products.find(question, {"stars": 1}).sort("_id").limit(_PRODUCTS_AT_ONCE)
                documents = await found.to_list()
            if not documents:
                return
            counted = await self._counted([document["_id"] for document in documents])
            for document in documents:
                # Between the two reads a review may have come: what looks wrong is looked at once more at one moment.
                if _kept(document) != counted[document["_id"]] and (wrong := await self._one(document["_id"], repair)):
                    yield wrong
            after = documents[-1]["_id"]

    async def _one(self, product: str, repair: bool) -> WrongRating | None:
        async def work(session: AsyncClientSession) -> WrongRating | None:
            document = await self._products.find_one({"_id": product}, session=session)
            if document is None:
                return None
            counted = (await self._counted([product], session))[product]
            if _kept(document) == counted:
                return None
            if repair:
                # A review that comes at this moment changes the same document: one of the two is done again.
                fields = {str(stars): count for stars, count in zip(STARS, counted, strict=True)}
                await self._products.update_one({"_id": product}, {"$set": {"stars": fields}}, session=session)
            return WrongRating(product, document["store"], document["title"], _kept(document), counted)

        return await in_transaction(self._client, work)

    async def _counted(
        self, products: list[str], session: AsyncClientSession | None = None
    ) -> defaultdict[str, tuple[int, ...]]:
        pipeline: list[dict[str, Any]] = [
            {"$match": {"product": {"$in": products}, "state": ReviewState.VISIBLE.value}},
            {"$group": {"_id": {"product": "$product", "stars": "$stars"}, "count": {"$sum": 1}}},
        ]
        async with answering():
            groups = await (await self._reviews.aggregate(pipeline, session=session)).to_list()
        found: defaultdict[str, tuple[int, ...]] = defaultdict(lambda: _NONE)
        for group in groups:
            product, given = group["_id"]["product"], group["_id"]["stars"]
            found[product] = tuple(
                count + group["count"] * (stars == given) for stars, count in zip(STARS, found[product], strict=True)
            )
        return found


def _kept(document: dict[str, Any]) -> tuple[int, ...]:
    return tuple(document["stars"].get(str(stars), 0) for stars in STARS)
