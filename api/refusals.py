"""What a refusal of tenancy is as an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from api.web.problems import (
    CONFLICT,
    FORBIDDEN,
    GONE,
    INVALID,
    LIMIT,
    NOT_FOUND,
    OPEN_ORDERS,
    STALE,
    FieldError,
    Problem,
    ProblemType,
)
from marketplace.catalog.refusals import (
    CategoryInUse,
    ImportUnderWay,
    InvalidCatalog,
    NoSuchCategory,
    NoSuchImport,
    NoSuchProduct,
    SkuTaken,
)
from marketplace.identity.tenancy import (
    AlreadyMember,
    InviterGone,
    LastOwner,
    LimitReached,
    LinkGone,
    NoSuchMember,
    NoSuchStore,
    NoSuchThing,
    NoSuchUser,
    NotAllowed,
    OpenOrders,
    SlugReserved,
    SlugTaken,
    Stale,
    TenancyError,
    WrongAddress,
)

_TYPES: Final[Mapping[type[TenancyError], ProblemType]] = {
    NoSuchStore: NOT_FOUND,
    NoSuchUser: NOT_FOUND,
    NoSuchMember: NOT_FOUND,
    NoSuchThing: NOT_FOUND,
    SlugTaken: CONFLICT,
    SlugReserved: INVALID,
    Stale: STALE,
    LimitReached: LIMIT,
    LastOwner: CONFLICT,
    OpenOrders: OPEN_ORDERS,
    AlreadyMember: CONFLICT,
    InviterGone: CONFLICT,
    NotAllowed: FORBIDDEN,
    WrongAddress: FORBIDDEN,
    LinkGone: GONE,
    InvalidCatalog: INVALID,
    NoSuchProduct: NOT_FOUND,
    NoSuchCategory: NOT_FOUND,
    NoSuchImport: NOT_FOUND,
    SkuTaken: CONFLICT,
    CategoryInUse: CONFLICT,
    ImportUnderWay: CONFLICT,
}
_FIELDS: Final[Mapping[type[TenancyError], tuple[str, str]]] = {
    SlugTaken: ("/slug", "taken"),
    SlugReserved: ("/slug", "reserved"),
}


def problem_of(error: TenancyError) -> Problem:
    """The answer for a refusal; its message says why, and repeats nothing of the request."""
    kind = type(error)
    if kind is NoSuchStore:
        # The same as for a store that the caller is no member of, to the byte.
        return Problem(NOT_FOUND)
    errors = [FieldError(*_FIELDS[kind], str(error))] if kind in _FIELDS else []
    if isinstance(error, LinkGone):
        errors = [FieldError("/token", error.end.value, str(error))]
    if isinstance(error, SkuTaken):
        errors = [FieldError(error.path, "taken", str(error))]
    if isinstance(error, InvalidCatalog):
        return Problem(INVALID, errors=[FieldError(each.path, each.code, each.message) for each in error.faults])
    if isinstance(error, OpenOrders):
        return Problem(OPEN_ORDERS, str(error), more={"open_orders": error.count, "orders": error.where})
    return Problem(_TYPES[kind], str(error), errors=errors)
