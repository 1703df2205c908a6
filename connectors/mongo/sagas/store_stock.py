"""A store's stock for its seller's pages, read with the blocking client: always of one store, bounded, and timed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import pymongo
from pymongo.errors import PyMongoError

from connectors.mongo.client import Client, unavailable
from connectors.mongo.newest_pages import NewestPage, NewestPlace
from connectors.mongo.sagas.documents import reservation_of
from connectors.mongo.stock import level_of
from marketplace.collections import RESERVATIONS, STOCK, STOCK_MOVEMENTS, USERS
from marketplace.inventory.levels import Level
from marketplace.sagas.inventory import MovementKind, Reservation

MAX_LEVELS: Final = 10_000
"""Variants that one page shows at most."""

MOVEMENTS: Final = 50
"""Movements of a page."""

MAX_RESERVATIONS: Final = 100
_SECONDS: Final = 2.0
_SUMS_SECONDS: Final = 6.0
_NEWEST: Final = [("at_ms", pymongo.DESCENDING), ("_id", pymongo.ASCENDING)]


@dataclass(frozen=True)
class Moved:
    """A line of the ledger of stock, for people.

    Attributes:
        id: Its id.
        at_ms: Epoch milliseconds.
        kind: Why.
        quantity: With its sign.
        on_hand: What was there after it.
        cause: The order, or what the API calls the movement.
        note: What a person said; empty for none.
        by: The name or address of who moved it; empty for an order.
    """

    id: str
    at_ms: int
    kind: MovementKind
    quantity: int
    on_hand: int
    cause: str
    note: str
    by: str


class StoreStock:
    """The stock of one store at a time. Every call raises ``Unavailable`` where Mongo does not answer in time.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Client, database: str) -> None:
        mongo = client[database]
        self._stock, self._movements = mongo[STOCK.name], mongo[STOCK_MOVEMENTS.name]
        self._reservations, self._users = mongo[RESERVATIONS.name], mongo[USERS.name]

    def levels(self, store: str) -> dict[str, Level]:
        """What is there of each variant that is counted, by its id."""
        with _timed():
            found = self._stock.find({"store": store}).sort("_id", 1).limit(MAX_LEVELS).to_list()
        return {row["_id"]: level_of(_whole(row)) for row in found}

    def sold(self, store: str, since_ms: int) -> dict[str, int]:
        """How many of each variant were sold since a moment, less what came back; pages do not wait for it."""
        pipeline: list[dict[str, Any]] = [
            # $gte would leave out what is equal to its bound: see connectors.mongo.sagas.store_orders.
            {"$match": {"store": store, "at_ms": {"$gt": since_ms - 1}}},
            {"$match": {"kind": {"$in": [MovementKind.SOLD.value, MovementKind.RETURNED.value]}}},
            {"$group": {"_id": "$variant", "sum": {"$sum": "$quantity"}}},
        ]
        with _timed(_SUMS_SECONDS):
            return {row["_id"]: max(0, -row["sum"]) for row in self._movements.aggregate(pipeline)}

    def reservations(self, store: str, variant: str) -> tuple[Reservation, ...]:
        """Reservations of a variant that bound others now, the first to end first."""
        question = {"items.variant": variant, "due_ms": {"$gt": 0}, "store": store}
        with _timed():
            found = self._reservations.find(question).sort("due_ms", 1).limit(MAX_RESERVATIONS).to_list()
        return tuple(map(reservation_of, found))

    def movements(self, store: str, variant: str, after: NewestPlace | None = None) -> NewestPage[Moved]:
        """A page of the ledger of a variant.

        Args:
            store: The slug.
            variant: Its id.
            after: Behind which place; None for the newest lines.
        """
        question: dict[str, Any] = {"variant": variant, "store": store}
        if after is not None:
            later = {"at_ms": after.at_ms, "_id": {"$gt": after.id}}
            question = {"$and": [question, {"$or": [{"at_ms": {"$lt": after.at_ms}}, later]}]}
        with _timed():
            found = self._movements.find(question).sort(_NEWEST).limit(MOVEMENTS + 1).to_list()
            names = self._names({row["by"] for row in found if row.get("by")})
        rows = tuple(_moved(row, names) for row in found[:MOVEMENTS])
        last = rows[-1] if len(found) > MOVEMENTS else None
        return NewestPage(rows, None if last is None else NewestPlace(last.at_ms, last.id))

    def _names(self, users: set[str]) -> dict[str, str]:
        if not users:
            return {}
        found = self._users.find({"_id": {"$in": sorted(users)}}, {"name": 1, "email": 1})
        return {row["_id"]: row.get("name") or row.get("email", "") for row in found}


def _whole(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"product": "", "low_at": None, "changed_at_ms": 0, **row}


def _moved(row: Mapping[str, Any], names: Mapping[str, str]) -> Moved:
    by = row.get("by", "")
    return Moved(
        row["_id"],
        row["at_ms"],
        MovementKind(row["kind"]),
        row["quantity"],
        row["on_hand"],
        row["cause"],
        row.get("note", ""),
        names.get(by, "a former member") if by else "",
    )


@contextmanager
def _timed(seconds: float = _SECONDS) -> Iterator[None]:
    try:
        with pymongo.timeout(seconds):
            yield
    except PyMongoError as error:
        raise unavailable(error) from error
