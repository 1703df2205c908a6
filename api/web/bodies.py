"""What a body may be: JSON of a bounded size and depth, of the type that is declared, read once.

And how long the work for a request may take: every wait for a part has its own bound, but several follow each other.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeVar, get_type_hints

import msgspec
from fastapi import Request, Response
from fastapi.routing import APIRoute

from api.web.parameters import check_parameters
from api.web.problems import BAD_REQUEST, TOO_LARGE, UNAVAILABLE, UNSUPPORTED_MEDIA_TYPE, FieldError, Problem
from api.web.queries import Queries, made_of_queries
from marketplace.idempotency import HEADER as KEY_HEADER
from marketplace.idempotency import InvalidKey, checked_key

MAX_BODY_BYTES: Final = 64 << 10
"""Of a request; a route that takes files says so itself."""

MAX_DEPTH: Final = 16

REQUEST_SECONDS: Final = 8.0
"""For the work of a request, from its whole body to its answer; what it has begun in Mongo ends within two more."""

BODY_SECONDS: Final = 10.0
"""For a request's body to come. A request that waits for its body has one of the places of requests at one time."""

_RETRY_SECONDS: Final = 2.0
_READS_BODY: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})

_T = TypeVar("_T")
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class FileBody:
    """A file that a route takes instead of JSON; it is read after it is known who asks.

    Attributes:
        media_type: The only one that is read.
        example: A short one.
        max_bytes: Of a file.
        times_as_long: For it to come, compared with other bodies.
        at_once: How many of the route a process reads at one time.
    """

    media_type: str
    example: str
    max_bytes: int
    times_as_long: float = 6.0
    at_once: int = 2


class StrictRoute(APIRoute):
    """A route whose body and caller are checked before anything else looks at it.

    A page of another site can send a form or plain text with a visitor's cookies, but JSON only after asking: a body
    of another type, or of none, is refused and never guessed.
    """

    check: ClassVar[staticmethod[[Request], Awaitable[None]] | None] = None
    """Who may ask; a dependency of FastAPI that does the same costs as much as the rest of an empty request."""

    @staticmethod
    async def read(request: Request) -> None:
        """Read the body of a request, and refuse one that is not what the route takes.

        Raises:
            Problem: It is not.
        """
        await _read(request)

    file: ClassVar[FileBody | None] = None
    once: ClassVar[bool] = False

    @classmethod
    def checked_by(
        cls, check: Callable[[Request], Awaitable[None]], file: FileBody | None = None, once: bool = False
    ) -> type[StrictRoute]:
        """The class of routes with that check, of those that take such a file, and of those that need a key."""
        return type(cls.__name__, (cls,), {"check": staticmethod(check), "file": file, "once": once})

    def get_route_handler(self) -> Callable[[Request], Any]:
        """The handler behind the checks."""
        check, queries, once = self.check, self._queries(), self.once
        endpoint = super().get_route_handler()
        files = None if self.file is None else _Files(self.file)

        async def inner(request: Request) -> Response:
            if check is not None and files is None:
                await check(request)
            if queries is not None and (known := queries.of(request)) is not None:
                return await known
            check_parameters(request)
            if once:
                request.state.idempotency_key = key_of(request)
            answer: Response = await endpoint(request)
            return answer

        async def handler(request: Request) -> Response:
            if files is None and request.method in _READS_BODY:
                await self.read(request)
            try:
                if files is not None:
                    await _in_time(files.refusing(check), request)
                    await files.read(request)
                return await _in_time(inner, request)
            finally:
                # Before the answer is sent, and also after an error: what was begun may have been done.
                changed: Callable[[], None] | None = getattr(request.state, "changed", None)
                if changed is not None:
                    changed()

        return handler

    def _queries(self) -> Queries | None:
        """What the endpoint is called with by query, where it is made of the query alone."""
        endpoint = self.dependant.call
        assert endpoint is not None  # a route has one
        if self.methods != {"GET"} or get_type_hints(endpoint).get("return") is not Response:
            return None
        if not made_of_queries(self.dependant):
            return None
        found = Queries(endpoint)
        self.dependant.call = found.noting()
        return found


class _Files:
    """Reads the files of one route, some at one time."""

    def __init__(self, kind: FileBody) -> None:
        self._kind, self._reading = kind, 0

    def refusing(self, check: Callable[[Request], Awaitable[None]] | None) -> Callable[[Request], Awaitable[None]]:
        """Refuses who may not send one, and what is no such file by its head."""

        async def refuse(request: Request) -> None:
            if check is not None:
                await check(request)
            # Before a file is sent for something else than is wanted, as with a parameter that is misspelt.
            check_parameters(request)
            _check_type(request, self._kind.media_type)

        return refuse

    async def read(self, request: Request) -> None:
        """Read the file; the endpoint finds it as the request's body."""
        if self._reading >= self._kind.at_once:
            raise Problem(
                UNAVAILABLE,
                "as many files are being sent as there may be",
                retry_after_seconds=_RETRY_SECONDS,
                headers={"connection": "close"},
            )
        self._reading += 1
        try:
            seconds = request.app.state.body_seconds * self._kind.times_as_long
            request._body = await _bounded(request, self._kind.max_bytes, seconds)
        finally:
            self._reading -= 1


async def _in_time(inner: Callable[[Request], Awaitable[_T]], request: Request) -> _T:
    try:
        async with asyncio.timeout(request.app.state.request_seconds):
            return await inner(request)
    except TimeoutError as error:
        raise Problem(UNAVAILABLE, retry_after_seconds=_RETRY_SECONDS) from error


async def _read(request: Request) -> None:
    body = await bounded_body(request)
    # Starlette keeps what was read in these two, so nothing reads or decodes it again.
    request._body = body
    if not body:
        return
    _check_type(request, "application/json")
    try:
        request._json = msgspec.json.decode(body)
        json.loads(body, object_pairs_hook=_unique, parse_int=str, parse_float=str)
    except _Twice as error:
        raise Problem(BAD_REQUEST, "the body has an object with two fields of one name") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(BAD_REQUEST, "the body is not valid JSON in UTF-8") from error
    except RecursionError as error:
        raise Problem(BAD_REQUEST, f"the body is nested deeper than {MAX_DEPTH} levels") from error
    if _deeper(request._json, MAX_DEPTH):
        raise Problem(BAD_REQUEST, f"the body is nested deeper than {MAX_DEPTH} levels")


def key_of(request: Request) -> str:
    """The key of a request that is done once however often it is sent.

    Raises:
        Problem: It has none, several, or one that is none.
    """
    given = request.headers.getlist(KEY_HEADER)
    try:
        if len(given) != 1:
            raise InvalidKey("give one, made for this request alone")
        return checked_key(given[0])
    except InvalidKey as error:
        path = f"header:{KEY_HEADER.lower()}"
        detail = f"this needs the header {KEY_HEADER}: what it does is done once for each"
        raise Problem(BAD_REQUEST, detail, errors=[FieldError(path, "key", str(error))]) from error


def _check_type(request: Request, media_type: str) -> None:
    types = request.headers.getlist("content-type")
    if [each.partition(";")[0].strip().lower() for each in types] != [media_type]:
        raise Problem(UNSUPPORTED_MEDIA_TYPE, f"a body is {media_type}")
    if any(each.strip().lower() != "identity" for each in request.headers.getlist("content-encoding")):
        # RFC 9110, section 12.5.3: the answer says which encodings are read.
        raise Problem(UNSUPPORTED_MEDIA_TYPE, "a body is not compressed", headers={"accept-encoding": "identity"})


class _Twice(ValueError):
    """An object has two fields of one name."""


def _unique(fields: list[tuple[str, Any]]) -> None:
    # Readers differ in which of the two they take, so what a proxy has checked might not be what holds here.
    if len(fields) > 1 and len({name for name, _ in fields}) < len(fields):
        raise _Twice


async def bounded_body(request: Request) -> bytes:
    """The body of a request that takes no file.

    Raises:
        Problem: It is too large, or does not come in time.
    """
    return await _bounded(request, MAX_BODY_BYTES, request.app.state.body_seconds)


async def _bounded(request: Request, most: int, seconds: float) -> bytes:
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > most:
        raise _too_large(most)
    parts, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise _too_large(most)
                parts.append(part)
    except TimeoutError as error:
        raise Problem(BAD_REQUEST, "the body did not come in time", headers={"connection": "close"}) from error
    return b"".join(parts)


def _too_large(most: int) -> Problem:
    # What is still to come is not read.
    return Problem(TOO_LARGE, f"a body has at most {most} bytes", headers={"connection": "close"})


def _deeper(value: Any, levels: int) -> bool:
    """Whether lists and objects lie more than so many levels in one another."""
    level = [value]
    for _ in range(levels):
        level = [
            inner
            for each in level
            if isinstance(each, (dict, list))
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True
