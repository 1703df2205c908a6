"""Cursors of searches, for whoever lists hits: a cursor belongs to one question, and holds where its page ends."""

from __future__ import annotations

import re
from typing import Final

from api.web.cursors import cursor, match_of
from marketplace.search.answers import Place
from marketplace.search.queries import Query

_PLACE: Final = re.compile(r"(-?[0-9]{1,18}):([01]):([0-9a-zA-Z_-]{1,64})", re.ASCII)


def cursor_of(query: Query, place: Place) -> str:
    """The cursor of the page after a place."""
    return cursor(_kind(query), f"{place.key}:{int(place.lenient)}:{place.id}")


def place_after(query: Query, text: str) -> Place | None:
    """Where a page begins; None for the first one, whose cursor is empty.

    Raises:
        Problem: It is no cursor of this question.
    """
    if not text:
        return None
    found = match_of(_kind(query), text, _PLACE)
    return Place(int(found[1]), found[3], found[2] == "1")


def _kind(query: Query) -> str:
    return f"search {query!r}"
