"""Orders by the beginning of their id, which is what people call them by."""

from __future__ import annotations

from typing import Any, Final

from pymongo.errors import PyMongoError

from connectors.mongo.client import Client, unavailable
from marketplace.collections import ORDERS, PARKED_EVENTS

_AFTER_ALL: Final = "\U0010ffff"


def ids_beginning_with(client: Client, database: str, text: str, limit: int) -> list[str]:
    """Ids of orders, and of those that only a parked event speaks of.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
        text: The beginning, or all, of an id.
        limit: At most so many.

    Raises:
        Unavailable: Mongo does not answer.
    """
    mongo, wanted = client[database], {"$gte": text, "$lt": text + _AFTER_ALL}
    of_parked: list[dict[str, Any]] = [
        {"$match": {"key": wanted}},
        {"$group": {"_id": "$key"}},
        {"$sort": {"_id": 1}},
        {"$limit": limit},
    ]
    try:
        found = {row["_id"] for row in mongo[ORDERS.name].find({"_id": wanted}, {"_id": 1}).sort("_id", 1).limit(limit)}
        found |= {row["_id"] for row in mongo[PARKED_EVENTS.name].aggregate(of_parked)}
    except PyMongoError as error:
        raise unavailable(error) from error
    return sorted(found)[:limit]
