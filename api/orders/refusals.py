"""What a refusal of an order or of stock is as an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from api.web.problems import CONFLICT, NOT_FOUND, FieldError, Problem, ProblemType
from marketplace.inventory.levels import (
    BelowReserved,
    NoSuchVariant,
    NotCounted,
    StillReserved,
    StockError,
    TooMuchStock,
)
from marketplace.orders.refusals import (
    AnotherCart,
    Differs,
    EmptyCart,
    NoSuchOrder,
    NothingToPay,
    NotPossible,
    OrderError,
    OutOfStock,
    TooLarge,
    UnknownLine,
)

_ANSWERS: Final[Mapping[type[Exception], tuple[ProblemType, str, str]]] = {
    NoSuchOrder: (NOT_FOUND, "path:order", "unknown"),
    EmptyCart: (CONFLICT, "/cart_version", "empty"),
    AnotherCart: (CONFLICT, "/cart_version", "changed"),
    Differs: (CONFLICT, "/changes_id", "differs"),
    OutOfStock: (CONFLICT, "/cart_version", "out-of-stock"),
    TooLarge: (CONFLICT, "/cart_version", "limit"),
    NothingToPay: (CONFLICT, "/cart_version", "nothing-to-pay"),
    NotPossible: (CONFLICT, "path:order", "state"),
    UnknownLine: (CONFLICT, "/lines", "line"),
    NoSuchVariant: (NOT_FOUND, "/product", "unknown"),
    NotCounted: (NOT_FOUND, "path:variant", "not-counted"),
    BelowReserved: (CONFLICT, "/quantity", "reserved"),
    TooMuchStock: (CONFLICT, "/quantity", "limit"),
    StillReserved: (CONFLICT, "path:variant", "reserved"),
}


def problem_of(error: OrderError | StockError) -> Problem:
    """The answer for a refusal; its message says why, and repeats nothing of the request."""
    kind, path, code = _ANSWERS[type(error)]
    more: dict[str, Any] = {}
    if isinstance(error, Differs):
        changes = [{**asdict(each), "kind": each.kind.value} for each in error.changes]
        more = {"changes": changes, "changes_id": error.changes_id}
    if isinstance(error, OutOfStock):
        more = {"lacking": [asdict(each) for each in error.lacking]}
    return Problem(kind, str(error), errors=[FieldError(path, code, str(error))], more=more)
