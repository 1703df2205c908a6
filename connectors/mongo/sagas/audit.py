"""All that is kept of orders and stock, read at one moment each, for the reconciler and for people who look."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
from pymongo.client_session import ClientSession
from pymongo.collection import Collection as MongoCollection
from pymongo.errors import PyMongoError

from connectors.mongo.client import Client, unavailable
from connectors.mongo.sagas.documents import order_of, payment_of, reservation_of
from connectors.mongo.times import milliseconds
from connectors.mongo.transactions import in_transaction
from marketplace.collections import (
    INBOX,
    LEDGER_ENTRIES,
    ORDERS,
    OUTBOX,
    PARKED_EVENTS,
    PAYMENTS,
    RESERVATIONS,
    STOCK,
    STOCK_MOVEMENTS,
)
from marketplace.sagas.declaration import DEADLINES, Deadline, Service
from marketplace.sagas.inventory import Movement
from marketplace.sagas.payment_state import Entry, RefundState
from marketplace.sagas.reconcile import GRACE_MS, OrderRows, Said, StockRows
from marketplace.sagas.wire import AGGREGATE

_AT_ONCE: Final = 100
"""Rows that are read in one transaction; SecantusDB looks up more than 200 ids slowly."""

T = TypeVar("T")
_Found = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Step:
    """An event of an order, and who has handled it when.

    Attributes:
        id: Of the event.
        type: What happened.
        source: Who said it.
        at_ms: When it was decided.
        written_ms: When it was written to the outbox.
        payload: Its JSON.
        trace_parent: The trace that it belongs to; empty for none.
        handled_ms: When each service had handled it.
    """

    id: str
    type: str
    source: str
    at_ms: int
    written_ms: int
    payload: str
    trace_parent: str
    handled_ms: Mapping[str, int]


@dataclass(frozen=True)
class Waiting:
    """Something of an order that is in a state that waits for somebody.

    Attributes:
        order: The id of the order.
        store: The slug.
        service: Whose state it is.
        state: The state.
        since_ms: Since when, epoch milliseconds.
        due_ms: From when on it is stuck.
        then: What ends it, as a sentence.
    """

    order: str
    store: str
    service: Service
    state: str
    since_ms: int
    due_ms: int
    then: str


class SagaAudit:
    """Reads the collections of the saga. Every call raises ``Unavailable`` where Mongo does not answer.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Client, database: str) -> None:
        self._client, self._mongo = client, client[database]

    def orders(self, store: str | None = None) -> Iterator[list[OrderRows]]:
        """All orders with all that is kept of them, some at a time; each is read at one moment.

        Args:
            store: The slug of one; None for all.
        """
        for ids in self._ids(ORDERS.name, store):
            yield in_transaction(self._client, partial(self._orders, ids))

    def stock(self, store: str | None = None) -> Iterator[list[StockRows]]:
        """The stock of all variants that are counted, some at a time; each is read at one moment."""
        for ids in self._ids(STOCK.name, store):
            yield in_transaction(self._client, partial(self._stock, ids))

    def without_order(self, store: str | None = None) -> Iterator[tuple[str, str, str]]:
        """Payments and reservations whose order is not there: the collection, the slug and the id."""
        for name, field in ((PAYMENTS.name, "order"), (RESERVATIONS.name, "_id")):
            for ids in self._ids(name, store):
                found = self._read(self._mongo[name].find({"_id": {"$in": ids}}, {"store": 1, "order": 1}))
                wanted = {row[field]: row for row in found}
                there = self._read(self._mongo[ORDERS.name].find({"_id": {"$in": list(wanted)}}, {"_id": 1}))
                for order in sorted(set(wanted) - {row["_id"] for row in there}):
                    yield name, wanted[order]["store"], wanted[order]["_id"]

    def said(self, store: str | None = None) -> dict[str, tuple[str, Said]]:
        """All events in the outbox by id, with the slug of the store."""
        # Canaries of the relay stand there, too.
        only = {"aggregatetype": AGGREGATE} | ({} if store is None else {"ce_store": store})
        rows = self._read(self._mongo[OUTBOX.name].find(only, {"type": 1, "ce_store": 1, "created_at": 1}))
        return {row["_id"]: (row["ce_store"], _said(row)) for row in rows}

    def steps(self, order: str) -> list[Step]:
        """The events of an order that the outbox has still, in the order in which they were written."""
        heard: dict[str, dict[str, int]] = defaultdict(dict)
        for row in self._read(self._mongo[INBOX.name].find({"order": order})):
            event = row["_id"].removeprefix(f"{row['consumer']}:")
            heard[event][row["consumer"]] = milliseconds(row["handled_at"])
        rows = self._read(self._mongo[OUTBOX.name].find({"aggregateid": order}))
        steps = [
            Step(
                id=row["_id"],
                type=row["type"],
                source=row["ce_source"],
                at_ms=milliseconds(datetime.fromisoformat(row["ce_time"])),
                written_ms=milliseconds(row["created_at"]),
                payload=row["payload"],
                trace_parent=row.get("traceparent", ""),
                handled_ms=heard[row["_id"]],
            )
            for row in rows
        ]
        return sorted(steps, key=lambda step: (step.at_ms, step.written_ms, step.id))

    def order(self, order: str) -> tuple[OrderRows, dict[str, Any]] | None:
        """An order with all that is kept of it, and its document; None where there is none."""

        def work(session: ClientSession) -> tuple[OrderRows, dict[str, Any]] | None:
            document = self._mongo[ORDERS.name].find_one({"_id": order}, session=session)
            return None if document is None else (self._orders([order], session)[0], document)

        return in_transaction(self._client, work)

    def waiting(self, now: datetime, *, stuck: bool, store: str | None = None, limit: int = 1_000) -> list[Waiting]:
        """What waits for somebody, longest first.

        Args:
            now: The time.
            stuck: Only what waits for a minute longer than the declaration lets it: who acts in time is not stuck.
            store: The slug of one; None for all.
            limit: The most of each state.
        """
        now_ms, found = milliseconds(now), list[Waiting]()
        for deadline in DEADLINES:
            if isinstance(deadline.state, RefundState):
                found += self._waiting_refunds(deadline, now_ms, stuck=stuck, store=store, limit=limit)
                continue
            collection, field = _PLACES[deadline.service]
            # What a field of a beginning says is late by as long as the state may last.
            lasts_ms = deadline.seconds * 1_000 if field == "state_since_ms" else 0
            query: dict[str, Any] = {"state": str(deadline.state)}
            if stuck:
                query[field] = {"$lte": now_ms - lasts_ms - GRACE_MS}
            if store is not None:
                query["store"] = store
            for row in self._read(self._mongo[collection].find(query).sort(field, 1).limit(limit)):
                due_ms, order = row[field] + lasts_ms, row.get("order", row["_id"])
                since_ms = due_ms - deadline.seconds * 1_000
                state = str(deadline.state)
                found.append(Waiting(order, row["store"], deadline.service, state, since_ms, due_ms, deadline.then))
        return sorted(found, key=lambda each: (each.due_ms, each.order))

    def _waiting_refunds(
        self, deadline: Deadline, now_ms: int, *, stuck: bool, store: str | None, limit: int
    ) -> Iterator[Waiting]:
        query: dict[str, Any] = {"refunds.state": str(deadline.state)}
        if store is not None:
            query["store"] = store
        for row in self._read(self._mongo[PAYMENTS.name].find(query).limit(limit)):
            for refund in payment_of(row).refunds:
                due_ms = refund.requested_ms + deadline.seconds * 1_000
                if refund.state is deadline.state and not (stuck and due_ms > now_ms - GRACE_MS):
                    says = f"refund {refund.id} {refund.state}"
                    order, since_ms = row["order"], refund.requested_ms
                    yield Waiting(order, row["store"], deadline.service, says, since_ms, due_ms, deadline.then)

    def states(self, store: str | None = None) -> dict[str, int]:
        """How many orders there are by state."""
        only: list[dict[str, Any]] = [] if store is None else [{"$match": {"store": store}}]
        rows = self._read(
            self._mongo[ORDERS.name].aggregate([*only, {"$group": {"_id": "$state", "count": {"$sum": 1}}}])
        )
        return {row["_id"]: row["count"] for row in rows}

    def _orders(self, ids: list[str], session: ClientSession) -> list[OrderRows]:
        orders = [order_of(row) for row in self._find(ORDERS.name, {"_id": {"$in": ids}}, session)]
        payments = {row["order"]: row for row in self._find(PAYMENTS.name, {"order": {"$in": ids}}, session)}
        reservations = {row["_id"]: row for row in self._find(RESERVATIONS.name, {"_id": {"$in": ids}}, session)}
        of_payments = {"payment": {"$in": [row["_id"] for row in payments.values()]}}
        entries = _by("order", self._find(LEDGER_ENTRIES.name, of_payments, session))
        movements = _by("cause", self._find(STOCK_MOVEMENTS.name, {"cause": {"$in": ids}}, session))
        said = _by("aggregateid", self._find(OUTBOX.name, {"aggregateid": {"$in": ids}}, session))
        heard = _by("order", self._find(INBOX.name, {"order": {"$in": ids}}, session))
        parked = _by("key", self._find(PARKED_EVENTS.name, {"key": {"$in": ids}}, session))
        return [
            OrderRows(
                order=order,
                payment=payment_of(payments[order.id]) if order.id in payments else None,
                reservation=reservation_of(reservations[order.id]) if order.id in reservations else None,
                entries=tuple(_with_id(row, Entry) for row in entries[order.id]),
                movements=tuple(_with_id(row, Movement) for row in movements[order.id]),
                said=tuple(map(_said, said[order.id])),
                heard=frozenset(
                    (row["consumer"], row["_id"].removeprefix(f"{row['consumer']}:")) for row in heard[order.id]
                ),
                parked=frozenset(row["consumer"] for row in parked[order.id]),
            )
            for order in orders
        ]

    def _stock(self, ids: list[str], session: ClientSession) -> list[StockRows]:
        sums: list[dict[str, Any]] = [
            {"$match": {"variant": {"$in": ids}}},
            {"$group": {"_id": "$variant", "sum": {"$sum": "$quantity"}}},
        ]
        moved = {row["_id"]: row["sum"] for row in self._mongo[STOCK_MOVEMENTS.name].aggregate(sums, session=session)}
        held: dict[str, int] = defaultdict(int)
        for row in self._find(RESERVATIONS.name, {"items.variant": {"$in": ids}, "due_ms": {"$ne": None}}, session):
            for item in row["items"]:
                held[item["variant"]] += item["quantity"]
        return [
            StockRows(
                row["_id"], row["store"], row["on_hand"], row["reserved"], moved.get(row["_id"], 0), held[row["_id"]]
            )
            for row in self._find(STOCK.name, {"_id": {"$in": ids}}, session)
        ]

    def _ids(self, collection: str, store: str | None) -> Iterator[list[str]]:
        last = ""
        while True:
            query: dict[str, Any] = {"_id": {"$gt": last}}
            if store is not None:
                query["store"] = store
            rows = self._read(self._mongo[collection].find(query, {"_id": 1}).sort("_id", 1).limit(_AT_ONCE))
            if not rows:
                return
            yield [row["_id"] for row in rows]
            last = rows[-1]["_id"]

    def _find(self, collection: str, query: Mapping[str, Any], session: ClientSession) -> list[dict[str, Any]]:
        found: MongoCollection[dict[str, Any]] = self._mongo[collection]
        return list(found.find(query, session=session))

    def _read(self, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        with _answering():
            return list(rows)


_PLACES: Final = {
    Service.ORDERS: (ORDERS.name, "state_since_ms"),
    Service.PAYMENTS: (PAYMENTS.name, "state_since_ms"),
    Service.INVENTORY: (RESERVATIONS.name, "due_ms"),
}
"""Where a service's states are, and the field that says since when, or until when, one lasts."""


def _by(field: str, rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: _Found = defaultdict(list)
    for row in rows:
        found[row[field]].append(row)
    return found


def _said(row: Mapping[str, Any]) -> Said:
    return Said(row["_id"], row["type"], milliseconds(row["created_at"]))


def _with_id(row: Mapping[str, Any], wanted: type[T]) -> T:
    return msgspec.convert({**row, "id": row["_id"]}, wanted)


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except PyMongoError as error:
        raise unavailable(error) from error
