"""Orders as their consumer reads and writes them: each write names the state and the version that it was decided on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pymongo.client_session import ClientSession
from pymongo.errors import PyMongoError

from connectors.errors import Unavailable
from connectors.mongo.client import Client, unavailable
from connectors.mongo.sagas.documents import Document, changed_fields, order_document, order_of
from marketplace.collections import ORDERS
from marketplace.sagas.orders import Order

_DUE: Final = {"due_ms": 1}


@dataclass(frozen=True)
class KeptOrder:
    """An order, and its document with what others write of it."""

    order: Order
    document: Document


class OrderRepository:
    """The collection ``orders``. Safe to share between threads.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Client, database: str) -> None:
        self._orders = client[database][ORDERS.name]

    def get(self, order: str, session: ClientSession) -> KeptOrder | None:
        """The order of an id; None where there is none."""
        found = self._orders.find_one({"_id": order}, session=session)
        return None if found is None else KeptOrder(order_of(found), found)

    def save(self, kept: KeptOrder, after: Order, now_ms: int, session: ClientSession) -> None:
        """Write what was decided.

        Raises:
            Unavailable: It was changed since it was read; nothing is written, and the next attempt sees that.
        """
        before = kept.document
        fields = changed_fields(before, order_document(after, now_ms, before))
        known = {"_id": after.id, "state": before["state"], "version": before["version"]}
        if not self._orders.update_one(known, {"$set": fields}, session=session).matched_count:
            raise Unavailable(f"order {after.id} was changed meanwhile")

    def due(self, now_ms: int, limit: int) -> list[str]:
        """Ids of orders whose deadline has passed, the oldest first.

        Raises:
            Unavailable: Mongo does not answer.
        """
        return due_ids(self._orders, now_ms, limit)

    def oldest_due_ms(self) -> int | None:
        """The first deadline of all; None where nothing waits.

        Raises:
            Unavailable: Mongo does not answer.
        """
        return oldest_due_ms(self._orders)


def due_by(now_ms: int) -> dict[str, Any]:
    """The question for rows whose ``due_ms`` has passed.

    It has both ends. Where nothing is due any more ``due_ms`` is null: the Mongo of the embedded stack would go through
    all of those rows, which is every order that has ever ended.
    """
    return {"due_ms": {"$gt": 0, "$lte": now_ms}}


def due_ids(collection: Any, now_ms: int, limit: int) -> list[str]:
    """Ids of documents whose ``due_ms`` has passed, the oldest first.

    Raises:
        Unavailable: Mongo does not answer.
    """
    try:
        found = collection.find(due_by(now_ms), _DUE).sort("due_ms", 1).limit(limit).to_list()
    except PyMongoError as error:
        raise unavailable(error) from error
    return [str(each["_id"]) for each in found]


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
