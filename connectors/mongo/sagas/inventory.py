"""Stock and reservations as their consumer reads and writes them: counts are exact after every transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pymongo.client_session import ClientSession

from connectors.errors import Unavailable
from connectors.mongo.client import Client
from connectors.mongo.sagas.documents import changed_fields, movement_document, reservation_document, reservation_of
from connectors.mongo.sagas.due import Due, due_rows, oldest_due_ms
from marketplace.collections import ORDERS, PRODUCTS, RESERVATIONS, STOCK, STOCK_MOVEMENTS
from marketplace.inventory.levels import availability_of
from marketplace.sagas.events import OrderedItem
from marketplace.sagas.inventory import (
    GRACE_SECONDS,
    Movement,
    Reservation,
    ReservationState,
)

_MOST_RELEASED: Final = 500
"""Reservations that are over and are released in one transaction."""


class Drift(Exception):
    """Counts of stock contradict its reservations; the message says where. Nothing was written."""


@dataclass
class StockCount:
    """A counted variant within one transaction.

    Attributes:
        variant, store: Whose.
        product: The id of its product; empty where its document does not say.
        on_hand, reserved: As they were read.
        moved: What was added to ``on_hand`` since.
        kept: What was added to ``reserved`` since.
        lines: Movements, each with what is there after it.
    """

    variant: str
    store: str
    product: str
    on_hand: int
    reserved: int
    moved: int = 0
    kept: int = 0
    lines: list[tuple[Movement, int]] = field(default_factory=list)

    @property
    def available(self) -> int:
        """What can be had now."""
        return self.on_hand + self.moved - self.reserved - self.kept


class InventoryRepository:
    """The collections ``stock``, ``stock_movements`` and ``reservations``. Safe to share between threads.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Client, database: str) -> None:
        mongo = client[database]
        self._stock, self._movements = mongo[STOCK.name], mongo[STOCK_MOVEMENTS.name]
        self._reservations, self._orders = mongo[RESERVATIONS.name], mongo[ORDERS.name]
        self._products = mongo[PRODUCTS.name]

    def reservation(self, order: str, session: ClientSession) -> Reservation | None:
        """The reservation of an order; an empty one where it reserves nothing, and None where there is no order."""
        found = self._reservations.find_one({"_id": order}, session=session)
        if found is not None:
            return reservation_of(found)
        placed = self._orders.find_one({"_id": order}, {"store": 1, "pay_by_ms": 1}, session=session)
        if placed is None:
            return None
        expires = placed["pay_by_ms"] + GRACE_SECONDS * 1_000
        return Reservation(order, placed["store"], (), ReservationState.HELD, expires, version=0)

    def save(self, before: Reservation, after: Reservation, session: ClientSession) -> None:
        """Write what was decided about a reservation.

        Raises:
            Unavailable: It was changed since it was read; nothing is written, and the next attempt sees that.
        """
        if before.version == 0:
            self._reservations.insert_one(reservation_document(after), session=session)
            return
        fields = changed_fields(reservation_document(before), reservation_document(after))
        known = {"_id": after.order, "state": before.state.value, "version": before.version}
        if not self._reservations.update_one(known, {"$set": fields}, session=session).matched_count:
            raise Unavailable(f"the reservation of order {after.order} was changed meanwhile")

    def over(self, variants: Collection[str], now_ms: int, order: str, session: ClientSession) -> list[Reservation]:
        """Reservations of other orders that hold some of these variants and are over, the oldest first."""
        wanted = {"items.variant": {"$in": sorted(variants)}, "due_ms": {"$lte": now_ms}, "_id": {"$ne": order}}
        found = self._reservations.find(wanted, session=session).sort("due_ms", 1).limit(_MOST_RELEASED).to_list()
        return [reservation_of(each) for each in found]

    def counts(self, variants: Collection[str], session: ClientSession) -> dict[str, StockCount]:
        """What there is of these variants; one that is not counted is not among them."""
        found = self._stock.find({"_id": {"$in": sorted(variants)}}, session=session).to_list() if variants else []
        return {
            each["_id"]: StockCount(
                each["_id"], each["store"], str(each.get("product") or ""), each["on_hand"], each["reserved"]
            )
            for each in found
        }

    def save_counts(self, counts: Mapping[str, StockCount], now_ms: int, session: ClientSession) -> None:
        """Write what has changed, variant by variant in one order, so that no two transactions wait for each other.

        Where buyers are shown something else from now on, the product says so.

        Raises:
            Drift: More would be let go of than is reserved, or more be taken than is there.
            Unavailable: A count was changed since it was read; nothing is written.
        """
        for variant in sorted(counts):
            count = counts[variant]
            if not (count.moved or count.kept or count.lines):
                continue
            on_hand, reserved = count.on_hand + count.moved, count.reserved + count.kept
            if on_hand < 0 or reserved < 0:
                raise Drift(f"variant {variant} would have {on_hand} pieces, and {reserved} of them reserved")
            known = {"_id": variant, "on_hand": count.on_hand, "reserved": count.reserved}
            change: dict[str, Any] = {
                "$inc": {"on_hand": count.moved, "reserved": count.kept},
                "$set": {"changed_at_ms": now_ms},
            }
            if not self._stock.update_one(known, change, session=session).matched_count:
                raise Unavailable(f"the stock of variant {variant} was changed meanwhile")
            if count.lines:
                rows = [movement_document(line, count.store, left, now_ms) for line, left in count.lines]
                self._movements.insert_many(rows, session=session)
            after = availability_of(count.available)
            if after is not availability_of(count.on_hand - count.reserved):
                self._say_availability(count, after.value, session)

    def due(self, now_ms: int, limit: int, after: tuple[int, str] | None = None) -> list[Due]:
        """Reservations that are over, by the ids of their orders: see :func:`due_rows`."""
        return due_rows(self._reservations, now_ms, limit, after)

    def oldest_due_ms(self) -> int | None:
        """When the first reservation is over; None where none is there.

        Raises:
            Unavailable: Mongo does not answer.
        """
        return oldest_due_ms(self._reservations)

    def _say_availability(self, count: StockCount, availability: str, session: ClientSession) -> None:
        # Search and caches follow changes of products, and no others.
        product = {"_id": count.product} if count.product else {"store": count.store}
        wanted = {**product, "variants.id": count.variant}
        self._products.update_one(wanted, {"$set": {"variants.$.availability": availability}}, session=session)


def move(counts: Mapping[str, StockCount], movements: Iterable[Movement]) -> None:
    """Note movements of counted variants; one that is not counted moves nothing."""
    for movement in movements:
        count = counts.get(movement.variant)
        if count is not None:
            count.moved += movement.quantity
            count.lines.append((movement, count.on_hand + count.moved))


def let_go(counts: Mapping[str, StockCount], items: Iterable[OrderedItem]) -> None:
    """Note that items are reserved no more."""
    for item in items:
        count = counts.get(item.variant)
        if count is not None:
            count.kept -= item.quantity
