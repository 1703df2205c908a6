"""Cursors of lists of orders: a cursor holds where its page ends."""

from __future__ import annotations

import re
from typing import Final

from api.web.cursors import cursor, match_of
from connectors.mongo.newest_pages import NewestPlace

_PLACE: Final = re.compile(r"([0-9]{1,15}):([0-9a-f]{32})", re.ASCII)


def cursor_of(kind: str, place: NewestPlace | None) -> str | None:
    """The cursor of a place; None for none.

    Args:
        kind: The list, so that a cursor of one is none of another.
        place: Of the last order before the next page.
    """
    return None if place is None else cursor(kind, f"{place.at_ms}:{place.id}")


def place_after(kind: str, text: str) -> NewestPlace | None:
    """Where a page begins; None for the first one, whose cursor is empty.

    Raises:
        Problem: It is no cursor of this list.
    """
    if not text:
        return None
    found = match_of(kind, text, _PLACE)
    return NewestPlace(int(found[1]), found[2])
