"""Reviews: what the routes and the storefront do, without HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from connectors.mongo.async_client import Documents
from connectors.mongo.order_reads import OrderReads
from connectors.mongo.product_reads import ProductReads
from connectors.mongo.review_queries import Place, Report, ReviewOrder, ReviewQueries
from connectors.mongo.reviews import Reviews
from connectors.mongo.tenant_stores import TenantStores
from marketplace.catalog.products import Product, ProductState
from marketplace.catalog.slugs import is_slug
from marketplace.reviews.reviews import (
    MAX_NOTE_CHARS,
    MAX_REPLY_CHARS,
    Decision,
    InvalidText,
    NoSuchReview,
    ReportReason,
    Review,
    ReviewState,
    checked_text,
)
from marketplace.stores import SLUG

MAX_REPORTS_SHOWN: Final = 100

StarsChanged = Callable[[Product], Awaitable[None]]
"""Is called after the stars of a product may have changed, before that is answered."""


async def tell_nobody(product: Product) -> None:
    """Nobody keeps what stars a product has."""
    del product


@dataclass(frozen=True)
class ShownReview:
    """A review with what is shown beside it.

    Attributes:
        review: The review.
        author: The name of its author; None where the account was deleted.
        product: What it is about; None where it was deleted.
        verified: Whether its author has bought the product and kept it.
        mine: Whether the reader wrote it.
        voted: Whether the reader found it helpful.
    """

    review: Review
    author: str | None
    product: Product | None
    verified: bool = False
    mine: bool = False
    voted: bool = False


@dataclass(frozen=True)
class ReviewPage:
    """Reviews, and the place behind which the next ones are; None where there are none."""

    reviews: list[ShownReview]
    next: Place | None


@dataclass(frozen=True)
class ReviewCase:
    """A review, as moderators see it.

    Attributes:
        shown: The review with its history.
        reports: Some of what was reported about it.
    """

    shown: ShownReview
    reports: list[Report]


class ReviewService:
    """Writes, lists and moderates reviews.

    Args:
        reviews: Writes them.
        queries: Reads them.
        orders: Who has bought what.
        products: What they are about.
        stores: Whose products these are.
        clock: The time.
        stars_changed: Is called after the stars of a product may have changed.
    """

    def __init__(
        self,
        reviews: Reviews,
        queries: ReviewQueries,
        orders: OrderReads,
        products: ProductReads,
        stores: TenantStores,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        stars_changed: StarsChanged = tell_nobody,
    ) -> None:
        self._reviews, self._queries, self._products, self._stores = reviews, queries, products, stores
        self._clock, self._stars_changed, self._orders = clock, stars_changed, orders

    @staticmethod
    def on_mongo(
        client: Documents,
        database: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        stars_changed: StarsChanged = tell_nobody,
    ) -> ReviewService:
        """On the collections of a database; the caller closes the client."""
        return ReviewService(
            Reviews(client, database),
            ReviewQueries(client, database),
            OrderReads(client, database),
            ProductReads(client, database),
            TenantStores(client, database),
            clock,
            stars_changed,
        )

    async def product(self, shop: str, slug: str) -> Product | None:
        """A product that everybody can see, by its address or an earlier one.

        Raises:
            Unavailable: Mongo does not answer.
        """
        if not SLUG.fullmatch(shop) or not is_slug(slug):
            return None
        found = await self._products.by_slug(shop, slug)
        if found is None or found.store != shop or found.state is not ProductState.ACTIVE:
            return None
        return found if await self._stores.several([shop]) else None

    async def of_product(
        self,
        product: Product,
        reader: str = "",
        order: ReviewOrder = ReviewOrder.NEWEST,
        stars: int | None = None,
        after: Place | None = None,
        limit: int = 20,
    ) -> ReviewPage:
        """A page of the reviews of a product that everybody can see.

        Args:
            product: The product.
            reader: The account that reads them; empty for nobody.
            order: Theirs.
            stars: Only those with so many; None for all.
            after: Behind which place; None for the first page.
            limit: At most so many.

        Raises:
            Unavailable: Mongo does not answer.
        """
        found = await self._queries.of_product(product.id, order, stars, after, limit + 1)
        key = _written if order is ReviewOrder.NEWEST else _helpful
        return await self._page(found, limit, key, reader, {product.id: product})

    async def own(self, user: str, product: str) -> ShownReview | None:
        """Somebody's own review of a product, whoever can see it; None where there is none.

        Raises:
            Unavailable: Mongo does not answer.
        """
        found = await self._queries.of_author(user, product)
        return None if found is None else (await self._shown([found], user))[0]

    async def of_user(self, user: str, after: Place | None = None, limit: int = 20) -> ReviewPage:
        """A page of somebody's own reviews, the newest first.

        Raises:
            Unavailable: Mongo does not answer.
        """
        return await self._page(await self._queries.of_user(user, after, limit + 1), limit, _written, user)

    async def of_store(self, store: str, after: Place | None = None, limit: int = 20) -> ReviewPage:
        """A page of the reviews of a store's products, the newest first, also of those that not everybody can see.

        Raises:
            Unavailable: Mongo does not answer.
        """
        return await self._page(await self._queries.of_store(store, after, limit + 1), limit, _written)

    async def waiting(self, state: ReviewState | None, after: Place | None = None, limit: int = 20) -> ReviewPage:
        """A page of the reviews that moderators look at, those that wait for longest first.

        Raises:
            Unavailable: Mongo does not answer.
        """
        return await self._page(await self._queries.waiting(state, after, limit + 1), limit, _queued)

    async def case(self, review: str) -> ReviewCase:
        """A review with its history and what was reported about it.

        Raises:
            NoSuchReview: There is none.
            Unavailable: Mongo does not answer.
        """
        found = await self._queries.get(review)
        if found is None:
            raise NoSuchReview("there is no such review")
        reports = await self._queries.reports(review, MAX_REPORTS_SHOWN)
        return ReviewCase((await self._shown([found]))[0], sorted(reports, key=lambda each: each.at))

    async def write(self, user: str, product: str, stars: int, text: str) -> ShownReview:
        """Write a review or change it; see :meth:`Reviews.write` for the errors.

        Raises:
            InvalidText: The text is too long, or no plain text.
        """
        written = await self._reviews.write(user, product, stars, checked_text(text), self._clock())
        await self._tell(written.product)
        return (await self._shown([written], user))[0]

    async def delete(self, user: str, product: str) -> None:
        """Delete the own review; see :meth:`Reviews.delete` for the errors."""
        await self._reviews.delete(user, product)
        await self._tell(product)

    async def vote(self, user: str, review: str, *, helpful: bool) -> None:
        """Say that a review was helpful, or take it back; see :meth:`Reviews.vote` for the errors."""
        await self._reviews.vote(user, review, helpful=helpful)

    async def report(self, user: str, review: str, reason: ReportReason, note: str = "") -> None:
        """Report a review; see :meth:`Reviews.report` for the errors.

        Raises:
            InvalidText: The note is too long, or no plain text.
        """
        kept = checked_text(note, MAX_NOTE_CHARS)
        await self._tell((await self._reviews.report(user, review, reason, kept, self._clock())).product)

    async def reply(self, store: str, actor: str, review: str, text: str) -> ShownReview:
        """Answer a review, or change the answer; see :meth:`Reviews.reply` for the errors.

        Raises:
            InvalidText: The text is empty, too long, or no plain text.
        """
        kept = checked_text(text, MAX_REPLY_CHARS)
        if not kept:
            raise InvalidText("give some text")
        replied = await self._reviews.reply(store, actor, review, kept, self._clock())
        return (await self._shown([replied]))[0]

    async def remove_reply(self, store: str, actor: str, review: str) -> None:
        """Take the answer to a review back; see :meth:`Reviews.reply` for the errors."""
        await self._reviews.reply(store, actor, review, None, self._clock())

    async def decide(self, moderator: str, review: str, decision: Decision) -> ReviewCase:
        """Decide about a review; see :meth:`Reviews.decide` for the errors."""
        decided = await self._reviews.decide(moderator, review, decision, self._clock())
        await self._tell(decided.product)
        return await self.case(review)

    async def _tell(self, product: str) -> None:
        found = await self._products.get(product)
        if found is not None:
            await self._stars_changed(found)

    async def _page(
        self,
        found: list[Review],
        limit: int,
        key: Callable[[Review], int],
        reader: str = "",
        products: Mapping[str, Product] | None = None,
    ) -> ReviewPage:
        page, more = found[:limit], len(found) > limit
        place = Place(key(page[-1]), page[-1].id) if more else None
        return ReviewPage(await self._shown(page, reader, products), place)

    async def _shown(
        self, reviews: list[Review], reader: str = "", products: Mapping[str, Product] | None = None
    ) -> list[ShownReview]:
        names = await self._queries.names({review.user for review in reviews})
        voted = await self._queries.voted(reader, [review.id for review in reviews]) if reader else set()
        if products is None:
            products = await self._products.many(review.product for review in reviews)
        bought = await self._orders.bought((review.user, review.product) for review in reviews)
        return [
            ShownReview(
                review,
                names.get(review.user),
                products.get(review.product),
                (review.user, review.product) in bought,
                review.user == reader,
                review.id in voted,
            )
            for review in reviews
        ]


def _written(review: Review) -> int:
    return review.written_at


def _helpful(review: Review) -> int:
    return review.helpful


def _queued(review: Review) -> int:
    return review.queued_at or 0
