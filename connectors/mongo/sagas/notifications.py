"""Notifications as their consumer writes them: each once for ever, with its mails, in the transaction of its cause."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from pymongo.client_session import ClientSession
from pymongo.errors import PyMongoError

from connectors.mongo.accounts import mail_document
from connectors.mongo.client import Client, unavailable
from connectors.mongo.sagas.documents import order_of
from connectors.mongo.times import milliseconds
from marketplace.collections import (
    MAILS,
    MEMBERSHIPS,
    NOTIFICATION_PREFERENCES,
    NOTIFICATIONS,
    ORDERS,
    PRODUCTS,
    STOCK,
    STORES,
    USERS,
)
from marketplace.identity.accounts import Mail
from marketplace.identity.roles import StoreRole
from marketplace.notifications.facts import Facts, facts_of_order
from marketplace.notifications.notices import VERSIONS, Heard, Notice, Template, holds, mail_id, of_shipped
from marketplace.orders.delivery import GONE
from marketplace.sagas.order_state import Order

_UTC: Final = "UTC"
_KNOWN: Final = frozenset(template.value for template in Template)
_LATER: Final = 1
"""Mails about accounts have no rank, and so come first: somebody waits for them."""


@dataclass(frozen=True)
class KeptOrder:
    """An order as it is now.

    Attributes:
        order: The order.
        placed_at_ms: Epoch milliseconds.
        carrier, tracking: What its seller says of the way of its goods.
        shipped: Whether its goods are on the way, or have arrived.
    """

    order: Order
    placed_at_ms: int
    carrier: str = ""
    tracking: str = ""
    shipped: bool = False


@dataclass(frozen=True)
class StockMark:
    """The stock of a variant, and whether its store was notified that there is too little of it.

    Attributes:
        variant: Its id.
        store: The slug.
        product: The id of its product; empty where its document does not say.
        available: How many can be ordered.
        low_at: It is low where no more than so many are; None where nobody wants to hear of it.
        notified: Whether the store was notified since it was not low for the last time.
    """

    variant: str
    store: str
    product: str
    available: int
    low_at: int | None
    notified: bool

    @property
    def low(self) -> bool:
        """Whether there is too little of it."""
        return self.low_at is not None and self.available <= self.low_at


@dataclass(frozen=True)
class ChangedStock:
    """The stock of a variant that was changed.

    Attributes:
        variant: Its id.
        changed_at_ms: When, epoch milliseconds.
        mark: What it is; None where it cannot be read.
    """

    variant: str
    changed_at_ms: int
    mark: StockMark | None


class NotificationRepository:
    """The collection ``notifications``, and what it takes to write into it. Safe to share between threads.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Client, database: str) -> None:
        mongo = client[database]
        self._notifications, self._mails = mongo[NOTIFICATIONS.name], mongo[MAILS.name]
        self._preferences, self._users = mongo[NOTIFICATION_PREFERENCES.name], mongo[USERS.name]
        self._orders, self._stores, self._memberships = mongo[ORDERS.name], mongo[STORES.name], mongo[MEMBERSHIPS.name]
        self._stock, self._products = mongo[STOCK.name], mongo[PRODUCTS.name]

    def order(self, order: str, session: ClientSession) -> KeptOrder | None:
        """An order; None where there is none."""
        found = self._orders.find_one({"_id": order}, session=session)
        return None if found is None else _kept(found)

    def heard(self, order: str, session: ClientSession) -> Heard:
        """What recipients were notified of about an order."""
        only = {"recipient": 1, "template": 1, "event": 1}
        rows = self._notifications.find({"order": order}, only, session=session)
        return {(row["recipient"], row["template"], row["event"]) for row in rows}

    def drop_superseded(self, order: Order, session: ClientSession) -> int:
        """Delete mails about an order that wait and say what is not so any more; returns how many."""
        waiting = self._mails.find({"order": order.id}, session=session)
        over = [row["_id"] for row in waiting if row["template"] in _KNOWN and not _holds(row, order)]
        return self._mails.delete_many({"_id": {"$in": over}}, session=session).deleted_count if over else 0

    def put(self, notice: Notice, kept: KeptOrder, now: datetime, session: ClientSession) -> bool:
        """Write a notification about an order and its mails, unless it was written before; returns whether it was now.

        Nobody is notified whose account is deleted.
        """
        title, zone = self._store(kept.order.store, session)
        facts = facts_of_order(notice, kept.order, kept.placed_at_ms, title, zone)
        if notice.template is Template.ORDER_SHIPPED:
            facts = msgspec.structs.replace(facts, carrier=kept.carrier, tracking=kept.tracking)
        return self._put(notice, facts, now, session)

    def shipped(self, since: tuple[int, str], limit: int) -> tuple[list[str], tuple[int, str] | None, bool]:
        """Orders that were sent since then and whose buyers were not notified of it yet.

        Args:
            since: The time of a change of the fulfilment, and the id of an order: those behind both are looked at.
            limit: At most so many are.

        Returns:
            Their ids, the last one that was looked at, None where none was, and whether there may be more.

        Raises:
            Unavailable: Mongo does not answer.
        """
        at, order = since
        field = "fulfilment.changed_at_ms"
        query = {field: {"$gte": at}, "$or": [{field: {"$gt": at}}, {field: at, "_id": {"$gt": order}}]}
        try:
            rows = list(self._orders.find(query).sort([(field, 1), ("_id", 1)]).limit(limit))
            # The whole order is read when it is acted on: one that cannot be read keeps no other waiting.
            gone = (row for row in rows if row["fulfilment"].get("state") in GONE)
            sent = {of_shipped(row["_id"], str(row.get("buyer", ""))).id: row["_id"] for row in gone}
            known: Iterable[dict[str, Any]] = (
                self._notifications.find({"_id": {"$in": sorted(sent)}}, {"_id": 1}) if sent else []
            )
            new = set(sent) - {row["_id"] for row in known}
        except PyMongoError as error:
            raise unavailable(error) from error
        last = (int(rows[-1]["fulfilment"]["changed_at_ms"]), str(rows[-1]["_id"])) if rows else None
        return [sent[notice] for notice in sorted(new)], last, len(rows) == limit

    def changed_stock(self, since: tuple[int, str], limit: int) -> list[ChangedStock]:
        """Stock that was changed since then, the one that was changed first in front.

        Args:
            since: The time of a change and a variant's id: those behind both are given.
            limit: At most so many.

        Raises:
            Unavailable: Mongo does not answer.
        """
        at, variant = since
        query = {"$or": [{"changed_at_ms": {"$gt": at}}, {"changed_at_ms": at, "_id": {"$gt": variant}}]}
        only = {"changed_at_ms": {"$gte": at}}
        try:
            found = self._stock.find({**only, **query}).sort([("changed_at_ms", 1), ("_id", 1)]).limit(limit)
            return [ChangedStock(row["_id"], row["changed_at_ms"], _readable_mark(row)) for row in found]
        except PyMongoError as error:
            raise unavailable(error) from error

    def mark(self, variant: str, session: ClientSession) -> StockMark | None:
        """The stock of a variant; None where it is not counted."""
        found = self._stock.find_one({"_id": variant}, session=session)
        return None if found is None else _mark(found)

    def set_notified(self, variant: str, notified: bool, session: ClientSession) -> None:
        """Keep whether a store was notified; whoever changes the same stock at one time conflicts with it."""
        self._stock.update_one({"_id": variant}, {"$set": {"low_notified": notified}}, session=session)

    def put_low(self, notice: Notice, stock: StockMark, now: datetime, session: ClientSession) -> bool:
        """Write a notification about stock and its mails; see :meth:`put`."""
        title, zone = self._store(stock.store, session)
        wanted = {"_id": stock.product} if stock.product else {"store": stock.store, "variants.id": stock.variant}
        product = self._products.find_one(wanted, session=session) or {}
        variants: Iterable[Mapping[str, Any]] = product.get("variants", ())
        variant = next((each for each in variants if each["id"] == stock.variant), {})
        facts = Facts(
            store=stock.store,
            store_title=title,
            zone=zone,
            product=str(product.get("_id", "")),
            variant=stock.variant,
            title=str(product.get("title", stock.variant)),
            options=", ".join(variant.get("values", ())),
            sku=str(variant.get("sku") or ""),
            available=stock.available,
        )
        return self._put(notice, facts, now, session)

    def _put(self, notice: Notice, facts: Facts, now: datetime, session: ClientSession) -> bool:
        if self._notifications.find_one({"_id": notice.id}, {"_id": 1}, session=session) is not None:
            return False
        kind, _, name = notice.recipient.partition(":")
        if kind != "store" and not self._lock(name, session):
            return False
        users = self._owners(name, session) if kind == "store" else [name]
        there = [row["_id"] for row in self._users.find({"_id": {"$in": users}}, {"_id": 1}, session=session)]
        self._notifications.insert_one(notification_document(notice, facts, milliseconds(now)), session=session)
        silent = {"_id": {"$in": there}, "orders_by_mail": False}
        without = {row["_id"] for row in self._preferences.find(silent, {"_id": 1}, session=session)}
        mails = [notice_mail_document(notice, facts.order, user, now) for user in there if user not in without]
        if mails:
            self._mails.insert_many(mails, session=session)
        return True

    def _lock(self, user: str, session: ClientSession) -> bool:
        """Conflict with whoever deletes an account at this moment; returns False where it is deleted."""
        change = {"$inc": {"ownership_revision": 1}}
        return self._users.update_one({"_id": user}, change, session=session).matched_count > 0

    def _store(self, slug: str, session: ClientSession) -> tuple[str, str]:
        """The title of a store, and its zone."""
        found = self._stores.find_one({"_id": slug}, {"title": 1, "timezone": 1}, session=session) or {}
        return str(found.get("title") or slug), str(found.get("timezone") or _UTC)

    def _owners(self, slug: str, session: ClientSession) -> list[str]:
        # Ids of memberships begin with the store; a semicolon follows a colon.
        of_store = {"_id": {"$gte": f"{slug}:", "$lt": f"{slug};"}, "role": StoreRole.OWNER.value}
        return sorted(row["user"] for row in self._memberships.find(of_store, {"user": 1}, session=session))


def notification_document(notice: Notice, facts: Facts, now_ms: int) -> dict[str, Any]:
    """A notification as it is kept."""
    return {
        "_id": notice.id,
        "recipient": notice.recipient,
        "template": notice.template.value,
        "template_version": VERSIONS[notice.template],
        "event": notice.event,
        "order": facts.order or None,
        "facts": msgspec.to_builtins(facts),
        "at_ms": now_ms,
        "unread": True,
    }


def notice_mail_document(notice: Notice, order: str, user: str, now: datetime) -> dict[str, Any]:
    """The mail of a notification to an account, as it waits; its address and text are looked up when it is sent."""
    return {
        **mail_document(Mail("", notice.template.value, {}), now),
        "_id": mail_id(notice.id, user),
        "notice": notice.id,
        "user": user,
        "order": order or None,
        "amount_minor": notice.amount_minor,
        "refund": notice.refund,
        "reversals": notice.reversals,
        "rank": _LATER,
    }


def _holds(mail: Mapping[str, Any], order: Order) -> bool:
    """Whether what a mail that waits says is so still; those of earlier versions say nothing of a refund."""
    refund, reversals = str(mail.get("refund", "")), int(mail.get("reversals", 0))
    return holds(Template(mail["template"]), mail["amount_minor"], order, refund, reversals)


def _kept(found: Mapping[str, Any]) -> KeptOrder:
    way: Mapping[str, Any] = found.get("fulfilment") or {}
    carrier, tracking = str(way.get("carrier", "")), str(way.get("tracking", ""))
    return KeptOrder(order_of(found), int(found["placed_at_ms"]), carrier, tracking, way.get("state") in GONE)


def _mark(row: Mapping[str, Any]) -> StockMark:
    return StockMark(
        variant=row["_id"],
        store=row["store"],
        product=str(row.get("product") or ""),
        available=int(row["on_hand"]) - int(row["reserved"]),
        low_at=None if row.get("low_at") is None else int(row["low_at"]),
        notified=bool(row.get("low_notified", False)),
    )


def _readable_mark(row: Mapping[str, Any]) -> StockMark | None:
    try:
        return _mark(row)
    except (KeyError, TypeError, ValueError):
        return None
