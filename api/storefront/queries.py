"""What the addresses of pages say: bounded, and forgiving about what is not ours: links come from everywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from fastapi import Request

from api.web.problems import INVALID, NOT_FOUND, FieldError, Problem

MAX_TEXT_CHARS: Final = 200
"""Of a search."""

_MAX_QUERY_CHARS: Final = 512
_SLUG: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_SHOP_CHARS: Final = 63


def query_of(request: Request) -> Mapping[str, str]:
    """The query of a page: of a parameter that is there twice the last one counts, and others than ours are for others.

    Raises:
        Problem: A value is longer than any of ours.
    """
    found = dict(request.query_params)
    for name, value in found.items():
        if len(value) > (MAX_TEXT_CHARS if name == "q" else _MAX_QUERY_CHARS) and not name.startswith("utm_"):
            raise Problem(INVALID, errors=[FieldError(f"query:{name[:40]}", "string_too_long", "give less")])
    return found


def checked_slug(text: str, most: int = _SHOP_CHARS) -> str:
    """A slug of a path; what is none names nothing.

    Raises:
        Problem: It is none.
    """
    if not _SLUG.fullmatch(text) or len(text) > most:
        raise Problem(NOT_FOUND)
    return text
