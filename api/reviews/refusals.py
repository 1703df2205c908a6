"""What a refusal of a review is as an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from api.web.problems import CONFLICT, FORBIDDEN, INVALID, NOT_FOUND, FieldError, Problem, ProblemType
from marketplace.reviews.reviews import (
    InvalidText,
    NoSuchProduct,
    NoSuchReview,
    NotReviewed,
    OwnReview,
    OwnStore,
    OwnStoreVote,
    RemovedForGood,
    ReviewError,
    TooManyEdits,
)

_ANSWERS: Final[Mapping[type[ReviewError], tuple[ProblemType, str, str]]] = {
    NoSuchReview: (NOT_FOUND, "path:review", "unknown"),
    NotReviewed: (NOT_FOUND, "path:product", "unknown"),
    NoSuchProduct: (NOT_FOUND, "path:product", "unknown"),
    OwnStore: (FORBIDDEN, "path:product", "own-store"),
    OwnStoreVote: (FORBIDDEN, "path:review", "own-store"),
    OwnReview: (FORBIDDEN, "path:review", "own-review"),
    RemovedForGood: (CONFLICT, "path:product", "removed"),
    TooManyEdits: (CONFLICT, "/text", "limit"),
    InvalidText: (INVALID, "/text", "text"),
}


def problem_of(error: ReviewError) -> Problem:
    """The answer for a refusal; its message says why, and repeats nothing of the request."""
    kind, path, code = _ANSWERS[type(error)]
    return Problem(kind, str(error), errors=[FieldError(path, code, str(error))])
