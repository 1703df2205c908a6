"""What a query asks, by its text: FastAPI validates each text once, and not for every request that asks it again.

Whoever watches numbers sends the same query over and over, and its validation costs as much as an empty request does.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, Final

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant

MAX_TEXTS: Final = 256
"""Of one route; the oldest one goes."""

MAX_BYTES: Final = 1_024
"""Of a text that is remembered."""

Endpoint = Callable[..., Awaitable[Response]]


class Queries:
    """Arguments of one endpoint by the text of the query that they are of.

    Args:
        endpoint: Takes the request as ``request``, and values that are made of the query alone. It gets the same ones
            again, so it must not change them.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._known: dict[bytes, dict[str, Any]] = {}

    def noting(self) -> Endpoint:
        """The endpoint, which notes what it is called with."""

        @functools.wraps(self._endpoint)
        async def note(request: Request, **values: Any) -> Response:
            text: bytes = request.scope["query_string"]
            if len(text) <= MAX_BYTES:
                if len(self._known) >= MAX_TEXTS:
                    del self._known[next(iter(self._known))]
                self._known[text] = values
            return await self._endpoint(request=request, **values)

        return note

    def of(self, request: Request) -> Awaitable[Response] | None:
        """The answer to a request whose query was asked before; None for another one."""
        values = self._known.get(request.scope["query_string"])
        return None if values is None else self._endpoint(request=request, **values)


def made_of_queries(dependant: Dependant) -> bool:
    """Whether an endpoint takes the request, and else nothing that is not made of the query."""
    return dependant.request_param_name == "request" and _only(dependant, request="request")


def _only(dependant: Dependant, request: str | None) -> bool:
    others = (
        dependant.path_params, dependant.header_params, dependant.cookie_params, dependant.body_params,
        dependant.response_param_name, dependant.http_connection_param_name, dependant.websocket_param_name,
        dependant.background_tasks_param_name, dependant.security_scopes_param_name,
    )  # fmt: skip
    return (
        not any(others)
        and dependant.request_param_name == request
        and all(_only(each, request=None) for each in dependant.dependencies)
    )
