"""Orders: what the routes and the storefront do, without HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from connectors.mongo.async_client import Documents
from connectors.mongo.carts import Carts, Holder
from connectors.mongo.idempotency import AnswerOf, Claim
from connectors.mongo.newest_pages import NewestPlace
from connectors.mongo.order_reads import Happened, OrderReads, PaymentView
from connectors.mongo.orders import Asked, Checkout, KeptOrder, Orders, Wish
from connectors.mongo.product_reads import ProductReads
from connectors.mongo.stock import Touched
from connectors.mongo.tenant_stores import TenantStores
from connectors.mongo.times import milliseconds
from marketplace.carts.cart import POLICY, Cart, CartFull, NotForSale, put
from marketplace.carts.cart import OutOfStock as NoneLeft
from marketplace.orders.delivery import FulfilmentState, moved_on
from marketplace.orders.refusals import NoSuchOrder
from marketplace.orders.requests import cancelled, refunded
from marketplace.sagas.order_state import OrderState

Forget = Callable[[str, list[str]], Awaitable[None]]
"""Is called with a store and its products that buyers are shown otherwise now; it never fails."""


async def forget_nothing(store: str, products: list[str]) -> None:
    """Nobody keeps answers."""
    del store, products


@dataclass(frozen=True)
class OrderPage:
    """Orders, and the place behind which the next ones are; None where there are none."""

    orders: list[KeptOrder]
    next: NewestPlace | None


@dataclass(frozen=True)
class OrderCase:
    """An order with its payment and its events."""

    order: KeptOrder
    payment: PaymentView | None
    timeline: list[Happened]


@dataclass(frozen=True)
class Reordered:
    """What of an order is in the cart now.

    Attributes:
        version: Of the cart.
        added: Variants of which the cart has at least as many as the order.
        skipped: Why the others are not there, by variant.
    """

    version: int
    added: tuple[str, ...]
    skipped: Mapping[str, str]


class OrderService:
    """Places, reads and changes orders.

    Args:
        orders: Writes them.
        reads: Reads them.
        carts: Where a buyer's lines are.
        products: What is sold.
        stores: Who sells it.
        forget: Is called after buyers are shown products otherwise.
        clock: The time.
    """

    def __init__(
        self,
        orders: Orders,
        reads: OrderReads,
        carts: Carts,
        products: ProductReads,
        stores: TenantStores,
        forget: Forget = forget_nothing,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._orders, self._reads, self._carts = orders, reads, carts
        self._products, self._stores, self._forget, self._clock = products, stores, forget, clock

    @staticmethod
    def on_mongo(
        client: Documents,
        database: str,
        forget: Forget = forget_nothing,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> OrderService:
        """On the collections of a database; the caller closes the client."""
        return OrderService(
            Orders(client, database),
            OrderReads(client, database),
            Carts(client, database),
            ProductReads(client, database),
            TenantStores(client, database),
            forget,
            clock,
        )

    async def place(self, buyer: str, wish: Wish, claim: Claim, answer_of: AnswerOf[Checkout]) -> Checkout:
        """Order what is in a buyer's cart; see :meth:`Orders.place` for the errors."""
        checkout, touched = await self._orders.place(buyer, wish, claim, answer_of, self._clock())
        await self._tell(touched)
        return checkout

    async def cancel(self, asked: Asked, claim: Claim, answer_of: AnswerOf[KeptOrder]) -> KeptOrder:
        """End a whole order; see :func:`cancelled` and :meth:`Orders.change` for the errors."""
        now = self._clock()
        kept, touched = await self._orders.change(
            asked,
            lambda order, fulfilment: cancelled(order, fulfilment, asked.who, milliseconds(now)),
            claim,
            answer_of,
            now,
        )
        await self._tell(touched)
        return kept

    async def refund(
        self,
        asked: Asked,
        counts: Mapping[int, int],
        reason: str,
        restock: bool | None,
        claim: Claim,
        answer_of: AnswerOf[KeptOrder],
    ) -> KeptOrder:
        """Let money of an order go back; see :func:`refunded` and :meth:`Orders.change` for the errors."""
        now = self._clock()
        kept, touched = await self._orders.change(
            asked,
            lambda order, fulfilment: refunded(
                order, fulfilment, asked.who, counts, milliseconds(now), reason=reason, restock=restock
            ),
            claim,
            answer_of,
            now,
        )
        await self._tell(touched)
        return kept

    async def fulfil(self, asked: Asked, state: FulfilmentState, carrier: str, tracking: str) -> KeptOrder:
        """Note where the goods of an order are; see :func:`moved_on` and :meth:`Orders.fulfil` for the errors."""
        now = self._clock()
        return await self._orders.fulfil(
            asked,
            lambda order, before: moved_on(order, before, state, carrier, tracking, milliseconds(now)),
            now,
        )

    async def of_buyer(self, buyer: str, after: NewestPlace | None = None, limit: int = 20) -> OrderPage:
        """A page of a buyer's orders, the newest first.

        Raises:
            Unavailable: Mongo does not answer.
        """
        now_ms = milliseconds(self._clock())
        return _page(await self._reads.of_buyer(buyer, after, limit + 1, now_ms), limit)

    async def of_store(
        self,
        store: str,
        state: OrderState | None = None,
        search: str = "",
        after: NewestPlace | None = None,
        limit: int = 20,
    ) -> OrderPage:
        """A page of a store's orders, the newest first; see :meth:`OrderReads.of_store`.

        Raises:
            Unavailable: Mongo does not answer.
        """
        now_ms = milliseconds(self._clock())
        return _page(await self._reads.of_store(store, state, search, after, limit + 1, now_ms), limit)

    async def names(self, orders: list[KeptOrder]) -> dict[str, tuple[str, str]]:
        """Names and addresses of the buyers of orders, by account.

        Raises:
            Unavailable: Mongo does not answer.
        """
        return await self._reads.names({kept.order.buyer for kept in orders})

    async def one(self, order: str, *, buyer: str = "", store: str = "") -> KeptOrder:
        """An order of a buyer or of a store.

        Raises:
            NoSuchOrder: There is none, or it is somebody else's.
            Unavailable: Mongo does not answer.
        """
        found = await self._reads.one(order, buyer=buyer, store=store)
        if found is None:
            raise NoSuchOrder("there is no such order")
        return found

    async def case(self, order: str, store: str) -> OrderCase:
        """An order of a store with its payment and its events.

        Raises:
            NoSuchOrder: There is none, or it is another store's.
            Unavailable: Mongo does not answer.
        """
        kept = await self.one(order, store=store)
        return OrderCase(kept, await self._reads.payment(order), await self._reads.timeline(order))

    async def checkout(self, checkout: str, buyer: str) -> Checkout:
        """The orders of a checkout.

        Raises:
            NoSuchOrder: There is none, or it is somebody else's.
            Unavailable: Mongo does not answer.
        """
        found = await self._reads.of_checkout(checkout, buyer)
        if not found:
            raise NoSuchOrder("there is no such checkout")
        return Checkout(checkout, tuple(found))

    async def reorder(self, buyer: str, order: str) -> Reordered:
        """Put the lines of an order into the buyer's cart once more; done twice it is done once.

        Raises:
            NoSuchOrder: There is none, or it is somebody else's.
            NoSuchUser: There is no such account any more, or it is banned.
            Unavailable: Mongo does not answer; it may be done.
        """
        lines, now = (await self.one(order, buyer=buyer)).order.lines, self._clock()
        products = await self._products.many(line.product for line in lines)
        there = await self._stores.several({product.store for product in products.values()}) if products else {}
        sold = {key: product for key, product in products.items() if product.store in there}
        added: list[str] = []
        skipped: dict[str, str] = {}

        def edit(cart: Cart) -> Cart:
            added.clear()
            skipped.clear()
            for line in lines:
                known = cart.line(line.variant)
                count = min(POLICY.max_quantity, max(line.quantity, known.quantity if known else 0))
                try:
                    cart = put(cart, sold.get(line.product), line.variant, count, milliseconds(now))
                except NotForSale:
                    skipped[line.variant] = "not-for-sale"
                except NoneLeft:
                    skipped[line.variant] = "out-of-stock"
                except CartFull:
                    skipped[line.variant] = "cart-full"
                else:
                    added.append(line.variant)
            return cart

        kept = await self._carts.change(Holder.account(buyer), edit, now)
        return Reordered(kept.version, tuple(added), dict(skipped))

    async def _tell(self, touched: Touched) -> None:
        for store, products in sorted(touched.products.items()):
            await self._forget(store, sorted(products))


def _page(found: list[KeptOrder], limit: int) -> OrderPage:
    page, more = found[:limit], len(found) > limit
    return OrderPage(page, NewestPlace(page[-1].placed_at_ms, page[-1].order.id) if more else None)
