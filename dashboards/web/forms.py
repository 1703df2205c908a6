"""What a form of the dashboard may be: sent by one of its own pages, urlencoded, short."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from dashboards.web.cookies import is_secure

MAX_BODY_BYTES: Final = 8 << 10
FORM_SECONDS: Final = 10.0
_TYPE: Final = "application/x-www-form-urlencoded"
_MAX_FIELDS: Final = 10


class BadForm(Exception):
    """A form that is refused.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def check_sender(scope: Scope, names: Collection[str]) -> None:
    """Refuse what a page of another site sends, or something that does not say where it comes from.

    Args:
        scope: The request.
        names: Host names under which the dashboard is reached, as behind a proxy.

    Raises:
        BadForm: It does not come from one of our own pages.
    """
    headers = Headers(scope=scope)
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is None and origin is None:
        raise BadForm(403, "It does not say which page it comes from.")
    if site not in (None, "same-origin") or not _is_own(scope, origin, names):
        raise BadForm(403, "It comes from a page of another site.")


def _is_own(scope: Scope, origin: str | None, names: Collection[str]) -> bool:
    if origin is None:
        return True
    try:
        parts = urlsplit(origin)
        host = parts.hostname or ""
    except ValueError:
        return False
    same_scheme = parts.scheme == ("https" if is_secure(scope) else "http")
    return same_scheme and (parts.netloc == Headers(scope=scope).get("host") or host in names)


async def read_form(scope: Scope, receive: Receive, seconds: float = FORM_SECONDS) -> dict[str, str]:
    """The fields of a form.

    Args:
        scope: The request.
        receive: Its body.
        seconds: For the body to come.

    Raises:
        BadForm: It is none, too long, or does not come in time.
    """
    types = Headers(scope=scope).getlist("content-type")
    if [each.partition(";")[0].strip().lower() for each in types] != [_TYPE]:
        raise BadForm(415, f"A form is {_TYPE}.")
    try:
        async with asyncio.timeout(seconds):
            body = await _body(receive)
    except TimeoutError as error:
        raise BadForm(408, "It did not come in time.") from error
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise BadForm(400, "It cannot be read.") from error
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise BadForm(400, "A field is there twice.")
    return fields


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise BadForm(400, "It ended before it was complete.")
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise BadForm(413, "It is too long.")
        if not message.get("more_body", False):
            return bytes(body)
