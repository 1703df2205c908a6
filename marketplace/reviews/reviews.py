"""Reviews: one of a buyer about a product, who can see it, and what it counts for.

A review can be seen as soon as it is written. Moderators look at those that were reported by several people: until one
has decided, they cannot be seen. What an author changes after a moderator has looked waits for one again.

Only a review that can be seen counts among the stars of its product. Every function here gives the review after a
change, and :func:`stars_delta` what that adds to the product's counters, so that they never have to be counted again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from marketplace.catalog.products import STARS
from marketplace.texts import is_text, with_plain_ends

MAX_TEXT_CHARS: Final = 5_000
MAX_REPLY_CHARS: Final = 2_000
MAX_NOTE_CHARS: Final = 500
MAX_EDITS: Final = 50
"""Of one review: what it said before is kept."""

REPORTS_TO_PENDING: Final = 3
"""After so many reports of people who do not work in the store a review waits for a moderator."""


class ReviewError(Exception):
    """What was asked for is refused, and nothing was changed; the message says why."""


class NoSuchReview(ReviewError):
    """There is no such review that the caller can see."""


class NotReviewed(NoSuchReview):
    """The caller has no review of the product."""


class NoSuchProduct(ReviewError):
    """There is no such product."""


class OwnStore(ReviewError):
    """Who works in the store does not review its products."""


class OwnStoreVote(OwnStore):
    """Who works in the store does not vote for reviews of its products."""


class OwnReview(ReviewError):
    """Nobody votes for the own review or reports it."""


class RemovedForGood(ReviewError):
    """A moderator has removed the review, and its author writes no other one about the product."""


class TooManyEdits(ReviewError):
    """The review was changed as often as it can be."""


class InvalidText(ReviewError):
    """The text is too long, or has characters that text does not need."""


class ReviewState(StrEnum):
    """Who can see a review: everybody only where it is visible."""

    VISIBLE = "visible"
    PENDING = "pending"
    HIDDEN = "hidden"
    REMOVED = "removed"


class Decision(StrEnum):
    """What a moderator decides."""

    APPROVE = "approve"
    HIDE = "hide"
    REMOVE = "remove"


class ReportReason(StrEnum):
    """What is wrong with a review."""

    SPAM = "spam"
    OFFENSIVE = "offensive"
    OFF_TOPIC = "off-topic"
    PRIVATE = "private"
    FALSE = "false"


@dataclass(frozen=True)
class Reply:
    """What the store answers.

    Attributes:
        text: Plain text.
        author: The id of the account that wrote it.
        written_at: Epoch milliseconds.
        edited_at: Epoch milliseconds; None where it is as it was written.
    """

    text: str
    author: str
    written_at: int
    edited_at: int | None = None


@dataclass(frozen=True)
class Wording:
    """What a review said before an edit.

    Attributes:
        stars: 1 to 5.
        text: Plain text.
        until: Epoch milliseconds of the edit.
    """

    stars: int
    text: str
    until: int


@dataclass(frozen=True)
class Review:
    """A review.

    Attributes:
        id: 32 hexadecimal digits; it says nothing of its author.
        product: The product's id.
        store: The slug of the product's store.
        user: The author's account.
        stars: 1 to 5.
        text: Plain text; it may be empty.
        written_at: Epoch milliseconds.
        edited_at: Epoch milliseconds; None where it is as it was written.
        state: Who can see it.
        helpful: People who found it helpful.
        reports: Of people who do not work in the store, since a moderator looked.
        queued_at: Epoch milliseconds since when it is among those that moderators look at; None where it is not.
        decided_by: The moderator who looked last; empty where none did.
        decided_at: Epoch milliseconds of that decision.
        withdrawn: Whether its author has deleted it; it is kept because moderators had something to do with it.
        reply: What the store answers.
        history: What it said before, the oldest first.
    """

    id: str
    product: str
    store: str
    user: str
    stars: int
    text: str
    written_at: int
    edited_at: int | None = None
    state: ReviewState = ReviewState.VISIBLE
    helpful: int = 0
    reports: int = 0
    queued_at: int | None = None
    decided_by: str = ""
    decided_at: int | None = None
    withdrawn: bool = False
    reply: Reply | None = None
    history: tuple[Wording, ...] = ()

    @property
    def is_visible(self) -> bool:
        """Whether everybody can see it."""
        return self.state is ReviewState.VISIBLE


def checked_text(text: str, most: int = MAX_TEXT_CHARS) -> str:
    """Text as it is kept: plain, with ends of lines of one kind, and without spaces around it.

    Markup is text like any other: whoever shows it escapes it.

    Raises:
        InvalidText: It is too long, or has characters that text does not need.
    """
    kept = with_plain_ends(text).strip()
    if len(kept) > most:
        raise InvalidText(f"give at most {most} characters")
    if not is_text(kept, most):
        raise InvalidText("give plain text, without control characters")
    return kept


def edited(review: Review, stars: int, text: str, now_ms: int) -> Review:
    """A review after its author has changed it, or written it again.

    It waits for a moderator where one has looked before or is to look: nobody gets past a decision by an edit.

    Raises:
        RemovedForGood: A moderator has removed it.
        TooManyEdits: It was changed too often.
    """
    if review.state is ReviewState.REMOVED and not review.withdrawn:
        raise RemovedForGood("a moderator has removed your review of this product")
    if not review.withdrawn and (stars, text) == (review.stars, review.text):
        return review
    if len(review.history) >= MAX_EDITS:
        raise TooManyEdits(f"a review can be changed {MAX_EDITS} times")
    looks = review.decided_by != "" or review.state is not ReviewState.VISIBLE
    return replace(
        review,
        stars=stars,
        text=text,
        edited_at=now_ms,
        state=ReviewState.PENDING if looks else ReviewState.VISIBLE,
        queued_at=(review.queued_at or now_ms) if looks else review.queued_at,
        withdrawn=False,
        history=(*review.history, Wording(review.stars, review.text, now_ms)),
    )


def deleted(review: Review) -> Review | None:
    """A review after its author has deleted it; None where nothing of it has to be kept.

    One that was reported, or that a moderator has looked at, is kept: otherwise it could be written again as if nothing
    had been.
    """
    if review.state is ReviewState.REMOVED:
        return review
    if review.state is ReviewState.VISIBLE and review.queued_at is None and not review.decided_by:
        return None
    return replace(review, state=ReviewState.REMOVED, withdrawn=True, queued_at=None, reply=None)


def reported(review: Review, now_ms: int, *, counts: bool) -> Review:
    """A review after one more report.

    Args:
        review: One that can be seen.
        now_ms: Epoch milliseconds.
        counts: Whether it is of somebody who does not work in the store: nobody hides what is said of the own goods.
    """
    reports = review.reports + counts
    pending = review.is_visible and reports >= REPORTS_TO_PENDING
    return replace(
        review,
        reports=reports,
        state=ReviewState.PENDING if pending else review.state,
        queued_at=review.queued_at or now_ms,
    )


_DECIDED: Final[Mapping[Decision, ReviewState]] = {
    Decision.APPROVE: ReviewState.VISIBLE,
    Decision.HIDE: ReviewState.HIDDEN,
    Decision.REMOVE: ReviewState.REMOVED,
}


def decided(review: Review, decision: Decision, moderator: str, now_ms: int) -> Review:
    """A review after a moderator has decided; reports from before count no more.

    Raises:
        NoSuchReview: Its author has deleted it.
    """
    if review.withdrawn:
        raise NoSuchReview("its author has deleted it")
    return replace(review, state=_DECIDED[decision], reports=0, queued_at=None, decided_by=moderator, decided_at=now_ms)


def replied(review: Review, text: str, author: str, now_ms: int) -> Review:
    """A review after the store has answered, or changed its answer."""
    there = review.reply
    if there is None:
        return replace(review, reply=Reply(text, author, now_ms))
    return review if there.text == text else replace(review, reply=Reply(text, author, there.written_at, now_ms))


def stars_delta(before: Review | None, after: Review | None) -> dict[int, int]:
    """What a change adds to the counters of the product's stars; nothing for a number that stays.

    Args:
        before: None where there was none.
        after: None where there is none any more.
    """
    was = before.stars if before is not None and before.is_visible else None
    now = after.stars if after is not None and after.is_visible else None
    return {} if was == now else {stars: (stars == now) - (stars == was) for stars in STARS if stars in (was, now)}
