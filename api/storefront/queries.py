"""What the addresses of pages say: bounded, and forgiving about what is not ours: links come from everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fastapi import Request

from api.web.problems import INVALID, NOT_FOUND, FieldError, Problem
from marketplace.search.queries import MAX_CHARS
from marketplace.stores import SLUG

_MAX_QUERY_CHARS: Final = 512


def query_of(request: Request) -> Mapping[str, str]:
    """The query of a page: of a parameter that is there twice the last one counts, and others than ours are for others.

    Raises:
        Problem: A value is longer than any of ours.
    """
    found = dict(request.query_params)
    for name, value in found.items():
        if len(value) > (MAX_CHARS if name == "q" else _MAX_QUERY_CHARS) and not name.startswith("utm_"):
            raise Problem(INVALID, errors=[FieldError(f"query:{name[:40]}", "string_too_long", "give less")])
    return found


def checked_slug(text: str) -> str:
    """A slug of a path; what is none names nothing.

    Raises:
        Problem: It is none.
    """
    if not SLUG.fullmatch(text):
        raise Problem(NOT_FOUND)
    return text
