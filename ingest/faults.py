"""Errors as the client sees them: one status, one code, one clear sentence."""

from __future__ import annotations

import math
from typing import Final

import msgspec
from starlette.responses import Response

CORS_HEADERS: Final = {"access-control-allow-origin": "*"}


class HttpFault(Exception):
    """A request that is answered with an error; what it carried was not recorded.

    Attributes:
        status: The HTTP status.
        code: A short name for programs, from a fixed set.
        message: One sentence for people.
        path: The field at fault; empty if there is none.
        retry_after_seconds: When the client may try again with the same event ids; None when a retry cannot help.
        close: Whether the connection is to be closed.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        path: str = "",
        retry_after_seconds: float | None = None,
        close: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.path = path
        self.retry_after_seconds = retry_after_seconds
        self.close = close

    def headers(self) -> dict[str, str]:
        """The response headers that go with it."""
        headers = dict(CORS_HEADERS)
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        if self.retry_after_seconds is not None:
            headers["retry-after"] = str(max(1, math.ceil(self.retry_after_seconds)))
        if self.close:
            headers["connection"] = "close"
        return headers

    def response(self) -> Response:
        """The HTTP response, JSON."""
        body = msgspec.json.encode({"error": {"code": self.code, "message": self.message, "path": self.path}})
        return Response(body, self.status, self.headers(), media_type="application/json")


def unavailable(message: str, retry_after_seconds: float = 2.0) -> HttpFault:
    """503: nothing is wrong with the request; sending it again later is safe because of its event ids."""
    return HttpFault(503, "unavailable", message, retry_after_seconds=retry_after_seconds)
