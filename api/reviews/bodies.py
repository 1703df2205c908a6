"""Reviews as JSON."""

from __future__ import annotations

from typing import Any

from api.reviews.schemas import (
    ReplyBody,
    ReportView,
    ReviewBody,
    ReviewCaseBody,
    ReviewedProduct,
    StateReviewBody,
    WaitingReviewBody,
    WordingBody,
)
from api.reviews.service import ReviewCase, ShownReview
from api.web.times import rfc3339


def review_body(shown: ShownReview) -> ReviewBody:
    """A review as everybody sees it."""
    return ReviewBody(**_fields(shown))


def state_body(shown: ShownReview) -> StateReviewBody:
    """A review as its author and its store see it."""
    return StateReviewBody(**_with_state(shown))


def waiting_body(shown: ShownReview) -> WaitingReviewBody:
    """A review as moderators see it in lists."""
    return WaitingReviewBody(**_waiting(shown))


def case_body(case: ReviewCase) -> ReviewCaseBody:
    """A review as moderators see it."""
    return ReviewCaseBody(
        **_waiting(case.shown),
        history=[
            WordingBody(stars=each.stars, text=each.text, until=rfc3339(each.until))
            for each in case.shown.review.history
        ],
        reported=[
            ReportView(reason=each.reason.value, note=each.note, at=rfc3339(each.at), counts=each.counts)
            for each in case.reports
        ],
    )


def _fields(shown: ShownReview) -> dict[str, Any]:
    review, reply = shown.review, shown.review.reply
    return {
        "id": review.id,
        "author": shown.author,
        "stars": review.stars,
        "text": review.text,
        "written_at": rfc3339(review.written_at),
        "edited_at": _time(review.edited_at),
        "verified": shown.verified,
        "helpful": review.helpful,
        "reply": None
        if reply is None
        else ReplyBody(text=reply.text, written_at=rfc3339(reply.written_at), edited_at=_time(reply.edited_at)),
        "mine": shown.mine,
        "voted": shown.voted,
    }


def _with_state(shown: ShownReview) -> dict[str, Any]:
    review, product = shown.review, shown.product
    about = ReviewedProduct(
        id=review.product,
        store=review.store,
        slug=product.slug if product else None,
        title=product.title if product else None,
    )
    return {**_fields(shown), "product": about, "state": review.state.value}


def _waiting(shown: ShownReview) -> dict[str, Any]:
    review = shown.review
    return {
        **_with_state(shown),
        "reports": review.reports,
        "queued_at": _time(review.queued_at),
        "decided_by": review.decided_by or None,
        "decided_at": _time(review.decided_at),
    }


def _time(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else rfc3339(milliseconds)
