"""Reviews as documents of Mongo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from marketplace.reviews.reviews import Reply, Review, ReviewState, Wording

NO_HISTORY: Final[Mapping[str, int]] = {"history": 0}
"""The projection of lists, which show what a review says now."""


def key_of(product: str, user: str) -> str:
    """The id of the document of a review."""
    return f"{product}:{user}"


def review_document(review: Review) -> dict[str, Any]:
    """A review as it is kept."""
    return {
        "_id": key_of(review.product, review.user),
        **asdict(review),
        "state": review.state.value,
        "history": [asdict(each) for each in review.history],
    }


def review_of(document: Mapping[str, Any]) -> Review:
    """The review of a document."""
    # Documents from before orders say who has bought a product say it themselves.
    fields = {name: value for name, value in document.items() if name not in ("_id", "verified")}
    reply = fields["reply"]
    return Review(
        **{
            **fields,
            "state": ReviewState(fields["state"]),
            "reply": None if reply is None else Reply(**reply),
            "history": tuple(Wording(**each) for each in fields.get("history", ())),
        }
    )
