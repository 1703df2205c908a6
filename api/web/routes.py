"""Routes that say what they demand and cost: the only way to register one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import cleandoc, signature
from typing import Any, Final, TypeVar

from fastapi import APIRouter, FastAPI, Response
from fastapi.datastructures import Default
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel

from api.access import Demand, Requirement, check_path, checking
from api.web.bodies import FileBody, StrictRoute
from api.web.problems import (
    BAD_REQUEST,
    CONFLICT,
    FORBIDDEN,
    INTERNAL,
    INVALID,
    LIMIT,
    MEDIA_TYPE,
    NOT_FOUND,
    PRECONDITION_REQUIRED,
    TOO_LARGE,
    TOO_MANY_REQUESTS,
    UNAUTHENTICATED,
    UNAVAILABLE,
    UNSUPPORTED_MEDIA_TYPE,
    ProblemType,
)
from marketplace.idempotency import HEADER, MAX_KEY_CHARS
from marketplace.identity.roles import API_KEY_SCOPES, Permission, StoreRole, has_permission

ACCESS_TOKEN: Final = "accessToken"
API_KEY: Final = "apiKey"
"""What a caller can show, by its name in the OpenAPI document."""

Links = Mapping[str, Mapping[str, str]]
"""Operations that can follow an answer: for each, by its id, what its parameters are in the answer or the request."""

_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])
_ALWAYS: Final = (BAD_REQUEST, UNAUTHENTICATED, TOO_MANY_REQUESTS, INTERNAL, UNAVAILABLE)
_WITH_BODY: Final = (TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, INVALID)
_NO_VALUES: Final = frozenset({"request", "response"})
_BODY: Final = "body"
_SECONDS: Final = {"schema": {"type": "integer", "minimum": 1}, "description": "Seconds to wait.", "required": True}
_HEADERS: Final[Mapping[int, Mapping[str, Any]]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "How to sign in.", "required": True}},
    429: {"Retry-After": _SECONDS},
    503: {"Retry-After": _SECONDS},
}
_REQUEST_ID: Final = {
    "schema": {"type": "string"},
    "description": "For questions about this request.",
    "required": True,
}
_ETAG: Final = {"schema": {"type": "string"}, "description": "Names this version of the answer.", "required": True}
_ALWAYS_HEADERS: Final[Mapping[str, Any]] = {
    "X-Request-Id": _REQUEST_ID,
    "RateLimit": {
        "schema": {"type": "string"},
        "description": "Tokens that are left (`r`), and in how many seconds there are all (`t`).",
        "required": True,
    },
    "RateLimit-Policy": {
        "schema": {"type": "string"},
        "description": "All tokens (`q`), and in how many seconds they come (`w`).",
        "required": True,
    },
}
"""Of every answer but those to requests that are refused before it is known who asks."""

_STORE: Final = {
    "name": "store",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "title": "Store"},
    "description": "The store's slug.",
    "example": "shop",
}
_IF_NONE_MATCH: Final = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The `ETag` of an answer that is there already: if it is still the same, the answer is 304.",
}
_IF_MATCH: Final = {
    "name": "If-Match",
    "in": "header",
    "required": True,
    "schema": {"type": "string"},
    "description": "The `ETag` of the version that is edited: 412 where there is a newer one, 428 without it.",
    "example": '"1"',
}
_KEY: Final = {
    "name": HEADER,
    "in": "header",
    "required": True,
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_CHARS, "pattern": "^[!-~]+$"},
    "description": "Made for this request alone, such as a UUID. Sent again with it, the request is done once.",
    "example": "6f1c2a5e-4b0e-4a53-9a51-3c8e7d1f0b22",
}
_CART: Final = {
    "name": "X-Cart",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The secret of a guest's cart, of `POST /v1/carts`; who is signed in has an own one.",
}
_LOCATION: Final = {"schema": {"type": "string"}, "description": "The path of what was made.", "required": True}
_PRESENT_PATH: Final = {"schema": {"type": "string"}, "description": "The present path.", "required": True}


@dataclass(frozen=True)
class Rule:
    """What is known of a route beside its path.

    Attributes:
        demand: Of its caller.
        cost: Tokens of the caller's limit that a request takes.
        status: Of a good answer.
        works_frozen: Whether it works in a frozen store.
        once: Whether it needs an ``Idempotency-Key``.
    """

    demand: Requirement
    cost: float
    status: int = 200
    works_frozen: bool = True
    once: bool = False


class Routes:
    """The routes of one feature.

    Args:
        prefix: Of their paths.
        tag: Their heading in the documentation.
        route: What reads the bodies of their requests.
        moves_value: Whether they move money or stock: each ``POST`` says then whether it needs a key.
    """

    def __init__(
        self, prefix: str, tag: str, route: type[StrictRoute] = StrictRoute, *, moves_value: bool = False
    ) -> None:
        self._moves_value = moves_value
        self.router, self._route = APIRouter(prefix=prefix, tags=[tag], route_class=route), route
        self.rules: dict[tuple[str, str], Rule] = {}

    def add(
        self,
        method: str,
        path: str,
        *,
        demand: Requirement,
        cost: float = 1.0,
        status: int = 200,
        works_frozen: bool | None = None,
        changes_access: bool | None = None,
        problems: Sequence[ProblemType] = (),
        example: Any = None,
        model: type[BaseModel] | None = None,
        also: Sequence[str] = (),
        documented: bool = True,
        links: Links | None = None,
        revalidates: bool = False,
        versioned: bool = False,
        located: bool = False,
        moves: bool = False,
        in_path: Sequence[Mapping[str, Any]] = (),
        takes: FileBody | None = None,
        gives: type[Response] | None = None,
        once: bool | None = None,
        ends: bool = False,
    ) -> Callable[[_Endpoint], _Endpoint]:
        """Register an endpoint; its name is the operation's id, its docstring the documentation.

        Args:
            method: ``GET``, ``POST``, ...
            path: Below the prefix.
            demand: What its caller has to be, or has to be allowed in the store that the path names as ``{store}``.
            cost: Tokens that a request takes.
            status: Of a good answer.
            works_frozen: Whether it works in a frozen store; by default where it only reads.
            changes_access: Whether it may change an account, a sign-in or who may do what in a store; by default where
                it does not only read.
            problems: What it answers beside what every route may answer.
            example: Of a good answer.
            model: Of a good answer, where the endpoint returns a response that is made already.
            also: Further media types of it.
            documented: Whether it is an operation of the OpenAPI document; pages for people are not.
            links: What can follow a good answer.
            revalidates: Whether it answers 304 to ``If-None-Match``.
            versioned: Whether its answer has an ``ETag`` that an edit names. A route that may answer
                ``PRECONDITION_REQUIRED`` takes it as ``If-Match``.
            located: Whether its answer has a ``Location``.
            moves: Whether it answers 301 where the thing has another path by now.
            in_path: Parameters of the path that the endpoint reads itself, as the OpenAPI document has them.
            takes: The file that it takes instead of JSON.
            gives: The class of a good answer that is a file; its media type is documented.
            ends: Whether it answers 204 where nothing is going to follow.
            once: Whether it needs an ``Idempotency-Key`` and is done once for each; see :mod:`api.web.idempotency`.

        Raises:
            ValueError: A permission is demanded and the path names no store, or the other way round; or a ``POST`` of a
                feature that moves money or stock does not say whether it needs a key.
        """
        if self._moves_value and method == "POST" and once is None:
            raise ValueError(f"POST {self.router.prefix + path} does not say whether it is done once")
        check_path(demand, self.router.prefix + path)
        frozen = method == "GET" if works_frozen is None else works_frozen
        changes = method != "GET" if changes_access is None else changes_access

        def register(endpoint: _Endpoint) -> _Endpoint:
            possible: list[ProblemType] = [*_ALWAYS, *(_WITH_BODY if method != "GET" else ()), *problems]
            if "{" in self.router.prefix + path or signature(endpoint).parameters.keys() - _NO_VALUES:
                possible.append(INVALID)
            if demand is not Demand.NOTHING:
                possible.append(FORBIDDEN)
            summary, _, description = (endpoint.__doc__ or "").strip().partition("\n")
            if once:
                possible.append(CONFLICT)
            if isinstance(demand, Permission):
                possible += [NOT_FOUND, *(() if frozen else (LIMIT,))]
            headers = {
                **_ALWAYS_HEADERS,
                **({"ETag": _ETAG} if revalidates or versioned else {}),
                **({"Location": _LOCATION} if located else {}),
            }
            self.router.add_api_route(
                path,
                endpoint,
                methods=[method],
                status_code=status,
                operation_id=endpoint.__name__,
                # Readers of titles show them as they are.
                summary=summary.rstrip(".").replace("`", ""),
                description=f"{cleandoc(description)}\n\n{_needs(demand)}".strip(),
                route_class_override=self._route.checked_by(checking(demand, cost, frozen, changes), takes, bool(once)),
                include_in_schema=documented,
                responses=_responses(
                    possible, status, headers, example, model, also, links or {}, revalidates, moves, gives, ends
                ),
                openapi_extra=_extra(
                    demand, revalidates, PRECONDITION_REQUIRED in problems, in_path, takes, bool(once)
                ),
                response_class=gives or Default(JSONResponse),
            )
            self.rules[method, self.router.prefix + path] = Rule(demand, cost, status, frozen, bool(once))
            return endpoint

        return register


def include(app: FastAPI, features: Sequence[Routes]) -> dict[tuple[str, str], Rule]:
    """Add the routes of all features to an application.

    Returns:
        The rule of every route, by method and path.

    Raises:
        ValueError: The application has a route without a rule, or two of one method and path.
    """
    rules: dict[tuple[str, str], Rule] = {}
    for feature in features:
        # All in one list: a router inside another one is asked once more for each that is inside it.
        app.router.routes.extend(feature.router.routes)
        rules |= feature.rules
    seen = set()
    # A router that was included is one entry of `app.routes`: this gives what is in it.
    for route in iter_route_contexts(app.routes):
        for method in route.methods or ("any method",):
            if (method, route.path) not in rules:
                raise ValueError(f"{method} {route.path} does not say what it demands")
            if (method, route.path) in seen:
                raise ValueError(f"{method} {route.path} is registered twice")
            seen.add((method, route.path))
    return rules


def _needs(demand: Requirement) -> str:
    """Who may ask an operation, for people."""
    if demand is Demand.NOTHING:
        return "Nobody has to be signed in."
    if demand is Demand.CART:
        return "Needs an access token of any account, or the header `X-Cart`."
    if not isinstance(demand, Permission):
        return f"Needs an access token: of {'an admin of the platform' if demand is Demand.ADMIN else 'any account'}."
    roles = [role.value for role in StoreRole if has_permission(role, demand)]
    key = f", or an API key with the scope `{demand.value}`" if demand in API_KEY_SCOPES else ""
    return f"Needs a role in the store: {' or '.join(roles)}{key}."


def _responses(
    problems: Sequence[ProblemType],
    status: int,
    headers: Mapping[str, Any],
    example: Any,
    model: type[BaseModel] | None,
    also: Sequence[str],
    links: Links,
    revalidates: bool,
    moves: bool,
    gives: type[Response] | None,
    ends: bool,
) -> dict[int | str, dict[str, Any]]:
    found: dict[int | str, dict[str, Any]] = {}
    for problem in problems:
        entry = found.setdefault(
            problem.status,
            {
                "description": problem.title,
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}},
                "headers": {"X-Request-Id": _REQUEST_ID, **_HEADERS.get(problem.status, {})},
            },
        )
        entry["content"][MEDIA_TYPE]["examples"][problem.name] = {
            "summary": problem.title,
            "value": {
                "type": problem.uri,
                "title": problem.title,
                "status": problem.status,
                "request_id": "0f8fad5bd9cb469fa165070867728950",
            },
        }
    if example is not None:
        others = {media: {"schema": {"type": "string"}, "example": ""} for media in also}
        media_type = "application/json" if gives is None else str(gives.media_type)
        found[status] = {"content": {media_type: {"example": example}, **others}}
        if model is not None:
            found[status]["model"] = model
    found.setdefault(status, {})["headers"] = headers
    if links:
        found[status]["links"] = {name: _link(name, values) for name, values in links.items()}
    if revalidates:
        found[304] = {"description": "The answer that `If-None-Match` names is still the same.", "headers": headers}
    if ends:
        found[204] = {"description": "Nothing is going to follow.", "headers": headers}
    if moves:
        moved = {**_ALWAYS_HEADERS, "Location": _PRESENT_PATH}
        found[301] = {"description": "The thing has another path by now.", "headers": moved}
    return found


def _link(operation: str, values: Mapping[str, str]) -> dict[str, Any]:
    """A link of the OpenAPI document; a value for ``body`` is a field of the next request's body and its source."""
    link: dict[str, Any] = {"operationId": operation}
    parameters = {name: source for name, source in values.items() if not name.startswith(f"{_BODY}.")}
    body = {name.partition(".")[2]: source for name, source in values.items() if name.startswith(f"{_BODY}.")}
    return link | ({"parameters": parameters} if parameters else {}) | ({"requestBody": body} if body else {})


def _extra(
    demand: Requirement,
    revalidates: bool,
    takes_version: bool,
    in_path: Sequence[Mapping[str, Any]],
    takes: FileBody | None,
    once: bool,
) -> dict[str, Any] | None:
    """What FastAPI does not know of an operation: who may ask it, and with which header."""
    extra: dict[str, Any] = {}
    if demand is not Demand.NOTHING:
        by_key: list[dict[str, list[str]]] = [{API_KEY: []}] if demand in API_KEY_SCOPES else []
        extra["security"] = [{ACCESS_TOKEN: []}, *by_key, *([{}] if demand is Demand.CART else ())]
    parameters = [
        *([_STORE] if isinstance(demand, Permission) else ()),
        *in_path,
        *([_CART] if demand is Demand.CART else ()),
        *([_IF_NONE_MATCH] if revalidates else ()),
        *([_IF_MATCH] if takes_version else ()),
        *([_KEY] if once else ()),
    ]
    if takes is not None:
        file = {"schema": {"type": "string"}, "example": takes.example}
        extra["requestBody"] = {"required": True, "content": {takes.media_type: file}}
    return extra | ({"parameters": parameters} if parameters else {}) or None
