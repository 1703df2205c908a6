"""Documents whose time has come: those with a ``due_ms`` that has passed, found again by whoever looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pymongo.errors import PyMongoError

from connectors.mongo.client import unavailable

OLDEST_FIRST: Final = (("due_ms", 1), ("_id", 1))
_DUE: Final = {"due_ms": 1}


@dataclass(frozen=True)
class Due:
    """A document whose time has come.

    Attributes:
        id: Its id.
        due_ms: Since when, epoch milliseconds.
    """

    id: str
    due_ms: int


def due_query(now_ms: int, after: tuple[int, str] | None) -> dict[str, Any]:
    """The filter of documents that are due.

    It has both ends. Where nothing is due any more ``due_ms`` is null: the Mongo of the embedded stack would go through
    all of those documents, which is every order that has ever ended.

    Args:
        now_ms: The time.
        after: Time and id of the last one of the page before; None for the first page.
    """
    if after is None:
        return {"due_ms": {"$gt": 0, "$lte": now_ms}}
    at, last = after
    behind = [{"due_ms": {"$gt": at}}, {"due_ms": at, "_id": {"$gt": last}}]
    return {"due_ms": {"$gte": at, "$lte": now_ms}, "$or": behind}


def due_rows(collection: Any, now_ms: int, limit: int, after: tuple[int, str] | None = None) -> list[Due]:
    """Documents that are due, the oldest first.

    Args:
        collection: Where.
        now_ms: The time.
        limit: At most so many.
        after: See :func:`due_query`.

    Raises:
        Unavailable: Mongo does not answer.
    """
    try:
        rows = collection.find(due_query(now_ms, after), _DUE).sort(list(OLDEST_FIRST)).limit(limit).to_list()
    except PyMongoError as error:
        raise unavailable(error) from error
    return [Due(str(each["_id"]), int(each["due_ms"])) for each in rows]


def oldest_due_ms(collection: Any) -> int | None:
    """The first ``due_ms`` of all; None where nothing waits.

    Raises:
        Unavailable: Mongo does not answer.
    """
    try:
        found = collection.find({"due_ms": {"$gt": 0}}, _DUE).sort("due_ms", 1).limit(1).to_list()
    except PyMongoError as error:
        raise unavailable(error) from error
    return int(found[0]["due_ms"]) if found else None
