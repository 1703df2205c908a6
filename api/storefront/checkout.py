"""Carts that become orders, as pages show them: by the services that the REST API has, too."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

from api.access import caller_is_there
from api.callers import Caller
from api.carts.service import CartService, CartView
from api.ordering import Ordering
from api.orders.bodies import checkout_body
from api.storefront.carts import sentences
from api.storefront.checkout_views import CheckoutLine, CheckoutPage, CheckoutPart, Placed, Typed
from api.storefront.shop import Refused
from api.storefront.shops import Shops
from api.storefront.views import ShopName
from api.web.idempotency import give_up, stored
from connectors import errors
from connectors.errors import Unavailable
from connectors.mongo.carts import Holder
from connectors.mongo.idempotency import Claim
from connectors.mongo.orders import Checkout, Wish
from connectors.mongo.times import milliseconds
from connectors.payments.methods import Card, PaymentMethods, TrialCard
from marketplace.carts.cart import Line, NoSuchLine
from marketplace.carts.changes import Change, ChangeKind
from marketplace.catalog.products import Availability
from marketplace.idempotency import LeaseLost, Next, StoredAnswer, fingerprint, row_id
from marketplace.orders.checkout import Seen
from marketplace.orders.delivery import Address
from marketplace.orders.refusals import NoSuchOrder

WAIT_SECONDS: Final = 8.0
"""For the first of two forms that are one: the second one answers with what it ordered."""

_LOOK_SECONDS: Final = 0.2
_NO_PROVIDER: Final = (
    "The payment provider does not answer at this moment, so nothing was ordered and nothing was charged. What you "
    "have typed is still here, except the card. Wait a moment, and order again."
)
_log = logging.getLogger(__name__)
_PATH: Final = "/shop/checkout"


class UnderWay(Refused):
    """The same form is being worked on still: whether it orders anything is not known yet."""

    def __init__(self) -> None:
        super().__init__("Your order is being placed at this moment.")


class StorefrontCheckout:
    """Shows what would be ordered, and orders it. Each call raises ``Unavailable`` where a part does not answer.

    Args:
        carts: The service of carts.
        ordering: What turns carts into orders.
        shops: Who sells.
        methods: Where cards are known; None where nothing can be paid.
        clock: The time.
    """

    def __init__(
        self,
        carts: CartService,
        ordering: Ordering,
        shops: Shops,
        methods: PaymentMethods | None,
        clock: Callable[[], datetime],
    ) -> None:
        self._carts, self._ordering, self._shops, self._methods = carts, ordering, shops, methods
        self.clock = clock

    @property
    def is_open(self) -> bool:
        """Whether anything can be paid."""
        return self._methods is not None

    @property
    def trial_cards(self) -> tuple[TrialCard, ...]:
        """Cards to try it with; empty where money is real."""
        return self._methods.trial_cards if self._methods else ()

    async def review(self, caller: Caller, left: Mapping[str, int] | None = None) -> CheckoutPage:
        """What would be ordered, as it is now.

        Args:
            caller: Who orders.
            left: How many can be had of variants of which there are fewer than wanted, as far as it is known.
        """
        found = await self._carts.get(Holder.account(caller.user.id))
        known = await self._shops.several(line.store for line in found.cart.lines)
        parts: dict[tuple[str, str], list[CheckoutLine]] = {}
        for line in found.cart.lines:
            shown = _line(line, found.changes_of(line), left or {})
            parts.setdefault((line.store, shown.currency), []).append(shown)
        return CheckoutPage(
            [
                CheckoutPart(known.get(slug, ShopName(slug, slug)), currency, lines, sum(map(_counted, lines)))
                for (slug, currency), lines in parts.items()
            ],
            _together(line for lines in parts.values() for line in lines),
            found.pieces,
            found.version,
            found.changes_id or "",
        )

    async def last_address(self, caller: Caller) -> Address | None:
        """Where the last order went; None for somebody who has not ordered yet."""
        orders = (await self._ordering.orders.of_buyer(caller.user.id, limit=1)).orders
        return orders[0].delivery if orders else None

    async def place(self, caller: Caller, typed: Typed, address: Address, card: Card, trace_parent: str) -> Placed:
        """Order what is in the cart; a form that is sent twice orders once.

        Args:
            caller: Who orders.
            typed: What was typed, with the key of the form.
            address: Where it goes.
            card: What is paid with: the provider is asked what it knows it as, and nothing else learns of it.
            trace_parent: The trace of the request.

        Raises:
            UnderWay: The same form is being worked on, and takes long.
            CardRefused: The provider does not take the card.
            OrderError: It is not ordered; see :meth:`OrderService.place`.
            Problem: The account is gone.
            Refused: There is no provider, or it does not answer.
        """
        if self._methods is None:
            raise Refused("Nothing can be paid here now, so nothing can be ordered.")
        # Of these forms alone: what another kind of request was answered is no order that was placed here.
        row = row_id(f"user:{caller.user.id}:checkout", typed.once)
        # Not of the card: a form that is typed once more with another one is the same order.
        said = {**typed.fields, "version": typed.version, "changes": typed.changes}
        owner = secrets.token_hex(16)
        before = await self._begin(row, fingerprint("POST", _PATH, {}, said), owner)
        if before is not None:
            return before
        keys = self._ordering.keys
        try:
            seen = Seen(typed.version, typed.changes or None)
            wish = Wish(seen, address, await _method(self._methods, card), trace_parent)
            with caller_is_there():
                done = await self._ordering.orders.place(caller.user.id, wish, Claim(keys, row, owner), _answer)
        except LeaseLost:
            raise UnderWay from None
        except BaseException:
            await give_up(keys, row, owner)
            raise
        return _placed(_answer(done))

    async def checkout(self, caller: Caller, checkout: str) -> Checkout | None:
        """The orders of a checkout; None where there are none, or they are somebody else's."""
        try:
            return await self._ordering.orders.checkout(checkout, caller.user.id)
        except NoSuchOrder:
            return None

    async def take_what_is_left(self, caller: Caller, left: Mapping[str, int]) -> None:
        """Let the cart have no more of variants than can be had."""
        holder = Holder.account(caller.user.id)
        found: CartView = await self._carts.get(holder)
        for line in found.cart.lines:
            there = left.get(line.variant, line.quantity)
            if there >= line.quantity:
                continue
            try:
                with caller_is_there():
                    if there:
                        await self._carts.set_quantity(holder, line.variant, there)
                    else:
                        await self._carts.remove(holder, line.variant)
            except NoSuchLine:
                continue

    async def _begin(self, row: str, asked: str, owner: str) -> Placed | None:
        """Take the key of a form; what was ordered with it where it was sent before."""
        keys, until = self._ordering.keys, time.monotonic() + WAIT_SECONDS
        while True:
            now = self.clock()
            begun = await keys.begin(row, asked, owner, now)
            if begun.next is Next.WORK:
                return None
            kept = begun.kept
            assert kept is not None  # nothing else is in the way
            if kept.answer is not None:
                return _placed(kept.answer, other=begun.next is Next.OTHER)
            if kept.lease_until_ms <= milliseconds(now):
                # It has ended without a trace, and something else was typed in since.
                await keys.give_up(row, kept.owner)
            elif time.monotonic() > until:
                raise UnderWay
            else:
                await asyncio.sleep(_LOOK_SECONDS)


async def _method(methods: PaymentMethods, card: Card) -> str:
    """What the provider knows a card as."""
    try:
        return await methods.add(card)
    except Unavailable as error:
        _log.warning("a card was not taken: %s", error)
    except errors.Refused as error:
        # Nobody can pay until somebody looks into it.
        _log.error("the payment provider refuses us: %s", error)
    raise Refused(_NO_PROVIDER)


def _answer(done: Checkout) -> StoredAnswer:
    return stored(201, checkout_body(done), f"/v1/checkouts/{done.id}")


def _placed(answer: StoredAnswer, *, other: bool = False) -> Placed:
    said = json.loads(answer.body)
    return Placed(said["id"], [each["id"] for each in said["orders"]], other)


def _line(line: Line, changes: tuple[Change, ...], left: Mapping[str, int]) -> CheckoutLine:
    now = {change.kind: change.after for change in changes}
    gone = ChangeKind.GONE in now
    sold_out = now.get(ChangeKind.AVAILABILITY, line.seen.availability.value) == Availability.NONE.value
    price = int(now.get(ChangeKind.PRICE) or 0) if ChangeKind.PRICE in now else line.seen.price_minor
    there = 0 if sold_out and line.variant not in left else left.get(line.variant)
    return CheckoutLine(
        id=line.variant,
        product=line.product,
        url="" if gone else f"/shop/{line.store}/{line.seen.slug}",
        title=str(now.get(ChangeKind.TITLE) or line.seen.title),
        choice=str(now.get(ChangeKind.OPTIONS) or ", ".join(value for _, value in line.seen.options)),
        image=line.seen.image,
        quantity=line.quantity,
        total_minor=price * line.quantity,
        currency=str(now.get(ChangeKind.CURRENCY) or line.seen.currency),
        changes=sentences(line, changes),
        gone=gone,
        left=None if gone or there is None or there >= line.quantity else there,
    )


def _counted(line: CheckoutLine) -> int:
    return 0 if line.gone or line.left == 0 else line.total_minor


def _together(lines: Iterable[CheckoutLine]) -> list[tuple[int, str]]:
    sums: dict[str, int] = {}
    for line in lines:
        sums[line.currency] = sums.get(line.currency, 0) + _counted(line)
    return [(minor, currency) for currency, minor in sums.items()]
