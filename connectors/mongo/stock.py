"""Stock in Mongo, for transactions of the API: levels are read and changed with what reserves or moves goods.

Levels are changed sorted by variant, and each transaction that reserves or moves goods writes those of all its
variants, so that two of them conflict in one of these. What buyers are shown of a variant stands in its product: it is
written in the same transaction where it becomes another one, so that search and caches follow.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pymongo.asynchronous.client_session import AsyncClientSession

from connectors.mongo.async_client import Documents
from connectors.mongo.sagas.documents import movement_document, reservation_document, reservation_of
from marketplace.catalog.products import Availability
from marketplace.collections import ORDERS, PRODUCTS, RESERVATIONS, STOCK, STOCK_MOVEMENTS
from marketplace.inventory.levels import Level, is_over, released
from marketplace.sagas.events import OrderedItem
from marketplace.sagas.inventory import Movement, Reservation, ReservationState
from marketplace.sagas.order_state import OrderState

MAX_RELEASED: Final = 200
"""Reservations that are over which one transaction releases; a sweeper releases the others."""


@dataclass
class Touched:
    """What a transaction has changed of products: whoever keeps answers with them forgets these afterwards.

    Attributes:
        products: Their ids, by the slug of their store.
    """

    products: dict[str, set[str]] = field(default_factory=dict)

    def add(self, store: str, product: str) -> None:
        """Note one."""
        self.products.setdefault(store, set()).add(product)


class StockLevels:
    """The collections ``stock`` and ``stock_movements``, and reservations that are over; only in transactions.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Documents, database: str) -> None:
        mongo = client[database]
        self.stock, self.movements = mongo[STOCK.name], mongo[STOCK_MOVEMENTS.name]
        self.reservations, self._orders = mongo[RESERVATIONS.name], mongo[ORDERS.name]
        self._products = mongo[PRODUCTS.name]

    async def read(self, variants: Collection[str], session: AsyncClientSession) -> dict[str, Level]:
        """The levels of those of these variants that are counted."""
        found = await self.stock.find({"_id": {"$in": sorted(variants)}}, session=session).to_list()
        return {document["_id"]: level_of(document) for document in found}

    async def write(
        self,
        before: Mapping[str, Level],
        after: Mapping[str, Level],
        now_ms: int,
        touched: Touched,
        session: AsyncClientSession,
    ) -> None:
        """Write levels that were read in the same transaction, and what buyers are shown of them.

        Args:
            before: As they were read.
            after: As they are to be; those that are not in ``before`` are new.
            now_ms: The time.
            touched: Notes the products that buyers are shown otherwise now.
            session: Of the transaction.
        """
        shown = {}
        for variant in sorted(after):
            level = replace(after[variant], changed_at_ms=now_ms)
            if variant in before:
                fields = level_document(level)
                await self.stock.update_one({"_id": variant}, {"$set": fields}, session=session)
            else:
                await self.stock.insert_one(level_document(level), session=session)
            if variant not in before or before[variant].availability is not level.availability:
                shown[variant] = level
        for product in sorted({level.product for level in shown.values()}):
            classes = {variant: level.availability for variant, level in shown.items() if level.product == product}
            if await self._show(product, classes, session):
                touched.add(next(level.store for level in shown.values() if level.product == product), product)

    async def reserve(
        self,
        levels: Mapping[str, Level],
        items: Collection[OrderedItem],
        now_ms: int,
        touched: Touched,
        session: AsyncClientSession,
    ) -> None:
        """Reserve items; a negative number is not reserved any more. What is not counted is left alone."""
        counted = {item.variant: item.quantity for item in items if item.variant in levels}
        after = {key: replace(levels[key], reserved=levels[key].reserved + count) for key, count in counted.items()}
        await self.write({key: levels[key] for key in after}, after, now_ms, touched, session)

    async def over(self, variants: Collection[str], now_ms: int, session: AsyncClientSession) -> list[Reservation]:
        """Reservations of these variants that are over, and that nobody has released yet.

        Those are over whose time has passed, and those of orders that were cancelled.
        """
        lacking = {"items.variant": {"$in": sorted(variants)}}
        late = {**lacking, "due_ms": {"$gt": 0, "$lte": now_ms}}
        found = await self.reservations.find(late, session=session).limit(MAX_RELEASED).to_list()
        if not found:
            others = {**lacking, "due_ms": {"$gt": now_ms}}
            reserving = await self.reservations.find(others, session=session).limit(MAX_RELEASED).to_list()
            ended = {"_id": {"$in": [each["_id"] for each in reserving]}, "state": OrderState.CANCELLED.value}
            ids = {each["_id"] for each in await self._orders.find(ended, {"_id": 1}, session=session).to_list()}
            found = [each for each in reserving if each["_id"] in ids]
            return [each for each in map(reservation_of, found) if is_over(each, OrderState.CANCELLED, now_ms)]
        return [each for each in map(reservation_of, found) if is_over(each, None, now_ms)]

    async def release(
        self,
        reservations: Collection[Reservation],
        now_ms: int,
        touched: Touched,
        session: AsyncClientSession,
    ) -> None:
        """Release reservations, and write the levels of what they reserved.

        Args:
            reservations: Those that are over; one that holds nothing any more is left alone.
            now_ms: The time.
            touched: See :meth:`write`.
            session: Of the transaction.
        """
        back: dict[str, int] = {}
        for each in reservations:
            if each.state is not ReservationState.HELD:
                continue
            for item in each.items:
                back[item.variant] = back.get(item.variant, 0) + item.quantity
            document = reservation_document(released(each))
            await self.reservations.replace_one({"_id": each.order}, document, session=session)
        given = [OrderedItem(variant, -count) for variant, count in back.items()]
        await self.reserve(await self.read(back.keys(), session), given, now_ms, touched, session)

    async def move(
        self,
        store: str,
        movements: Collection[tuple[Movement, int]],
        now_ms: int,
        by: str,
        note: str,
        session: AsyncClientSession,
    ) -> None:
        """Write lines of the ledger.

        Args:
            store: The slug.
            movements: Each with what is there after it.
            now_ms: The time.
            by: The id of the account.
            note: What a person said.
            session: Of the transaction.
        """
        rows = [movement_document(each, store, on_hand, now_ms, by=by, note=note) for each, on_hand in movements]
        if rows:
            await self.movements.insert_many(rows, session=session)

    async def _show(self, product: str, classes: Mapping[str, Availability], session: AsyncClientSession) -> bool:
        found = await self._products.find_one({"_id": product}, {"variants": 1}, session=session)
        if found is None:
            return False
        changed = {
            f"variants.{at}.availability": classes[variant["id"]].value
            for at, variant in enumerate(found["variants"])
            if variant["id"] in classes and variant["availability"] != classes[variant["id"]].value
        }
        if changed:
            await self._products.update_one({"_id": product}, {"$set": changed}, session=session)
        return bool(changed)


def level_document(level: Level) -> dict[str, Any]:
    """A level as it is kept."""
    return {
        "_id": level.variant,
        "store": level.store,
        "product": level.product,
        "on_hand": level.on_hand,
        "reserved": level.reserved,
        "low_at": level.low_at,
        "changed_at_ms": level.changed_at_ms,
    }


def level_of(document: Mapping[str, Any]) -> Level:
    """The level of a document."""
    return Level(
        document["_id"],
        document["product"],
        document["store"],
        document["on_hand"],
        document["reserved"],
        document["low_at"],
        document["changed_at_ms"],
    )
