"""What the routes of reviews take and give, as JSON."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from api.identity.schemas import SEVERAL_LINES as PLAIN
from api.identity.schemas import Input
from marketplace.reviews.reviews import MAX_NOTE_CHARS, MAX_REPLY_CHARS, MAX_TEXT_CHARS

Stars = Annotated[int, Field(ge=1, le=5, examples=[5])]
StarsInQuery = Literal["1", "2", "3", "4", "5"]
OrderName = Literal["newest", "helpful"]
WaitingName = Literal["pending", "reported"]


class ReviewToPut(Input):
    """A review. Its text is plain: markup is shown as it is written."""

    stars: Stars
    text: Annotated[str, Field(max_length=MAX_TEXT_CHARS, pattern=PLAIN, examples=["It holds more than it looks."])]


class ReplyToPut(Input):
    """What the store answers."""

    text: Annotated[str, Field(min_length=1, max_length=MAX_REPLY_CHARS, pattern=PLAIN, examples=["Thank you!"])]


class ReportBody(Input):
    """What is wrong with a review."""

    reason: Annotated[Literal["spam", "offensive", "off-topic", "private", "false"], Field(examples=["spam"])]
    note: Annotated[
        str,
        Field(min_length=1, max_length=MAX_NOTE_CHARS, pattern=PLAIN, examples=["It advertises another shop."]),
    ] = Field(default_factory=str)


class DecisionBody(Input):
    """What a moderator decides."""

    decision: Annotated[Literal["approve", "hide", "remove"], Field(examples=["approve"])]


class ReplyBody(BaseModel):
    """What the store answers."""

    text: str
    written_at: str
    edited_at: str | None


class ReviewBody(BaseModel):
    """A review that everybody can see."""

    id: str
    author: str | None = Field(description="A name; null where the account was deleted.")
    stars: int
    text: str = Field(description="Plain text: escape it where it is shown as HTML.")
    written_at: str
    edited_at: str | None
    verified: bool = Field(description="Whether its author has bought the product, and kept some of it.")
    helpful: int = Field(description="People who found it helpful.")
    reply: ReplyBody | None
    mine: bool = Field(description="Whether the caller wrote it.")
    voted: bool = Field(description="Whether the caller found it helpful.")


class ReviewList(BaseModel):
    """Reviews of a product, and where the next ones begin."""

    product: str = Field(description="Its id.")
    stars: dict[str, int] = Field(description="How many reviews gave how many stars.")
    rating: float | None = Field(description="The mean; null without reviews.")
    reviews: list[ReviewBody]
    next: str | None = Field(description="The cursor of the next page; null where there is none.")


class ReviewedProduct(BaseModel):
    """What a review is about."""

    id: str
    store: str
    slug: str | None = Field(description="Null where the product was deleted.")
    title: str | None


class StateReviewBody(ReviewBody):
    """A review with what it is about, and who can see it."""

    product: ReviewedProduct
    state: str = Field(description="`visible`, `pending`, `hidden` or `removed`.")


class StateReviewList(BaseModel):
    """Reviews, and where the next ones begin."""

    reviews: list[StateReviewBody]
    next: str | None = Field(description="The cursor of the next page; null where there is none.")


class WaitingReviewBody(StateReviewBody):
    """A review that moderators look at."""

    reports: int = Field(description="Of people who do not work in the store, since a moderator looked.")
    queued_at: str | None = Field(description="Since when it waits.")
    decided_by: str | None = Field(description="The moderator who looked last.")
    decided_at: str | None


class WaitingReviewList(BaseModel):
    """Reviews that moderators look at, those that wait for longest first."""

    reviews: list[WaitingReviewBody]
    next: str | None = Field(description="The cursor of the next page; null where there is none.")


class WordingBody(BaseModel):
    """What a review said before an edit."""

    stars: int
    text: str
    until: str


class ReportView(BaseModel):
    """What somebody reported."""

    reason: str
    note: str
    at: str
    counts: bool = Field(description="Whether its author does not work in the store.")


class ReviewCaseBody(WaitingReviewBody):
    """A review with its history and what was reported about it."""

    history: list[WordingBody] = Field(description="The oldest first.")
    reported: list[ReportView] = Field(description="At most a hundred, the oldest first.")
