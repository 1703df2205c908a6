"""A store's orders for its seller's pages, read with the blocking client: always of one store, bounded, and timed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pymongo
from pymongo.errors import PyMongoError, ServerSelectionTimeoutError

from connectors.errors import Unavailable
from connectors.mongo.client import Client, unavailable
from connectors.mongo.newest_pages import NewestPlace, beginnings
from connectors.mongo.sagas.audit import SagaAudit
from connectors.mongo.sagas.documents import payment_of, reservation_of
from connectors.mongo.sagas.sold_orders import Buyer, CameBack, Group, Only, OrderPage, WholeOrder, sold_order
from marketplace.collections import ORDERS, PARKED_EVENTS, PAYMENTS, RESERVATIONS, STOCK_MOVEMENTS, USERS
from marketplace.identity.emails import email_key
from marketplace.orders.delivery import GONE
from marketplace.sagas.declaration import Service, deadline_of
from marketplace.sagas.inventory import MovementKind
from marketplace.sagas.order_state import OrderState
from marketplace.sagas.reconcile import GRACE_MS

PAGE: Final = 50
"""Orders of a page."""

MAX_SEARCH_CHARS: Final = 100
MAX_OF_BUYER: Final = 1_000
"""Orders of a buyer that are counted at most, those in other stores too."""

_MAX_STUCK: Final = 100
_MAX_WAITING: Final = 5_000
_MAX_MOVEMENTS: Final = 10_000
_SECONDS: Final = 2.0
_SCAN_SECONDS: Final = 5.0
_SUMS_SECONDS: Final = 6.0
_NEWEST: Final = [("placed_at_ms", pymongo.DESCENDING), ("_id", pymongo.ASCENDING)]
_ID: Final = re.compile("[0-9a-f]{6,32}")


class TooMuch(Exception):
    """There is too much to look through in the time that a page has."""


class StoreOrders:
    """The orders of one store at a time. Every call raises ``Unavailable`` where Mongo does not answer in time.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
        scan_seconds: For what may read all orders of the chosen days.
    """

    def __init__(self, client: Client, database: str, scan_seconds: float = _SCAN_SECONDS) -> None:
        self._scan_seconds = scan_seconds
        mongo = client[database]
        self._orders, self._payments = mongo[ORDERS.name], mongo[PAYMENTS.name]
        self._reservations, self._parked, self._users = (
            mongo[RESERVATIONS.name],
            mongo[PARKED_EVENTS.name],
            mongo[USERS.name],
        )
        self._movements = mongo[STOCK_MOVEMENTS.name]
        self._audit = SagaAudit(client, database)

    def page(self, store: str, only: Only, after: NewestPlace | None = None) -> OrderPage:
        """A page of orders.

        Args:
            store: The slug.
            only: Which ones. The id of an order, and a buyer's address, are looked for whenever they were placed.
            after: Behind which place; None for the newest ones.

        Raises:
            TooMuch: There are too many to look through for a text.
        """
        scans = bool(only.text) or only.gone is not None
        try:
            with _timed(self._scan_seconds if scans else _SECONDS):
                found = (
                    self._looked_for(store, only, after)
                    if only.text or only.ids is not None
                    else self._newest(store, only, after)
                )
        except Unavailable as error:
            cause = error.__cause__
            late = isinstance(cause, PyMongoError) and cause.timeout
            if only.text and late and not isinstance(cause, ServerSelectionTimeoutError):
                raise TooMuch from error
            raise
        orders = tuple(map(sold_order, found[:PAGE]))
        last = orders[-1] if len(found) > PAGE else None
        return OrderPage(orders, None if last is None else NewestPlace(last.placed_at_ms, last.order.id))

    def _newest(self, store: str, only: Only, after: NewestPlace | None) -> list[dict[str, Any]]:
        # It takes no index for an $or, either: those of the moment at which the page begins are asked for first.
        question = {"store": store, **_kind(only)}
        found: list[dict[str, Any]] = []
        more: list[dict[str, Any]] = []
        until_ms = only.until_ms
        if after is not None:
            until_ms = after.at_ms
            same = {**question, "placed_at_ms": _between(until_ms, until_ms + 1)}
            found = [row for row in self._orders.find(same).sort(_NEWEST) if row["_id"] > after.id]
        wanted = PAGE + 1 - len(found)
        for since_ms in beginnings(until_ms, only.since_ms):
            within = {**question, "placed_at_ms": _between(since_ms, until_ms)}
            more = self._orders.find(within).sort(_NEWEST).limit(max(1, wanted)).to_list()
            if len(more) >= wanted:
                break
        return [*found, *more]

    def _looked_for(self, store: str, only: Only, after: NewestPlace | None) -> list[dict[str, Any]]:
        question = {"store": store, **self._question(store, only)}
        if after is not None:
            later = {"placed_at_ms": after.at_ms, "_id": {"$gt": after.id}}
            question = {"$and": [question, {"$or": [{"placed_at_ms": {"$lt": after.at_ms}}, later]}]}
        return self._orders.find(question).sort(_NEWEST).limit(PAGE + 1).to_list()

    def groups(self, store: str, since_ms: int, until_ms: int) -> tuple[Group, ...]:
        """How many orders of some days there are by state and currency, and their sums.

        It reads all of them, which takes half a second for ten thousand on SecantusDB: pages do not wait for it.
        """
        group = {
            "_id": {"state": "$state", "currency": "$currency", "goods": "$fulfilment.state"},
            "count": {"$sum": 1},
            "paid": {"$sum": "$paid_minor"},
            "refunded": {"$sum": "$refunded_minor"},
        }
        pipeline: list[dict[str, Any]] = [
            {"$match": {"store": store, "placed_at_ms": _between(since_ms, until_ms)}},
            {"$group": group},
        ]
        with _timed(_SUMS_SECONDS):
            rows = self._orders.aggregate(pipeline).to_list()
        return tuple(
            Group(
                OrderState(row["_id"]["state"]),
                row["_id"]["currency"],
                _is_gone(row["_id"].get("goods")),
                row["count"],
                row["paid"],
                row["refunded"],
            )
            for row in rows
        )

    def stuck(self, store: str, now_ms: int) -> tuple[str, ...]:
        """Ids of orders that are longer in a state than it may last, longest first, whenever they were placed."""
        waits = {state: deadline for state in OrderState if (deadline := deadline_of(state)) is not None}
        question = {"store": store, "state": {"$in": [state.value for state in waits]}}
        with _timed():
            # By when they began it would take no index of SecantusDB; few orders wait at any moment.
            rows = self._orders.find(question, {"state": 1, "state_since_ms": 1}).limit(_MAX_WAITING).to_list()
        late = [
            (row["state_since_ms"], row["_id"])
            for row in rows
            if row["state_since_ms"] + waits[OrderState(row["state"])].seconds * 1_000 + GRACE_MS <= now_ms
        ]
        return tuple(order for _, order in sorted(late)[:_MAX_STUCK])

    def one(self, store: str, order: str) -> WholeOrder | None:
        """An order of the store with all that is kept of it; None where the store has none of that id."""
        with _timed():
            document = self._orders.find_one({"_id": order, "store": store})
            if document is None:
                return None
            sold, own = sold_order(document), {"store": store}
            payment = self._payments.find_one({"order": order, **own})
            reservation = self._reservations.find_one({"_id": order, **own})
            consumers = [service.value for service in Service]
            parked = self._parked.find({"consumer": {"$in": consumers}, "key": order}, {"consumer": 1}).limit(1_000)
            return WholeOrder(
                sold=sold,
                buyer=self._buyer(sold.order.buyer),
                payment=None if payment is None else payment_of(payment),
                reservation=None if reservation is None else reservation_of(reservation),
                steps=tuple(self._audit.steps(order)),
                parked=frozenset(row["consumer"] for row in parked),
                orders_of_buyer=self._bought(store, sold.order.buyer),
                came_back=self._came_back(store, order),
            )

    def _came_back(self, store: str, order: str) -> tuple[CameBack, ...]:
        rows = self._movements.find({"cause": order}, {"store": 1, "kind": 1, "quantity": 1, "at_ms": 1})
        pieces: dict[tuple[int, str], int] = {}
        for row in rows.limit(_MAX_MOVEMENTS):
            if row["store"] == store and row["kind"] == MovementKind.RETURNED.value:
                # What comes back with one refund is one transaction, and a movement for each variant.
                with_refund = row["at_ms"], row["_id"].rpartition(":")[0]
                pieces[with_refund] = pieces.get(with_refund, 0) + row["quantity"]
        return tuple(CameBack(at_ms, pieces[at_ms, refund]) for at_ms, refund in sorted(pieces))

    def _bought(self, store: str, buyer: str) -> int:
        # By both it would take no index of SecantusDB.
        found = self._orders.find({"buyer": buyer}, {"store": 1}).limit(MAX_OF_BUYER)
        return sum(row["store"] == store for row in found)

    def _buyer(self, user: str) -> Buyer:
        found = self._users.find_one({"_id": user}, {"email": 1, "name": 1})
        return Buyer() if found is None else Buyer(found.get("email", ""), found.get("name", ""))

    def _question(self, store: str, only: Only) -> dict[str, Any]:
        question = _kind(only)
        text = only.text.strip()[:MAX_SEARCH_CHARS]
        if only.ids is not None:
            question["_id"] = {"$in": list(only.ids)}
            if not text:
                return question
        if _ID.fullmatch(text.lower()):
            begins: dict[str, Any] = {"$gte": text.lower(), "$lt": f"{text.lower()}g"}
            if only.ids is not None:
                begins = {"$in": [each for each in only.ids if each.startswith(text.lower())]}
            if self._orders.find_one({"store": store, **question, "_id": begins}, {"_id": 1}) is not None:
                return {**question, "_id": begins}
        if "@" in text:
            user = self._users.find_one({"email_key": email_key(text)}, {"_id": 1})
            return {**question, "buyer": user["_id"] if user is not None else ""}
        days = {} if only.ids is not None else {"placed_at_ms": _between(only.since_ms, only.until_ms)}
        like = {"$regex": re.escape(text), "$options": "i"}
        names = ("delivery.name", "lines.title", "lines.sku")
        return {**question, **days, "$or": [{name: like} for name in names]}


def _kind(only: Only) -> dict[str, Any]:
    question: dict[str, Any] = {}
    if only.state is not None:
        question["state"] = only.state.value
    if only.gone is not None:
        sent = [state.value for state in GONE]
        question["fulfilment.state"] = {"$in": sent} if only.gone else {"$nin": sent}
    return question


def _between(since_ms: int, until_ms: int) -> dict[str, int]:
    # SecantusDB leaves out what is equal to a bound of $gte on a descending field that is not the index's last one.
    return {"$gt": since_ms - 1, "$lt": until_ms}


def _is_gone(state: str | None) -> bool:
    return state in {each.value for each in GONE}


@contextmanager
def _timed(seconds: float = _SECONDS) -> Iterator[None]:
    try:
        with pymongo.timeout(seconds):
            yield
    except PyMongoError as error:
        raise unavailable(error) from error
