"""Errors as clients see them: RFC 9457 problem details, whatever layer finds the error.

The catalogue below is all that this API answers; the reference page and the OpenAPI document are made of it. Nothing
that a client sent is repeated in an answer: it may be a password.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from starlette.responses import Response

MEDIA_TYPE: Final = "application/problem+json"
_BASE: Final = "/problems/"
"""Types are relative references, which RFC 9457 resolves against the API's own URL; each is a page there."""


@dataclass(frozen=True)
class ProblemType:
    """A kind of error.

    Attributes:
        name: The last part of its URI; clients decide by it, so it never changes.
        status: The HTTP status.
        title: What is wrong, the same for every occurrence.
        remedy: What a client can do about it.
    """

    name: str
    status: int
    title: str
    remedy: str

    @property
    def uri(self) -> str:
        """Its ``type``."""
        return _BASE + self.name


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one value of a request.

    Attributes:
        path: A JSON pointer into the body (``/email``), or ``query:``, ``path:`` or ``header:`` and a name.
        code: For programs, of a fixed set.
        message: For people.
    """

    path: str
    code: str
    message: str


class Problem(Exception):
    """A request that is answered with an error.

    Args:
        type: Its kind.
        detail: What is wrong this time, as a sentence that repeats nothing of the request.
        errors: The values that are wrong.
        retry_after_seconds: When a repetition may succeed.
        headers: Further headers of the answer.
        more: Further members of the problem (RFC 9457, section 3.2), which its route documents.
    """

    def __init__(
        self,
        type: ProblemType,
        detail: str = "",
        *,
        errors: Iterable[FieldError] = (),
        retry_after_seconds: float | None = None,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{type.status} {type.name}: {detail or type.title}")
        self.type, self.detail, self.errors = type, detail, tuple(errors)
        self.retry_after_seconds = retry_after_seconds
        self._headers, self._more = dict(headers or {}), dict(more or {})

    @property
    def headers(self) -> dict[str, str]:
        """What goes with it: a 401 says how to sign in, and what may be repeated says when."""
        headers = dict(self._headers)
        if self.type.status == 401:
            headers.setdefault("www-authenticate", "Bearer")
        if self.retry_after_seconds is not None:
            headers["retry-after"] = str(max(1, math.ceil(self.retry_after_seconds)))
        return headers

    def response(self, request_id: str) -> Response:
        """The answer."""
        body: dict[str, Any] = {"type": self.type.uri, "title": self.type.title, "status": self.type.status}
        if self.detail:
            body["detail"] = self.detail
        if self.errors:
            body["errors"] = [{"path": e.path, "code": e.code, "message": e.message} for e in self.errors]
        body |= self._more
        body["request_id"] = request_id
        return Response(msgspec.json.encode(body), self.type.status, self.headers, MEDIA_TYPE)


BAD_REQUEST: Final = ProblemType(
    "bad-request", 400, "The request cannot be read", "Send what HTTP and JSON allow; `detail` says where it stops."
)
UNAUTHENTICATED: Final = ProblemType(
    "unauthenticated", 401, "Sign in first", "Sign in, or refresh the access token, and repeat the request."
)
FORBIDDEN: Final = ProblemType(
    "forbidden", 403, "You may not do this", "Ask an owner of the store, or use a key with the scope."
)
NOT_FOUND: Final = ProblemType(
    "not-found", 404, "There is nothing here", "Check the path and the ids: what belongs to others is not here either."
)
METHOD_NOT_ALLOWED: Final = ProblemType(
    "method-not-allowed", 405, "This method is not allowed here", "The header `Allow` lists those that are."
)
NOT_ACCEPTABLE: Final = ProblemType(
    "not-acceptable", 406, "There is no such representation", "Ask for `application/json`."
)
CONFLICT: Final = ProblemType(
    "conflict", 409, "It does not go with what is there", "Read what is there now, and decide again."
)
OPEN_ORDERS: Final = ProblemType(
    "open-orders", 409, "The store has open orders",
    "Send their goods, or cancel or refund them: `open_orders` says how many, `orders` where all orders are listed.",
)  # fmt: skip
GONE: Final = ProblemType("gone", 410, "This link is not valid", "It was used or has expired: ask for another one.")
STALE: Final = ProblemType(
    "stale", 412, "It was changed meanwhile", "Read it again, and repeat the edit with the `ETag` of that answer."
)
PRECONDITION_REQUIRED: Final = ProblemType(
    "precondition-required", 428, "Say which version you edit", "Send the `ETag` of the last answer as `If-Match`."
)
TOO_LARGE: Final = ProblemType("too-large", 413, "The request is too large", "Send less at one time.")
UNSUPPORTED_MEDIA_TYPE: Final = ProblemType(
    "unsupported-media-type", 415, "The body has another type than is read here", "Send `application/json`."
)
INVALID: Final = ProblemType(
    "invalid", 422, "Some values are not valid", "`errors` lists each with what is wrong with it."
)
LIMIT: Final = ProblemType(
    "limit", 403, "The plan does not include more of this", "Upgrade, or remove what is not needed any more."
)
TOO_MANY_REQUESTS: Final = ProblemType(
    "too-many-requests", 429, "Too many requests", "Wait as long as `Retry-After` says."
)
INTERNAL: Final = ProblemType(
    "internal", 500, "Something went wrong here", "It was logged with the request id; a repetition may fail again."
)
UNAVAILABLE: Final = ProblemType(
    "unavailable", 503, "A part of the system does not answer", "Repeat the request after `Retry-After` seconds."
)

PROBLEM_TYPES: Final[tuple[ProblemType, ...]] = (
    BAD_REQUEST,
    UNAUTHENTICATED,
    FORBIDDEN,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    NOT_ACCEPTABLE,
    CONFLICT,
    OPEN_ORDERS,
    GONE,
    STALE,
    PRECONDITION_REQUIRED,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    INVALID,
    LIMIT,
    TOO_MANY_REQUESTS,
    INTERNAL,
    UNAVAILABLE,
)
