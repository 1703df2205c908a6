"""Orders as pages show them, by the service that the REST API has, too."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final

from api.access import caller_is_there
from api.callers import Caller
from api.ordering import Ordering
from api.orders.bodies import order_body
from api.orders.pages import cursor_of, place_after
from api.orders.progress import has_ended
from api.storefront.addresses import with_query
from api.storefront.order_views import OrderCard, OrderLineView, OrderListing, OrderView, RefundView
from api.storefront.order_words import (
    again_title,
    is_declined,
    refund_title,
    refunded_goods,
    returned_words,
    steps,
    words,
)
from api.storefront.shop import Refused
from api.storefront.shops import Shops
from api.storefront.views import ShopName
from api.web.idempotency import give_up, stored
from connectors.mongo.idempotency import AnswerOf, Claim
from connectors.mongo.orders import Asked, KeptOrder
from connectors.mongo.product_reads import ProductReads
from marketplace.catalog.products import Product, ProductState
from marketplace.countries import COUNTRIES
from marketplace.idempotency import LeaseLost, Next, StoredAnswer, fingerprint, row_id
from marketplace.notifications.words import order_code
from marketplace.orders.delivery import FulfilmentState
from marketplace.orders.refusals import NoSuchOrder, NotPossible, OrderError, UnknownLine
from marketplace.orders.requests import Party, can_cancel
from marketplace.sagas.order_state import Order, OrderLine, OrderState

PAGE_SIZE: Final = 20
_SHOWN: Final = 3
_PATH: Final = "/shop/orders"


class StorefrontOrders:
    """Shows and changes the orders of buyers. Each call raises ``Unavailable`` where Mongo does not answer.

    Args:
        ordering: The services of orders.
        products: What is sold.
        shops: Who sells it.
    """

    def __init__(self, ordering: Ordering, products: ProductReads, shops: Shops) -> None:
        self._ordering, self._products, self._shops = ordering, products, shops

    async def listing(self, caller: Caller, after: str) -> OrderListing:
        """A page of somebody's orders.

        Args:
            caller: Whose.
            after: What the page before has given; empty for the first page.

        Raises:
            Problem: No page of these orders has given it.
        """
        kind = f"orders of the account {caller.user.id}"
        found = await self._ordering.orders.of_buyer(caller.user.id, place_after(kind, after), PAGE_SIZE)
        further = cursor_of(kind, found.next)
        return OrderListing(
            await self.cards(found.orders),
            with_query(_PATH, after=further) if further else "",
            _PATH if after else "",
        )

    async def cards(self, orders: Sequence[KeptOrder]) -> list[OrderCard]:
        """Orders as lists show them."""
        shown = [line.product for kept in orders for line in kept.order.lines[:_SHOWN]]
        shops, products = await asyncio.gather(
            self._shops.several(kept.order.store for kept in orders), self._products.many(shown)
        )
        return [_card(kept, shops, products) for kept in orders]

    async def one(self, caller: Caller, order: str) -> KeptOrder | None:
        """An order; None where there is none, or it is somebody else's."""
        try:
            return await self._ordering.orders.one(order, buyer=caller.user.id)
        except NoSuchOrder:
            return None

    async def view(self, kept: KeptOrder) -> OrderView:
        """An order with all that its page shows."""
        order, fulfilment = kept.order, kept.fulfilment
        shops, products, together = await asyncio.gather(
            self._shops.several([order.store]),
            self._products.many(line.product for line in order.lines),
            self._ordering.orders.checkout(order.checkout, order.buyer),
        )
        refundable = order.state is OrderState.CONFIRMED and fulfilment.state is FulfilmentState.UNFULFILLED
        sold = products if order.store in shops else {}
        is_confirmed = order.state is OrderState.CONFIRMED
        return OrderView(
            card=_card(kept, shops, products),
            together_url=f"/shop/checkout/{order.checkout}" if len(together.orders) > 1 else "",
            steps=steps(kept),
            lines=[_line(line, order, sold.get(line.product), refundable) for line in order.lines],
            paid_minor=order.paid_minor,
            refunded_minor=order.refunded_minor,
            refunds=[
                RefundView(refund_title(each), refunded_goods(each, order), each.amount_minor, each.asked_ms)
                for each in order.refunds
            ],
            delivery=kept.delivery,
            country=COUNTRIES.get(kept.delivery.country, kept.delivery.country),
            fulfilment=fulfilment,
            pay_by=order.pay_by_ms if order.state is OrderState.PENDING else 0,
            can_cancel=can_cancel(order, fulfilment, Party.BUYER),
            is_confirmed=is_confirmed,
            again=again_title(order) if order.state in (OrderState.CANCELLED, OrderState.CONFIRMED) else "",
        )

    async def cancel(self, caller: Caller, order: str, once: str, trace_parent: str) -> None:
        """End a whole order; a form that is sent twice ends it once.

        Raises:
            Refused: That is not possible, or not any more.
            NoSuchOrder: There is none, or it is somebody else's.
        """
        asked = Asked(order, Party.BUYER, caller.user.id, trace_parent=trace_parent)
        work = lambda claim, answer: self._ordering.orders.cancel(asked, claim, answer)  # noqa: E731  # it is handed on, and has the type that is asked for
        await self._once(caller, once, {"do": "cancel", "order": order}, work)

    async def refund(
        self, caller: Caller, order: str, counts: Mapping[int, int], reason: str, once: str, trace_parent: str
    ) -> None:
        """Have money of some lines go back; a form that is sent twice asks once.

        Raises:
            Refused: That is not possible, or not any more.
            NoSuchOrder: There is none, or it is somebody else's.
        """
        asked = Asked(order, Party.BUYER, caller.user.id, trace_parent=trace_parent)
        said = {"do": "refund", "order": order, "counts": {str(key): n for key, n in counts.items()}, "reason": reason}
        work = lambda claim, answer: self._ordering.orders.refund(asked, counts, reason, None, claim, answer)  # noqa: E731  # it is handed on, and has the type that is asked for
        await self._once(caller, once, said, work)

    async def reorder(self, caller: Caller, order: str) -> str:
        """Put what was ordered into the cart once more.

        Returns:
            ``all``, ``some`` or ``none``: how much of it can be had still.

        Raises:
            NoSuchOrder: There is none, or it is somebody else's.
        """
        with caller_is_there():
            done = await self._ordering.orders.reorder(caller.user.id, order)
        return "all" if not done.skipped else "some" if done.added else "none"

    async def reorder_declined(self, caller: Caller, kept: KeptOrder) -> str:
        """Put into the cart once more what was ordered together with an order and declined; see :meth:`reorder`."""
        placed = await self._ordering.orders.checkout(kept.order.checkout, caller.user.id)
        much = {await self.reorder(caller, each.order.id) for each in placed.orders if is_declined(each.order)}
        return much.pop() if len(much) == 1 else "some" if much else "none"

    async def _once(
        self,
        caller: Caller,
        once: str,
        said: Mapping[str, object],
        work: Callable[[Claim, AnswerOf[KeptOrder]], Awaitable[KeptOrder]],
    ) -> None:
        keys, owner = self._ordering.keys, secrets.token_hex(16)
        row = row_id(f"user:{caller.user.id}:order", once)
        begun = await keys.begin(row, fingerprint("POST", _PATH, {}, dict(said)), owner, self._ordering.clock())
        if begun.next is Next.ANSWER:
            return
        if begun.next is not Next.WORK:
            raise Refused("This form is being worked on already. Open the page once more in a moment.")
        try:
            with caller_is_there():
                await work(Claim(keys, row, owner), _answer)
        except LeaseLost:
            return
        except BaseException as error:
            await give_up(keys, row, owner)
            if isinstance(error, NotPossible | UnknownLine):
                raise Refused(_refusal(error)) from error
            raise


def _answer(kept: KeptOrder) -> StoredAnswer:
    return stored(200, order_body(kept))


def _refusal(error: OrderError) -> str:
    if isinstance(error, UnknownLine):
        return "So many of it cannot go back: some have gone back already."
    return f"That is not possible now: {error}."


def _card(kept: KeptOrder, shops: Mapping[str, ShopName], products: Mapping[str, Product]) -> OrderCard:
    order = kept.order
    shown = order.lines[:_SHOWN]
    return OrderCard(
        id=order.id,
        name=order_code(order.id),
        shop=shops.get(order.store, ShopName(order.store, order.store)),
        shop_is_there=order.store in shops,
        words=words(kept),
        placed_at=kept.placed_at_ms,
        total_minor=order.total_minor,
        currency=order.currency,
        titles=[line.title for line in shown],
        images=[_image(products.get(line.product)) for line in shown],
        count=sum(line.quantity for line in order.lines),
        more=len(order.lines) - len(shown),
        moving=not has_ended(kept),
        product=order.lines[0].product if len(order.lines) == 1 else "",
        is_paid=order.state in (OrderState.PAID, OrderState.CONFIRMED),
        is_declined=is_declined(order),
    )


def _line(line: OrderLine, order: Order, product: Product | None, refundable: bool) -> OrderLineView:
    is_seen = product is not None and product.state is ProductState.ACTIVE
    url = f"/shop/{order.store}/{product.slug}" if product is not None and is_seen else ""
    left, is_confirmed = line.quantity - line.returned, order.state is OrderState.CONFIRMED
    return OrderLineView(
        number=line.number,
        product=line.product,
        url=url,
        image=_image(product),
        title=line.title,
        choice=line.options,
        quantity=line.quantity,
        unit_minor=line.unit_minor,
        total_minor=line.total_minor,
        back=returned_words(line, order),
        left=left if refundable else 0,
        review_url=f"{url}?write=1#write" if url and is_confirmed and left else "",
    )


def _image(product: Product | None) -> str:
    return product.images[0].url if product is not None and product.images else ""


def counts_of(line: str, quantity: str, known: Collection[int]) -> dict[int, int]:
    """How many of which line a form wants back.

    Raises:
        Refused: It is none of these lines, or no number.
    """
    plain = all(each.isascii() and each.isdecimal() and len(each) <= 4 for each in (line, quantity))
    if not plain or int(line) not in known or int(quantity) < 1:
        raise Refused("Say how many of it are to go back.", "quantity")
    return {int(line): int(quantity)}
