"""Which order a person means."""

from __future__ import annotations

from typing import Final

from connectors.errors import Refused
from connectors.mongo.client import Client
from connectors.mongo.sagas.order_ids import ids_beginning_with

_LEAST_CHARS: Final = 8
"""As many as mails, the shop and the dashboard show."""
_SHOWN: Final = 5
_MOST_CHARS: Final = 60


def order_id(client: Client, database: str, text: str) -> str:
    """The id of the order that a person names: by its id, or by the beginning of it in small or capital letters.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
        text: What the person has typed.

    Raises:
        Refused: There is no such order, there are several, or it is too short to say.
        Unavailable: Mongo does not answer.
    """
    shown = text[:_MOST_CHARS]
    whole = text.strip()
    if not whole.isascii():
        raise Refused(f"there is no order {shown!r}")
    if whole and whole in ids_beginning_with(client, database, whole, 1):
        return whole
    beginning = whole.removeprefix("#").lower()
    if len(beginning) < _LEAST_CHARS:
        raise Refused(
            f"there is no order {shown!r}: give its id, or at least the first {_LEAST_CHARS} characters of it"
        )
    found = ids_beginning_with(client, database, beginning, _SHOWN + 1)
    if not found:
        raise Refused(f"there is no order {shown!r}")
    if len(found) > 1 and beginning not in found:
        more = ", ..." if len(found) > _SHOWN else ""
        raise Refused(
            f"{shown!r} is the beginning of several orders, give more of it: {', '.join(found[:_SHOWN])}{more}"
        )
    return found[0]
