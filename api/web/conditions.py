"""Conditional requests (RFC 9110, section 13)."""

from __future__ import annotations

from fastapi import Request

from api.web.problems import PRECONDITION_REQUIRED, STALE, Problem


def is_unchanged(request: Request, etag: str) -> bool:
    """Whether ``If-None-Match`` names an answer that the client has already.

    The comparison is the weak one: a proxy that compresses an answer makes its tag weak.

    Args:
        request: What is asked.
        etag: Of the answer as it is now.
    """
    given = [each.strip() for each in ",".join(request.headers.getlist("if-none-match")).split(",")]
    return any(each == "*" or each.removeprefix("W/") == etag for each in given)


def edited_version(request: Request, version: int) -> int:
    """The version that ``If-Match`` names (RFC 9110, section 13.1.1), which has to be the present one.

    A weak tag never matches, and neither does ``*``, which would overwrite what the caller has not seen.

    Args:
        request: What is asked.
        version: The present one, whose ``ETag`` is its number.

    Raises:
        Problem: It names none, or not this one.
    """
    given = ",".join(request.headers.getlist("if-match"))
    if not given.strip():
        raise Problem(PRECONDITION_REQUIRED)
    if f'"{version}"' not in [tag.strip() for tag in given.split(",")]:
        raise Problem(STALE)
    return version
