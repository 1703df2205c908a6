"""The routes of reviews."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Query, Request

from api.access import Demand, access_of, caller_is_there, caller_of
from api.reviews.bodies import case_body, review_body, state_body, waiting_body
from api.reviews.pages import cursor_of, place_after
from api.reviews.schemas import (
    DecisionBody,
    OrderName,
    ReplyToPut,
    ReportBody,
    ReviewCaseBody,
    ReviewList,
    ReviewToPut,
    StarsInQuery,
    StateReviewBody,
    StateReviewList,
    WaitingName,
    WaitingReviewList,
)
from api.reviews.service import ReviewService
from api.web.cursors import MAX_CHARS
from api.web.problems import CONFLICT, NOT_FOUND, Problem
from api.web.routes import Routes
from connectors.mongo.review_queries import ReviewOrder
from marketplace.catalog.products import STARS
from marketplace.identity.roles import Permission
from marketplace.reviews.reviews import Decision, ReportReason, ReviewState

_ID: Final = "3f2a9c51d06e4b7fa8c1e2d3b4a59687"
_REVIEW: Final[dict[str, Any]] = {
    "id": _ID, "author": "Bea", "stars": 5, "text": "It holds more than it looks.",
    "written_at": "2026-11-29T12:00:00.000Z", "edited_at": None, "verified": False, "helpful": 3,
    "reply": {"text": "Thank you!", "written_at": "2026-11-29T13:00:00.000Z", "edited_at": None},
    "mine": False, "voted": False,
}  # fmt: skip
_LIST: Final[dict[str, Any]] = {
    "product": _ID, "stars": {"1": 0, "2": 0, "3": 0, "4": 1, "5": 1}, "rating": 4.5, "reviews": [_REVIEW],
    "next": None,
}  # fmt: skip
_ABOUT: Final[dict[str, Any]] = {"id": _ID, "store": "anns-shop", "slug": "blue-mug", "title": "Blue mug"}
_STATE: Final[dict[str, Any]] = {**_REVIEW, "product": _ABOUT, "state": "visible"}
_WAITING: Final[dict[str, Any]] = {
    **_STATE, "state": "pending", "reports": 3, "queued_at": "2026-11-29T14:00:00.000Z", "decided_by": None,
    "decided_at": None,
}  # fmt: skip
_CASE: Final[dict[str, Any]] = {
    **_WAITING,
    "history": [{"stars": 4, "text": "It is good.", "until": "2026-11-29T12:30:00.000Z"}],
    "reported": [{"reason": "spam", "note": "", "at": "2026-11-29T14:00:00.000Z", "counts": True}],
}
_THIS: Final = {"review": "$response.body#/reviews/0/id"}

Limit = Annotated[int, Query(ge=1, le=100, description="At most so many.")]
CursorText = Annotated[str, Query(alias="cursor", max_length=MAX_CHARS, description="`next` of the page before.")]

REVIEWS: Final = Routes("/v1", "Reviews")


def _service(request: Request) -> ReviewService:
    found: ReviewService = request.app.state.shopping.reviews
    return found


@REVIEWS.add("GET", "/shops/{shop}/products/{slug}/reviews", demand=Demand.NOTHING, problems=[NOT_FOUND], example=_LIST,
             links={"vote": _THIS, "withdraw_vote": _THIS, "report_review": _THIS})  # fmt: skip
async def list_reviews(
    request: Request,
    shop: str,
    slug: str,
    order: Annotated[OrderName, Query(description="Which come first.")] = "newest",
    stars: Annotated[StarsInQuery | None, Query(description="Only those with so many.")] = None,
    limit: Limit = 20,
    cursor_text: CursorText = "",
) -> ReviewList:
    """The reviews of a product that everybody can see, and how many stars it has of how many."""
    product = await _service(request).product(shop, slug)
    if product is None:
        raise Problem(NOT_FOUND)
    # A cursor of another product, order or number of stars is none of this list.
    kind = f"reviews of {product.id} by {order} with {stars}"
    caller = request.state.caller
    reader = caller.user.id if caller is not None and caller.key is None else ""
    only, after = None if stars is None else int(stars), place_after(kind, cursor_text)
    page = await _service(request).of_product(product, reader, ReviewOrder(order), only, after, limit)
    return ReviewList(
        product=product.id,
        stars={str(number): count for number, count in zip(STARS, product.stars, strict=True)},
        rating=product.rating,
        reviews=[review_body(each) for each in page.reviews],
        next=cursor_of(kind, page.next),
    )


@REVIEWS.add("PUT", "/products/{product}/review", demand=Demand.SIGNED_IN, cost=3, changes_access=False,
             problems=[NOT_FOUND, CONFLICT], example=_STATE,
             links={"delete_review": {"product": "$response.body#/product/id"}})  # fmt: skip
async def put_review(request: Request, product: str, body: ReviewToPut) -> StateReviewBody:
    """Write the caller's review of a product, or change it: there is one of an account about a product.

    Everybody can see it at once. Where a moderator has looked at it before, or is to look, a changed one waits for one
    (`pending`). One that a moderator has removed is not written again (409, `removed`), and who works in the store
    writes none (403, `own-store`). What it said before is kept for moderators.
    """
    with caller_is_there():
        written = await _service(request).write(caller_of(request).user.id, product, body.stars, body.text)
    return state_body(written)


@REVIEWS.add("DELETE", "/products/{product}/review", demand=Demand.SIGNED_IN, cost=2, status=204, changes_access=False,
             problems=[NOT_FOUND])  # fmt: skip
async def delete_review(request: Request, product: str) -> None:
    """Delete the caller's review of a product; its stars count no more."""
    with caller_is_there():
        await _service(request).delete(caller_of(request).user.id, product)


@REVIEWS.add("GET", "/me/reviews", demand=Demand.SIGNED_IN, example={"reviews": [_STATE], "next": None})
async def list_own_reviews(request: Request, limit: Limit = 20, cursor_text: CursorText = "") -> StateReviewList:
    """The caller's reviews, the newest first, with who can see them."""
    user = caller_of(request).user.id
    kind = f"reviews of the account {user}"
    page = await _service(request).of_user(user, place_after(kind, cursor_text), limit)
    return StateReviewList(reviews=[state_body(each) for each in page.reviews], next=cursor_of(kind, page.next))


@REVIEWS.add("PUT", "/reviews/{review}/vote", demand=Demand.SIGNED_IN, status=204, changes_access=False,
             problems=[NOT_FOUND])  # fmt: skip
async def vote(request: Request, review: str) -> None:
    """Say that a review was helpful: once for each account, and not for the own one or those of the own store."""
    with caller_is_there():
        await _service(request).vote(caller_of(request).user.id, review, helpful=True)


@REVIEWS.add("DELETE", "/reviews/{review}/vote", demand=Demand.SIGNED_IN, status=204, changes_access=False,
             problems=[NOT_FOUND])  # fmt: skip
async def withdraw_vote(request: Request, review: str) -> None:
    """Take back that a review was helpful."""
    with caller_is_there():
        await _service(request).vote(caller_of(request).user.id, review, helpful=False)


@REVIEWS.add("POST", "/reviews/{review}/reports", demand=Demand.SIGNED_IN, cost=3, status=204, changes_access=False,
             problems=[NOT_FOUND])  # fmt: skip
async def report_review(request: Request, review: str, body: ReportBody) -> None:
    """Report a review to the moderators: once for each account, and not the own one.

    After reports of three people who do not work in the store it cannot be seen until a moderator has decided.
    """
    with caller_is_there():
        await _service(request).report(caller_of(request).user.id, review, ReportReason(body.reason), body.note)


@REVIEWS.add("GET", "/stores/{store}/reviews", demand=Permission.READ_CATALOG,
             example={"reviews": [_STATE], "next": None})  # fmt: skip
async def list_store_reviews(request: Request, limit: Limit = 20, cursor_text: CursorText = "") -> StateReviewList:
    """The reviews of a store's products, the newest first, with those that not everybody can see."""
    slug = access_of(request).slug
    kind = f"reviews of the store {slug}"
    page = await _service(request).of_store(slug, place_after(kind, cursor_text), limit)
    return StateReviewList(reviews=[state_body(each) for each in page.reviews], next=cursor_of(kind, page.next))


@REVIEWS.add("PUT", "/stores/{store}/reviews/{review}/reply", demand=Permission.EDIT_CATALOG, cost=2,
             changes_access=False, example=_STATE)  # fmt: skip
async def put_reply(request: Request, review: str, body: ReplyToPut) -> StateReviewBody:
    """Answer a review of a product of the store, or change the answer: there is one."""
    slug, actor = access_of(request).slug, caller_of(request).user.id
    return state_body(await _service(request).reply(slug, actor, review, body.text))


@REVIEWS.add("DELETE", "/stores/{store}/reviews/{review}/reply", demand=Permission.EDIT_CATALOG, cost=2, status=204,
             works_frozen=True, changes_access=False)  # fmt: skip
async def delete_reply(request: Request, review: str) -> None:
    """Take the answer to a review back, if there is one."""
    await _service(request).remove_reply(access_of(request).slug, caller_of(request).user.id, review)


@REVIEWS.add("GET", "/admin/reviews", demand=Demand.ADMIN, example={"reviews": [_WAITING], "next": None},
             links={"get_review_case": _THIS, "decide_review": _THIS})  # fmt: skip
async def list_waiting_reviews(
    request: Request,
    state: Annotated[
        WaitingName | None,
        Query(description="`pending`: cannot be seen until somebody decides; `reported`: can be seen still."),
    ] = None,
    limit: Limit = 20,
    cursor_text: CursorText = "",
) -> WaitingReviewList:
    """The reviews that moderators look at, those that wait for longest first."""
    kind = f"reviews that wait, {state}"
    states = {"pending": ReviewState.PENDING, "reported": ReviewState.VISIBLE}
    page = await _service(request).waiting(states[state] if state else None, place_after(kind, cursor_text), limit)
    return WaitingReviewList(reviews=[waiting_body(each) for each in page.reviews], next=cursor_of(kind, page.next))


@REVIEWS.add("GET", "/admin/reviews/{review}", demand=Demand.ADMIN, problems=[NOT_FOUND], example=_CASE)
async def get_review_case(request: Request, review: str) -> ReviewCaseBody:
    """A review with what it said before and what was reported about it."""
    return case_body(await _service(request).case(review))


@REVIEWS.add("POST", "/admin/reviews/{review}/decisions", demand=Demand.ADMIN, changes_access=False,
             problems=[NOT_FOUND], example=_CASE)  # fmt: skip
async def decide_review(request: Request, review: str, body: DecisionBody) -> ReviewCaseBody:
    """Let everybody see a review, hide it, or remove it for good. Reports from before count no more."""
    return case_body(await _service(request).decide(caller_of(request).user.id, review, Decision(body.decision)))
