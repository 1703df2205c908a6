"""Reviews as pages show them, by the service that the REST API has, too."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from api.access import caller_is_there
from api.callers import Caller
from api.reviews.pages import cursor_of, place_after
from api.reviews.service import ReviewService, ShownReview
from api.storefront.addresses import with_query
from api.storefront.shop import Refused, sentence
from api.storefront.views import OwnReview, Reviews, ReviewView, ShopName
from connectors.mongo.review_queries import Place, ReviewOrder
from marketplace.catalog.products import Product, ProductState
from marketplace.reviews.reviews import InvalidText, NoSuchReview, ReportReason, ReviewError, ReviewState

_FIRST: Final = 5
_MORE: Final = 20
_NOBODY: Final = "Somebody who has left"
_STATES: Final = {
    ReviewState.PENDING: "Your review waits until somebody has looked at it. Until then only you see it.",
    ReviewState.HIDDEN: "Your review was hidden: only you see it.",
    ReviewState.REMOVED: "Your review was removed.",
}


class StorefrontReviews:
    """Reads and writes reviews. Each call raises ``Unavailable`` where Mongo does not answer.

    Args:
        reviews: The service.
    """

    def __init__(self, reviews: ReviewService) -> None:
        self._reviews = reviews

    async def first(self, shop: ShopName, product: Product, viewer: Caller | None) -> Reviews:
        """Those that stand on the product's own page."""
        return await self._page(f"{shop.url}/reviews/{product.slug}", product, viewer, None, _FIRST)

    async def more(self, shop: ShopName, product: Product, viewer: Caller | None, after: str) -> Reviews:
        """Those that stand on a page of their own.

        Args:
            shop: The product's store.
            product: The product.
            viewer: Who looks.
            after: What the page before has given; empty for the first page.

        Raises:
            Problem: No page of this product has given it.
        """
        place = place_after(_kind(product), after)
        return await self._page(f"{shop.url}/reviews/{product.slug}", product, viewer, place, _MORE)

    async def of_viewer(self, viewer: Caller) -> list[OwnReview]:
        """The newest ones that somebody has written."""
        found = await self._reviews.of_user(viewer.user.id, None, _MORE)
        return [
            OwnReview(
                each.product.title if each.product else "A product that is not there any more",
                _url(each.product),
                _view(each),
            )
            for each in found.reviews
        ]

    async def write(self, product: Product, viewer: Caller, stars: int, text: str) -> None:
        """Write a review, or change the own one.

        Raises:
            Refused: It is not taken.
        """
        with _refusing():
            await self._reviews.write(viewer.user.id, product.id, stars, text)

    async def remove(self, product: Product, viewer: Caller) -> None:
        """Remove the own review; none is no error."""
        try:
            with caller_is_there():
                await self._reviews.delete(viewer.user.id, product.id)
        except ReviewError:
            return

    async def vote(self, viewer: Caller, review: str, *, helpful: bool) -> None:
        """Say that a review is helpful, or take that back.

        Raises:
            Refused: There is no such review, or it is the own one.
        """
        with _refusing():
            await self._reviews.vote(viewer.user.id, review, helpful=helpful)

    async def report(self, viewer: Caller, review: str, reason: str) -> None:
        """Report a review.

        Args:
            viewer: Who does.
            review: Its id.
            reason: A value of :class:`ReportReason`.

        Raises:
            Refused: There is no such review, or it is the own one.
        """
        with _refusing():
            await self._reviews.report(viewer.user.id, review, ReportReason(reason))

    async def _page(
        self, path: str, product: Product, viewer: Caller | None, after: Place | None, limit: int
    ) -> Reviews:
        reader = viewer.user.id if viewer else ""
        found, own = await asyncio.gather(
            self._reviews.of_product(product, reader, ReviewOrder.HELPFUL, None, after, limit),
            self._own(reader, product),
        )
        further = cursor_of(_kind(product), found.next)
        return Reviews(
            shown=[_view(each) for each in found.reviews],
            own=None if own is None else _view(own),
            next_url=with_query(path, after=further) if further else "",
        )

    async def _own(self, reader: str, product: Product) -> ShownReview | None:
        return await self._reviews.own(reader, product.id) if reader else None


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        with caller_is_there():
            yield
    except InvalidText as error:
        raise Refused(sentence(error), "text") from error
    except NoSuchReview as error:
        raise Refused("This review is not there any more.") from error
    except ReviewError as error:
        raise Refused(sentence(error)) from error


def _kind(product: Product) -> str:
    return f"reviews {product.id}"


def _url(product: Product | None) -> str:
    is_seen = product is not None and product.state is ProductState.ACTIVE
    return f"/shop/{product.store}/{product.slug}" if product is not None and is_seen else ""


def _view(shown: ShownReview) -> ReviewView:
    review = shown.review
    return ReviewView(
        id=review.id,
        author=shown.author or _NOBODY,
        stars=review.stars,
        text=review.text,
        at=review.edited_at or review.written_at,
        helpful=review.helpful,
        verified=shown.verified,
        reply=review.reply.text if review.reply else "",
        own=shown.mine,
        found_helpful=shown.voted,
        state=_STATES.get(review.state, ""),
    )
