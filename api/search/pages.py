"""Cursors of searches, for whoever lists hits: a cursor belongs to one question, and holds where its page ends."""

from __future__ import annotations

from api.web.cursors import cursor, place_of
from marketplace.search.answers import Place
from marketplace.search.queries import Query


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
    key, lenient, product_id = place_of(_kind(query), text).split(":", 2)
    return Place(int(key), product_id, lenient == "1")


def _kind(query: Query) -> str:
    return f"search {query!r}"
