"""Cursors of lists of notifications, for whoever lists them."""

from __future__ import annotations

import re
from typing import Final

from api.notifications.service import Place
from api.web.cursors import cursor, match_of

_PLACE: Final = re.compile(r"([0-9]{1,15}):([0-9a-f]{32})", re.ASCII)


def cursor_of(kind: str, place: Place | None) -> str | None:
    """The cursor of a place in a list; None for none."""
    return None if place is None else cursor(kind, f"{place[0]}:{place[1]}")


def place_after(kind: str, text: str) -> Place | None:
    """Where a page begins; None for the first one, whose cursor is empty.

    Raises:
        Problem: It is no cursor of this list.
    """
    if not text:
        return None
    found = match_of(kind, text, _PLACE)
    return int(found[1]), found[2]
