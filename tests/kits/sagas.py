"""Orders in a real Mongo, past the API: how one is placed, how the outbox becomes records, and how all is recounted.

The recounts read documents as they are, and share no code with the product.
"""

from __future__ import annotations

import itertools
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any, Final

from pymongo import MongoClient

from connectors.kafka.records import ConsumerRecord, Record, RecordProducer
from connectors.mongo.client import connect
from connectors.mongo.product_reads import product_document
from connectors.mongo.sagas.documents import (
    entry_document,
    order_document,
    outbox_document,
    payment_document,
    payment_of,
    reservation_document,
)
from connectors.mongo.sagas.steps import SagaSteps, Session
from connectors.mongo.transactions import in_transaction
from marketplace.catalog.products import Availability, Variant
from marketplace.collections import (
    INBOX,
    LEDGER_ENTRIES,
    ORDERS,
    OUTBOX,
    PARKED_EVENTS,
    PAYMENTS,
    PRODUCTS,
    RESERVATIONS,
    STOCK,
    STOCK_MOVEMENTS,
)
from marketplace.sagas import inventory, orders, payments
from marketplace.sagas.declaration import Service
from marketplace.sagas.events import Event, OrderedItem
from marketplace.sagas.orders import Order, OrderLine, OrderState
from marketplace.sagas.payments import Outcome, Payment, PaymentDecision, Report
from marketplace.sagas.wire import event_of
from marketplace.topics import ORDERS_EVENTS
from ops.provision import ensure_provisioned
from ops.resources import Resources
from ops.stack import Stack
from runtime.sections import Settings
from saga_consumers.consumer import Parts, SagaConsumer
from tests.kits.products import product

COLLECTIONS: Final = (
    *(ORDERS, PAYMENTS, LEDGER_ENTRIES, STOCK, STOCK_MOVEMENTS, RESERVATIONS),
    *(OUTBOX, INBOX, PARKED_EVENTS, PRODUCTS),
)
START: Final = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
PRICE: Final = 1250

_numbers = itertools.count(1)


def ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000)


def new_id() -> str:
    return uuid.uuid4().hex


@contextmanager
def saga_database(stack: Stack) -> Iterator[tuple[MongoClient[dict[str, Any]], str]]:
    """A database of its own, with all indexes; and a client of it."""
    name = f"saga_{uuid.uuid4().hex[:12]}"
    settings = Settings(stack.urls, PurePosixPath("unused"), database=name)
    ensure_provisioned(settings, resources=Resources(collections=COLLECTIONS))
    # Its documents are few, and dropping it takes a second.
    with closing(connect(stack.urls.mongo)) as client:
        yield client, name


@dataclass
class Shop:
    """A store that nobody else has, in a database that may be shared.

    Attributes:
        client: Of the database.
        database: Its name.
        name: The slug of the store.
        now: The time of all that is done here.
    """

    client: MongoClient[dict[str, Any]]
    database: str
    name: str = field(default_factory=lambda: f"shop-{next(_numbers)}-{uuid.uuid4().hex[:6]}")
    now: datetime = START
    orders: list[str] = field(default_factory=list)
    variants: list[str] = field(default_factory=list)

    @property
    def mongo(self) -> Any:
        return self.client[self.database]

    @property
    def parts(self) -> Parts:
        return Parts(self.client, self.database)

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def sells(self, count: int) -> str:
        """A product with one variant of which so many were received; gives the variant."""
        variant = new_id()
        availability = Availability.MANY if count > 5 else Availability.FEW if count else Availability.NONE
        made = product(store=self.name, variants=(Variant(variant, f"S-{variant}", (), PRICE, None, availability),))
        self.mongo[PRODUCTS.name].insert_one(product_document(made))
        row = {"_id": variant, "store": self.name, "product": made.id, "on_hand": 0, "reserved": 0}
        self.mongo[STOCK.name].insert_one({**row, "low_at": None, "changed_at_ms": ms(self.now)})
        self.variants.append(variant)
        self.receive(variant, count)
        return variant

    def receive(self, variant: str, count: int) -> None:
        stock = self.mongo[STOCK.name]
        stock.update_one({"_id": variant}, {"$inc": {"on_hand": count}})
        line = {"variant": variant, "quantity": count, "kind": "received", "cause": "first", "at_ms": ms(self.now)}
        self.mongo[STOCK_MOVEMENTS.name].insert_one({"_id": new_id(), "store": self.name, **line})

    def place(
        self, items: Mapping[str, int], *, uncounted: Iterable[str] = (), price: int = PRICE, method: str = "card"
    ) -> str:
        """Place an order as the API does, but for the check of stock; gives its id."""
        own, now_ms = new_id(), ms(self.now)
        lines = tuple(
            OrderLine(number, f"product of {variant}", variant, "Mug", quantity, price)
            for number, (variant, quantity) in enumerate(items.items(), 1)
        )
        pay_by = now_ms + orders.PAY_SECONDS * 1_000
        made = orders.placed(Order(own, self.name, "ann", f"c-{own}", "EUR", lines, OrderState.PENDING, pay_by), now_ms)
        counted = inventory.merged(OrderedItem(v, n) for v, n in items.items() if v not in set(uncounted))
        expires = pay_by + inventory.GRACE_SECONDS * 1_000
        bound = inventory.Reservation(own, self.name, counted, inventory.ReservationState.HELD, expires)
        payment = Payment(f"p-{own}", own, self.name, made.order.total_minor, "EUR", method)
        mongo = self.mongo

        def write(session: Session) -> None:
            mongo[ORDERS.name].insert_one(order_document(made.order, now_ms), session=session)
            mongo[PAYMENTS.name].insert_one(payment_document(payment, now_ms), session=session)
            mongo[RESERVATIONS.name].insert_one(reservation_document(bound), session=session)
            for item in counted:
                change = {"$inc": {"reserved": item.quantity}}
                mongo[STOCK.name].update_one({"_id": item.variant}, change, session=session)
            rows = [outbox_document(event, "orders", self.now) for event in made.events]
            mongo[OUTBOX.name].insert_many(rows, session=session)

        in_transaction(self.client, write, 30.0)
        self.orders.append(own)
        return own

    def order(self, own: str) -> dict[str, Any]:
        return self._one(ORDERS.name, own)

    def payment(self, own: str) -> dict[str, Any]:
        return self._one(PAYMENTS.name, f"p-{own}")

    def reservation(self, own: str) -> dict[str, Any]:
        return self._one(RESERVATIONS.name, own)

    def stock(self, variant: str) -> tuple[int, int]:
        """What is there, and what of it is reserved."""
        found = self._one(STOCK.name, variant)
        return found["on_hand"], found["reserved"]

    def shown(self, variant: str) -> str:
        """What buyers are shown of a variant."""
        found = self.mongo[PRODUCTS.name].find_one({"variants.id": variant})
        return next(str(each["availability"]) for each in found["variants"] if each["id"] == variant)

    def said(self, own: str) -> list[str]:
        """The types of an order's events, in the order in which they were written."""
        return [row["type"] for row in self.rows(own)]

    def rows(self, own: str) -> list[dict[str, Any]]:
        """The outbox of an order, in the order in which it was written."""
        found = self.mongo[OUTBOX.name].find({"aggregateid": own})
        return sorted(found, key=lambda row: row["created_at"])

    def event(self, own: str, kind: str) -> Event:
        """The event of an order, as it comes from the log."""
        return event_in(next(row for row in self.rows(own) if row["type"] == kind))

    def document(self) -> dict[str, Any]:
        """Everything that there is of the store, to be compared."""
        return {
            name: sorted(self.mongo[name].find({"_id": {"$in": ids}}), key=lambda each: str(each["_id"]))
            for name, ids in (
                (ORDERS.name, self.orders),
                (RESERVATIONS.name, self.orders),
                (STOCK.name, self.variants),
                (PAYMENTS.name, [f"p-{own}" for own in self.orders]),
            )
        } | {
            STOCK_MOVEMENTS.name: sorted(
                (each["_id"], each["quantity"]) for each in self.mongo[STOCK_MOVEMENTS.name].find({"store": self.name})
            ),
            OUTBOX.name: sorted(each["_id"] for each in self.mongo[OUTBOX.name].find({"ce_store": self.name})),
        }

    def _one(self, collection: str, own: str) -> dict[str, Any]:
        found: dict[str, Any] | None = self.mongo[collection].find_one({"_id": own})
        assert found is not None
        return found


# --- The log ----------------------------------------------------------------------------------------------------------


def record_of(row: Mapping[str, Any], topic: str = ORDERS_EVENTS.name) -> Record:
    """A row of the outbox as the connector sends it."""
    sent = [(name, str(value).encode()) for name, value in row.items() if name.startswith("ce_")]
    if row.get("traceparent"):
        sent.append(("traceparent", str(row["traceparent"]).encode()))
    return Record(topic, row["payload"].encode(), str(row["aggregateid"]).encode(), headers=tuple(sent))


def event_in(row: Mapping[str, Any]) -> Event:
    record = record_of(row)
    return event_of(record.key, record.headers, record.value)


def consumed(record: Record, offset: int, partition: int = 0) -> ConsumerRecord:
    """A record as it is read."""
    return ConsumerRecord(record.topic, partition, offset, record.value, record.key, record.headers, 1)


class OutboxPump:
    """Sends new rows of the outbox to a topic, in the order in which they were written.

    Args:
        shop: Whose.
        producer: Sends them.
        times: How often each one is sent.
    """

    def __init__(self, shop: Shop, producer: RecordProducer, times: int = 1, topic: str = ORDERS_EVENTS.name) -> None:
        self._shop, self._producer, self._times, self._topic = shop, producer, times, topic
        self.sent: list[str] = []

    def pump(self) -> int:
        """Send what was written since; returns how many rows."""
        found = self._shop.mongo[OUTBOX.name].find({"ce_store": self._shop.name, "_id": {"$nin": self.sent}})
        rows = sorted(found, key=lambda row: row["created_at"])
        if rows:
            self._producer.send_all([record_of(row, self._topic) for row in rows for _ in range(self._times)], 10.0)
        self.sent += [row["_id"] for row in rows]
        return len(rows)


# --- Payments, whose consumer and provider are tested elsewhere -------------------------------------------------------


@dataclass
class Payments:
    """The payments service with a provider that answers at once, and says what it is to say of each order."""

    shop: Shop
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._steps = SagaSteps(self.shop.client, self.shop.database, Service.PAYMENTS.value)

    def consumer(self, parts: Parts) -> SagaConsumer:
        return SagaConsumer(Service.PAYMENTS, self.handle, lambda now: 0)

    def handle(self, event: Event, now: datetime, trace_parent: str = "") -> bool:
        def decide(payment: Payment) -> PaymentDecision:
            made = payments.on_event(payment, event, ms(now))
            events, entries = list(made.events), list(made.entries)
            for call in payments.due_calls(made.payment, ms(now)):
                asked = payments.asking(made.payment, call, ms(now))
                outcome = Outcome.SUCCEEDED if call.refund else self.outcomes.get(event.order, Outcome.SUCCEEDED)
                made = payments.apply_report(asked, Report(call.key, outcome), ms(now))
                events += made.events
                entries += made.entries
            return PaymentDecision(made.payment, tuple(events), tuple(entries))

        return self._steps.react(event, now, lambda session: self._decided(event.order, decide, now, session))

    def says(self, own: str, outcome: Outcome) -> None:
        """The provider says something by itself, however late."""
        now = self.shop.now

        def decide(payment: Payment) -> PaymentDecision:
            return payments.apply_report(payment, Report(payment.charge_key, outcome), ms(now))

        self._steps.act(now, lambda session: self._decided(own, decide, now, session))

    def _decided(
        self, own: str, decide: Callable[[Payment], PaymentDecision], now: datetime, session: Session
    ) -> tuple[Event, ...]:
        rows = self.shop.mongo[PAYMENTS.name]
        document = rows.find_one({"order": own}, session=session)
        assert document is not None
        made = decide(payment_of(document))
        rows.replace_one({"_id": document["_id"]}, payment_document(made.payment, ms(now), document), session=session)
        lines = [entry_document(entry, made.payment, ms(now)) for entry in made.entries]
        if lines:
            self.shop.mongo[LEDGER_ENTRIES.name].insert_many(lines, session=session)
        return made.events


# --- Recounts ---------------------------------------------------------------------------------------------------------


def wrong_stock(shop: Shop) -> list[str]:
    """Variants of the store whose counts are not the sums of movements and reservations, or are below zero."""
    moved, bound = Counter[str](), Counter[str]()
    for line in shop.mongo[STOCK_MOVEMENTS.name].find({"store": shop.name}):
        moved[line["variant"]] += line["quantity"]
    for reservation in shop.mongo[RESERVATIONS.name].find({"store": shop.name}):
        if reservation["state"] == "held":
            for item in reservation["items"]:
                bound[item["variant"]] += item["quantity"]
    return [
        f"{row['_id']}: {row['on_hand']} there, moved {moved[row['_id']]}; "
        f"{row['reserved']} reserved, in force {bound[row['_id']]}"
        for row in shop.mongo[STOCK.name].find({"store": shop.name})
        if row["on_hand"] != moved[row["_id"]] or row["reserved"] != bound[row["_id"]] or row["on_hand"] < 0
        or row["reserved"] < 0 or row["reserved"] > row["on_hand"]
    ]  # fmt: skip


def wrong_money(shop: Shop) -> list[str]:
    """Orders of the store whose money does not add up: by the ledger, by the payment and by the order itself."""
    wrong, booked, back = [], defaultdict[str, int](int), defaultdict[str, int](int)
    for entry in shop.mongo[LEDGER_ENTRIES.name].find({"payment": {"$in": [f"p-{own}" for own in shop.orders]}}):
        booked[entry["order"]] += entry["amount_minor"]
        if entry["account"] == "provider":
            back[entry["order"]] += entry["amount_minor"]
    for own in shop.orders:
        order, payment = shop.order(own), shop.payment(own)
        price = sum(line["quantity"] * line["unit_minor"] for line in order["lines"])
        gone = sum(refund["amount_minor"] for refund in payment["refunds"] if refund["state"] == "done")
        taken = payment["amount_minor"] if payment["state"] == "completed" else 0
        if booked[own] or back[own] != taken - gone or not 0 <= gone <= taken:
            wrong.append(f"{own}: the ledger has {back[own]}, the payment {taken} - {gone}")
        kept = sum((line["quantity"] - line["returned"]) * line["unit_minor"] for line in order["lines"])
        ends = {"confirmed": kept, "cancelled": 0}
        if order["state"] in ends and back[own] != ends[order["state"]]:
            wrong.append(f"{own}: it is {order['state']}, and the provider has {back[own]} of {price}")
    return wrong


def wrong_goods(shop: Shop) -> list[str]:
    """Orders that have ended whose buyers have other goods than they keep, by the movements."""
    wrong = []
    for own in shop.orders:
        order, sold = shop.order(own), Counter[str]()
        for line in shop.mongo[STOCK_MOVEMENTS.name].find({"cause": own}):
            sold[line["variant"]] -= line["quantity"]
        kept = Counter[str]()
        for line in order["lines"] if order["state"] == "confirmed" else []:
            kept[line["variant"]] += line["quantity"] - line["returned"]
        if order["state"] in ("confirmed", "cancelled") and +sold != +kept:
            wrong.append(f"{own} is {order['state']}: sold {dict(sold)}, kept {dict(kept)}")
    return wrong


def said_twice(shop: Shop) -> list[str]:
    """Types of events that an order said more than once, though each can be said once in its life here."""
    once = {"ORDER_CREATED", "PAYMENT_COMPLETED", "ORDER_CONFIRMED", "STOCK_COUNT_UPDATED", "STOCK_INSUFFICIENT"}
    found = Counter((own, kind) for own in shop.orders for kind in shop.said(own) if kind in once)
    return [f"{own}: {kind} {count} times" for (own, kind), count in found.items() if count > 1]


def wrong(shop: Shop) -> list[str]:
    """Everything that does not add up."""
    return wrong_stock(shop) + wrong_money(shop) + wrong_goods(shop) + said_twice(shop)
