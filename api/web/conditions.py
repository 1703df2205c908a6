"""Conditional requests (RFC 9110, section 13)."""

from __future__ import annotations

from fastapi import Request


def is_unchanged(request: Request, etag: str) -> bool:
    """Whether ``If-None-Match`` names an answer that the client has already.

    The comparison is the weak one: a proxy that compresses an answer makes its tag weak.

    Args:
        request: What is asked.
        etag: Of the answer as it is now.
    """
    given = [each.strip() for each in ",".join(request.headers.getlist("if-none-match")).split(",")]
    return any(each == "*" or each.removeprefix("W/") == etag for each in given)
