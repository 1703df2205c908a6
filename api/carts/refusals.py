"""What a refusal of a cart is as an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from api.web.problems import CONFLICT, NOT_FOUND, FieldError, Problem, ProblemType
from marketplace.carts.cart import (
    CartError,
    CartFull,
    ChangedAgain,
    NoSuchCart,
    NoSuchLine,
    NotForSale,
    OutOfStock,
    TooMany,
)

_ANSWERS: Final[Mapping[type[CartError], tuple[ProblemType, str, str]]] = {
    NoSuchCart: (NOT_FOUND, "header:x-cart", "unknown"),
    NoSuchLine: (NOT_FOUND, "path:variant", "unknown"),
    NotForSale: (NOT_FOUND, "/variant", "not-for-sale"),
    OutOfStock: (CONFLICT, "/variant", "out-of-stock"),
    TooMany: (CONFLICT, "/quantity", "limit"),
    CartFull: (CONFLICT, "/variant", "cart-full"),
    ChangedAgain: (CONFLICT, "/changes_id", "changed"),
}


def problem_of(error: CartError) -> Problem:
    """The answer for a refusal; its message says why, and repeats nothing of the request."""
    kind, path, code = _ANSWERS[type(error)]
    return Problem(kind, str(error), errors=[FieldError(path, code, str(error))])
