"""Where a person goes on after signing in."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

HOME: Final = "/"
_MAX_CHARS: Final = 4_000
_TARGET: Final = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")
_NEVER: Final = ("/sign-", "/session/", "/_stcore/", "/static/", "/media/", "/component/", "/app/")


def safe_target(text: str) -> str:
    r"""The address if it is one of the dashboard's own pages, otherwise the first page.

    A whole URL, ``//host`` or ``/\host`` would lead to another site, and a control character would split a header.
    """
    fits = len(text) <= _MAX_CHARS and _TARGET.fullmatch(text) and not text.startswith(_NEVER)
    return text if fits else HOME


def sign_in_url(target: str) -> str:
    """The sign-in page that leads back to an address."""
    target = safe_target(target)
    return "/sign-in" if target == HOME else f"/sign-in?next={quote(target, safe='/')}"
