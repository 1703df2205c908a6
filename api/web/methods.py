"""Which methods a path has: asked before a route is chosen, because each route knows its own method alone."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from api.web.edge import request_id_of
from api.web.problems import METHOD_NOT_ALLOWED, Problem


class Methods:
    """The methods of every path.

    Args:
        routes: Method and path template of each route.
    """

    def __init__(self, routes: Iterable[tuple[str, str]]) -> None:
        found: defaultdict[str, set[str]] = defaultdict(set)
        for method, template in routes:
            # The edge answers HEAD where there is GET.
            found[template] |= {"GET", "HEAD"} if method == "GET" else {method}
        self._exact = {path: frozenset(methods) for path, methods in found.items() if "{" not in path}
        self._others: list[tuple[re.Pattern[str], frozenset[str]]] = [
            (compile_path(template)[0], frozenset(methods)) for template, methods in found.items() if "{" in template
        ]

    def of(self, path: str) -> frozenset[str]:
        """The methods of a path, decoded; empty where there is nothing.

        A path that is written out is itself and no value of a parameter: ``/sessions/end`` is no session.
        """
        exact = self._exact.get(path)
        if exact is not None:
            return exact
        return next((methods for pattern, methods in self._others if pattern.match(path)), frozenset())


class MethodCheck:
    """An ASGI middleware that answers a method which its path does not have.

    Args:
        app: What answers the others.
        methods: Of every path.
    """

    def __init__(self, app: ASGIApp, methods: Methods) -> None:
        self._app, self._methods = app, methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        allowed = self._methods.of(scope["path"]) if scope["type"] == "http" else frozenset()
        if allowed and scope["method"] not in allowed:
            problem = Problem(METHOD_NOT_ALLOWED, headers={"allow": ", ".join(sorted(allowed))})
            await problem.response(request_id_of(scope))(scope, receive, send)
        else:
            await self._app(scope, receive, send)
