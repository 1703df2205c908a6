"""Orders as their consumer reads and writes them: each write names the state and the version that it was decided on."""

from __future__ import annotations

from dataclasses import dataclass

from pymongo.client_session import ClientSession

from connectors.errors import Unavailable
from connectors.mongo.client import Client
from connectors.mongo.sagas.documents import Document, changed_fields, order_document, order_of
from connectors.mongo.sagas.due import Due, due_rows, oldest_due_ms
from marketplace.collections import ORDERS
from marketplace.sagas.order_state import Order


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

    def due(self, now_ms: int, limit: int, after: tuple[int, str] | None = None) -> list[Due]:
        """Orders whose deadline has passed: see :func:`due_rows`."""
        return due_rows(self._orders, now_ms, limit, after)

    def oldest_due_ms(self) -> int | None:
        """The first deadline of all; None where nothing waits.

        Raises:
            Unavailable: Mongo does not answer.
        """
        return oldest_due_ms(self._orders)
