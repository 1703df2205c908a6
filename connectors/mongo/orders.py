"""Orders in Mongo as the API writes them: each change is one transaction with its stock, its events and its answer.

A cart becomes orders in one transaction that asks once more whether the account is there, reads cart, products and
stock, and writes all that belongs to the orders. What consumers write of an order at the same time conflicts with what
is asked for here in the order's document: the second one is done again, and sees what the first one did.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession

from connectors.errors import Unavailable
from connectors.mongo.async_client import Documents, answering, in_transaction
from connectors.mongo.carts import Carts, Holder
from connectors.mongo.idempotency import AnswerOf, Claim
from connectors.mongo.product_reads import product_of
from connectors.mongo.sagas.documents import (
    order_document,
    order_of,
    outbox_document,
    payment_document,
    reservation_document,
    reservation_of,
)
from connectors.mongo.stock import StockLevels, Touched
from connectors.mongo.tenants import ALIVE, check_permission, lock_account
from connectors.mongo.times import milliseconds
from connectors.mongo.turns import Turns
from marketplace.carts.cart import Cart
from marketplace.catalog.products import Product
from marketplace.collections import (
    MEMBERSHIPS,
    ORDERS,
    OUTBOX,
    PAYMENTS,
    PRODUCTS,
    RESERVATIONS,
    STORES,
    USERS,
)
from marketplace.identity.roles import Permission
from marketplace.orders.checkout import Placed, Seen, check_stock, parts_of, placed, quoted, wanted
from marketplace.orders.delivery import Address, Fulfilment, FulfilmentState
from marketplace.orders.refusals import NoSuchOrder, OutOfStock
from marketplace.orders.requests import Party
from marketplace.sagas.order_state import SERVICE, Order, OrderDecision, OrderState


@dataclass(frozen=True)
class KeptOrder:
    """An order as it is kept.

    Attributes:
        order: The order.
        delivery: Where it goes.
        fulfilment: How far it is on the way.
        placed_at_ms: Epoch milliseconds.
        changed_at_ms: Epoch milliseconds.
    """

    order: Order
    delivery: Address
    fulfilment: Fulfilment
    placed_at_ms: int
    changed_at_ms: int


@dataclass(frozen=True)
class Checkout:
    """Orders that were placed together.

    Attributes:
        id: Its id.
        orders: One of each store and currency.
    """

    id: str
    orders: tuple[KeptOrder, ...]


@dataclass(frozen=True)
class Wish:
    """What a buyer orders with.

    Attributes:
        seen: What the buyer saw.
        delivery: Where it goes.
        method: What the payment provider knows the card as.
        trace_parent: The trace of the request.
    """

    seen: Seen
    delivery: Address
    method: str
    trace_parent: str = ""


@dataclass(frozen=True)
class Asked:
    """Who asks for a change of an order.

    Attributes:
        order: Its id.
        who: As what.
        account: The id of the account; of an API key, its maker.
        store: The slug that a seller asks in; empty for a buyer.
        trace_parent: The trace of the request.
    """

    order: str
    who: Party
    account: str
    store: str = ""
    trace_parent: str = ""


Decide = Callable[[Order, Fulfilment], OrderDecision]


class Orders:
    """Writes of the collection ``orders``, with whatever belongs to them.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Documents, database: str) -> None:
        self._client, self._turns = client, Turns()
        self._stock, self._carts = StockLevels(client, database), Carts(client, database)
        mongo = client[database]
        self._orders, self._payments, self._outbox = mongo[ORDERS.name], mongo[PAYMENTS.name], mongo[OUTBOX.name]
        self._reservations = mongo[RESERVATIONS.name]
        self._products, self._stores = mongo[PRODUCTS.name], mongo[STORES.name]
        self._users, self._memberships = mongo[USERS.name], mongo[MEMBERSHIPS.name]

    async def place(
        self, buyer: str, wish: Wish, claim: Claim, answer_of: AnswerOf[Checkout], now: datetime
    ) -> tuple[Checkout, Touched]:
        """Order what is in a buyer's cart, all or nothing.

        Args:
            buyer: The id of the account.
            wish: What it is ordered with.
            claim: The key of the request.
            answer_of: Makes the answer that is kept.
            now: The time.

        Returns:
            The orders, and what buyers are shown otherwise now.

        Raises:
            NoSuchUser: There is no such account any more, or it is banned.
            OrderError: It is refused: see :func:`quoted`, :func:`check_stock` and :func:`parts_of`.
            LeaseLost: Another request of the same key is at it.
            Unavailable: Mongo does not answer; it may be placed.
        """
        checkout, holder = secrets.token_hex(16), Holder.account(buyer)

        async def work(session: AsyncClientSession) -> tuple[Checkout, Touched]:
            touched = Touched()
            cart = await self._carts.locked(holder, now, session)
            products = await self._sold(cart.cart, session)
            lines = quoted(cart.cart, cart.version, products, wish.seen)
            items = wanted(lines)
            levels = await self._stock.read([item.variant for item in items], session)
            try:
                check_stock(lines, {key: level.available for key, level in levels.items()})
            except OutOfStock as error:
                lacking = [each.variant for each in error.lacking if each.variant in levels]
                over = await self._stock.over(lacking, milliseconds(now), session) if lacking else []
                if not over:
                    raise
                await self._stock.release(over, milliseconds(now), touched, session)
                levels = await self._stock.read([item.variant for item in items], session)
                check_stock(lines, {key: level.available for key, level in levels.items()})
            made = [
                placed(part, checkout, buyer, wish.method, levels.keys(), milliseconds(now), _new_id)
                for part in parts_of(lines, products)
            ]
            await self._stock.reserve(levels, items, milliseconds(now), touched, session)
            kept = await self._write(made, wish, now, session)
            await self._carts.write(holder, Cart(), cart, now, session)
            done = Checkout(checkout, kept)
            await claim.keep(answer_of(done), session)
            return done, touched

        async with answering():
            there = (await self._carts.get(holder, now)).cart
        names = sorted({f"stock:{line.variant}" for line in there.lines})
        async with self._turns.of(*names, f"user:{buyer}"):
            return await in_transaction(self._client, work)

    async def change(
        self, asked: Asked, decide: Decide, claim: Claim, answer_of: AnswerOf[KeptOrder], now: datetime
    ) -> tuple[KeptOrder, Touched]:
        """Do what is asked for of an order, and say it.

        Args:
            asked: Who asks.
            decide: What becomes of it; it may run several times, and what it raises goes through.
            claim: The key of the request.
            answer_of: Makes the answer that is kept.
            now: The time.

        Returns:
            The order as it is then, and what buyers are shown otherwise now.

        Raises:
            NoSuchOrder: There is no such order of the buyer or of the store.
            NoSuchUser: The buyer's account is gone or banned.
            NoSuchStore: There is no such store.
            NotAllowed: The seller may not, by the role of now.
            LeaseLost: Another request of the same key is at it.
            Unavailable: Mongo does not answer; it may have happened.
        """

        async def work(session: AsyncClientSession) -> tuple[KeptOrder, Touched]:
            touched = Touched()
            found = await self._locked(asked, session)
            before = order_of(found)
            decision = decide(before, fulfilment_of(found))
            document = order_document(decision.order, milliseconds(now), found)
            await self._replace(before, document, session)
            rows = [outbox_document(event, SERVICE, now, asked.trace_parent) for event in decision.events]
            if rows:
                await self._outbox.insert_many(rows, session=session)
            if decision.order.state is OrderState.CANCELLED and before.state is OrderState.PENDING:
                # At once, so that the buyer can have the last one again in the next moment.
                await self._release(before.id, now, touched, session)
            kept = kept_order(document)
            await claim.keep(answer_of(kept), session)
            return kept, touched

        async with self._turns.of(*_turns_of(asked)):
            return await in_transaction(self._client, work)

    async def fulfil(self, asked: Asked, change: Callable[[Order, Fulfilment], Fulfilment], now: datetime) -> KeptOrder:
        """Note where the goods of an order are; said twice it is noted once.

        Args:
            asked: The seller who says so.
            change: From the fulfilment to what it becomes; it may run several times, and what it raises goes through.
            now: The time.

        Raises:
            NoSuchOrder: There is no such order of the store.
            NoSuchStore: There is no such store.
            NotAllowed: The seller may not, by the role of now.
            Unavailable: Mongo does not answer; it may be noted.
        """

        async def work(session: AsyncClientSession) -> KeptOrder:
            found = await self._locked(asked, session)
            before, order = fulfilment_of(found), order_of(found)
            after = change(order, before)
            if after == before:
                return kept_order(found)
            # The version goes up with it, so that whoever follows the order sees it.
            document = {
                **found,
                "version": order.version + 1,
                "fulfilment": _fulfilment_document(after),
                "changed_at_ms": milliseconds(now),
            }
            await self._replace(order, document, session)
            return kept_order(document)

        async with self._turns.of(*_turns_of(asked)):
            return await in_transaction(self._client, work)

    async def _locked(self, asked: Asked, session: AsyncClientSession) -> dict[str, Any]:
        if asked.who is Party.SELLER:
            manage = Permission.MANAGE_ORDERS
            await check_permission(self._stores, self._memberships, asked.store, asked.account, manage, session)
            owner = {"store": asked.store}
        else:
            await lock_account(self._users, asked.account, session)
            owner = {"buyer": asked.account}
        found: dict[str, Any] | None = await self._orders.find_one({"_id": asked.order, **owner}, session=session)
        if found is None:
            raise NoSuchOrder("there is no such order")
        return found

    async def _replace(self, before: Order, document: Mapping[str, Any], session: AsyncClientSession) -> None:
        version = {"_id": before.id, "version": before.version}
        done = await self._orders.replace_one(version, dict(document), session=session)
        if done.matched_count != 1:
            # A snapshot does not change under its transaction; this is for a store that breaks that promise.
            raise Unavailable("the order was changed at this moment")

    async def _release(self, order: str, now: datetime, touched: Touched, session: AsyncClientSession) -> None:
        found = await self._reservations.find_one({"_id": order}, session=session)
        if found is not None:
            await self._stock.release([reservation_of(found)], milliseconds(now), touched, session)

    async def _sold(self, cart: Cart, session: AsyncClientSession) -> dict[str, Product]:
        """The products of a cart in stores that there are."""
        ids = sorted({line.product for line in cart.lines})
        found = await self._products.find({"_id": {"$in": ids}}, session=session).to_list() if ids else []
        slugs = {"_id": {"$in": sorted({each["store"] for each in found})}, **ALIVE}
        alive = {each["_id"] for each in await self._stores.find(slugs, {"_id": 1}, session=session).to_list()}
        return {each["_id"]: product_of(each) for each in found if each["store"] in alive}

    async def _write(
        self, made: list[Placed], wish: Wish, now: datetime, session: AsyncClientSession
    ) -> tuple[KeptOrder, ...]:
        now_ms = milliseconds(now)
        extra = {"delivery": asdict(wish.delivery), "fulfilment": _fulfilment_document(Fulfilment())}
        orders = [{**order_document(each.order, now_ms), **extra} for each in made]
        await self._orders.insert_many(orders, session=session)
        payments = [payment_document(each.payment, now_ms) for each in made]
        await self._payments.insert_many(payments, session=session)
        reservations = [reservation_document(each.reservation) for each in made]
        await self._reservations.insert_many(reservations, session=session)
        rows = [outbox_document(event, SERVICE, now, wish.trace_parent) for each in made for event in each.events]
        await self._outbox.insert_many(rows, session=session)
        return tuple(map(kept_order, orders))


def kept_order(document: Mapping[str, Any]) -> KeptOrder:
    """The order of a document, with what only the API writes of it."""
    return KeptOrder(
        order_of(document),
        Address(**document["delivery"]),
        fulfilment_of(document),
        document["placed_at_ms"],
        document["changed_at_ms"],
    )


def fulfilment_of(document: Mapping[str, Any]) -> Fulfilment:
    """How far the order of a document is."""
    found = document["fulfilment"]
    state = FulfilmentState(found["state"])
    return Fulfilment(state, found["carrier"], found["tracking"], found["changed_at_ms"])


def _turns_of(asked: Asked) -> tuple[str, str]:
    """What every change of an order writes: changes of one order, buyer or store follow each other."""
    return f"order:{asked.order}", f"store:{asked.store}" if asked.who is Party.SELLER else f"user:{asked.account}"


def _fulfilment_document(fulfilment: Fulfilment) -> dict[str, Any]:
    return {**asdict(fulfilment), "state": fulfilment.state.value}


def _new_id() -> str:
    return secrets.token_hex(16)
