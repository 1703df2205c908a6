"""What sellers do with their stock: goods come, are counted again or get another name, each as lines of the ledger."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from connectors.errors import Unavailable
from connectors.mongo.async_client import Documents, answering, in_transaction
from connectors.mongo.idempotency import AnswerOf, Claim
from connectors.mongo.stock import StockLevels, Touched, level_of
from connectors.mongo.tenants import check_permission
from connectors.mongo.times import milliseconds
from connectors.mongo.turns import Turns
from marketplace.collections import MEMBERSHIPS, PRODUCTS, STORES
from marketplace.identity.roles import Permission
from marketplace.inventory.levels import Level, NoSuchVariant, NotCounted, StillReserved, moved
from marketplace.sagas.inventory import Movement, MovementKind


@dataclass(frozen=True)
class Change:
    """Goods of a variant that come or go.

    Attributes:
        product: The id of its product.
        variant: Its id.
        quantity: With its sign.
        kind: Why.
    """

    product: str
    variant: str
    quantity: int
    kind: MovementKind


@dataclass(frozen=True)
class By:
    """Who changes the stock of a store, and why.

    Attributes:
        store: The slug.
        actor: The id of the account; of an API key, its maker.
        reason: What that person says.
    """

    store: str
    actor: str
    reason: str


@dataclass(frozen=True)
class KeptMovement:
    """A line of the ledger as it is kept.

    Attributes:
        movement: What moved.
        on_hand: What was there after it.
        at_ms: Epoch milliseconds.
        by: The id of the account that moved it; empty for an order.
        note: What a person said.
    """

    movement: Movement
    on_hand: int
    at_ms: int
    by: str
    note: str


class StockChanges:
    """Sellers' writes and reads of the collections ``stock`` and ``stock_movements``.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Documents, database: str) -> None:
        self._client, self._turns, self._levels = client, Turns(), StockLevels(client, database)
        mongo = client[database]
        self._stores, self._memberships = mongo[STORES.name], mongo[MEMBERSHIPS.name]
        self._products = mongo[PRODUCTS.name]

    async def move(
        self,
        by: By,
        changes: Collection[Change],
        claim: Claim,
        answer_of: AnswerOf[list[Level]],
        now: datetime,
    ) -> tuple[list[Level], Touched]:
        """Let goods come or go, all or nothing; a variant that was not counted is from then on.

        Args:
            by: Who does, and why.
            changes: Of different variants.
            claim: The key of the request.
            answer_of: Makes the answer that is kept.
            now: The time.

        Returns:
            The levels after it, as the changes are sorted, and what buyers are shown otherwise now.

        Raises:
            NoSuchStore: There is no such store.
            NotAllowed: Who asks may not, by the role of now.
            NoSuchVariant: The store has no such variant.
            NotCounted: Goods go of a variant that is not counted.
            BelowReserved: There would be less than orders have reserved.
            TooMuchStock: There would be more than can be counted.
            LeaseLost: Another request of the same key is at it.
            Unavailable: Mongo does not answer; it may have happened.
        """
        own = secrets.token_hex(16)

        async def work(session: AsyncClientSession) -> tuple[list[Level], Touched]:
            touched = Touched()
            await self._check(by, session)
            before = await self._levels.read([each.variant for each in changes], session)
            after = {}
            for each in changes:
                level = before.get(each.variant)
                if level is None or level.store != by.store:
                    if each.quantity < 0:
                        raise NotCounted("the variant is not counted: receive some first")
                    level = await self._new_level(by.store, each, session)
                after[each.variant] = moved(level, each.quantity)
            await self._levels.write(before, after, milliseconds(now), touched, session)
            rows = [
                (Movement(f"{own}:{at}", each.variant, each.quantity, each.kind, own), after[each.variant].on_hand)
                for at, each in enumerate(changes)
            ]
            await self._levels.move(by.store, rows, milliseconds(now), by.actor, by.reason, session)
            levels = [replace(after[each.variant], changed_at_ms=milliseconds(now)) for each in changes]
            await claim.keep(answer_of(levels), session)
            return levels, touched

        async with self._turns.of(*sorted(f"stock:{each.variant}" for each in changes)):
            return await self._repeated(work)

    async def set_low(self, by: By, variant: str, low_at: int | None, now: datetime) -> Level:
        """Say from when on there is too little of a variant; None for never.

        Raises:
            NoSuchStore: There is no such store.
            NotAllowed: Who asks may not, by the role of now.
            NotCounted: The variant is not counted.
            Unavailable: Mongo does not answer; it may be set.
        """

        async def work(session: AsyncClientSession) -> Level:
            await self._check(by, session)
            before = await self._own(by.store, variant, session)
            after = replace(before, low_at=low_at, changed_at_ms=milliseconds(now))
            await self._levels.write({variant: before}, {variant: after}, milliseconds(now), Touched(), session)
            return after

        return await in_transaction(self._client, work)

    async def stop(self, by: By, variant: str, now: datetime) -> None:
        """Count a variant no more: its seller says by hand how much there is.

        What is there goes by one last line of the ledger.

        Raises:
            NoSuchStore: There is no such store.
            NotAllowed: Who asks may not, by the role of now.
            NotCounted: The variant is not counted.
            StillReserved: Orders have reserved some of it.
            Unavailable: Mongo does not answer; it may have happened.
        """
        own = secrets.token_hex(16)

        async def work(session: AsyncClientSession) -> None:
            await self._check(by, session)
            level = await self._own(by.store, variant, session)
            if level.reserved:
                raise StillReserved(f"orders have reserved {level.reserved} of it")
            if level.on_hand:
                last = Movement(f"{own}:0", variant, -level.on_hand, MovementKind.ADJUSTED, own)
                await self._levels.move(by.store, [(last, 0)], milliseconds(now), by.actor, by.reason, session)
            await self._levels.stock.delete_one({"_id": variant}, session=session)

        await in_transaction(self._client, work)

    async def page(self, store: str, after: str, limit: int) -> list[Level]:
        """Levels of a store by variant.

        Args:
            store: The slug.
            after: Only those behind this variant.
            limit: At most so many.

        Raises:
            Unavailable: Mongo does not answer.
        """
        question = {"store": store, "_id": {"$gt": after}}
        async with answering():
            found = await self._levels.stock.find(question).sort("_id", 1).limit(limit).to_list()
        return [level_of(each) for each in found]

    async def history(
        self, store: str, variant: str, before: tuple[int, str] | None, limit: int
    ) -> list[KeptMovement] | None:
        """Lines of a variant's ledger, the newest first; None where the store never counted such a variant.

        Args:
            store: The slug.
            variant: Its id.
            before: Time and id of the line behind which they are; None for the newest.
            limit: At most so many.

        Raises:
            Unavailable: Mongo does not answer.
        """
        question: dict[str, Any] = {"variant": variant, "store": store}
        if before is not None:
            at, last = before
            question["$or"] = [{"at_ms": {"$lt": at}}, {"at_ms": at, "_id": {"$gt": last}}]
        order = [("at_ms", -1), ("_id", 1)]
        async with answering():
            found = await self._levels.movements.find(question).sort(order).limit(limit).to_list()
            if not found and before is None:
                there = await self._levels.stock.find_one({"_id": variant, "store": store}, {"_id": 1})
                return None if there is None else []
        return [_movement(each) for each in found]

    async def _check(self, by: By, session: AsyncClientSession) -> None:
        edit = Permission.EDIT_STOCK
        await check_permission(self._stores, self._memberships, by.store, by.actor, edit, session)

    async def _own(self, store: str, variant: str, session: AsyncClientSession) -> Level:
        found = (await self._levels.read([variant], session)).get(variant)
        if found is None or found.store != store:
            raise NotCounted("the store has no such variant that is counted")
        return found

    async def _new_level(self, store: str, change: Change, session: AsyncClientSession) -> Level:
        product = {"_id": change.product, "store": store}
        found = await self._products.find_one(product, {"variants.id": 1}, session=session)
        if found is None or change.variant not in {each["id"] for each in found["variants"]}:
            raise NoSuchVariant("the store has no such product or variant")
        return Level(change.variant, change.product, store)

    async def _repeated(self, work: Any) -> tuple[list[Level], Touched]:
        """Do it in a transaction, and once more where another one has begun to count the variant first."""
        for _ in range(2):
            try:
                done: tuple[list[Level], Touched] = await in_transaction(self._client, work)
                return done
            except DuplicateKeyError:
                continue
        raise Unavailable("another change of the same stock came in between")


def _movement(document: Mapping[str, Any]) -> KeptMovement:
    kind = MovementKind(document["kind"])
    movement = Movement(document["_id"], document["variant"], document["quantity"], kind, document["cause"])
    return KeptMovement(movement, document["on_hand"], document["at_ms"], document["by"], document["note"])
