"""Carts as pages show them, by the service that the REST API has, too."""

from __future__ import annotations

import contextlib
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from api.access import caller_is_there
from api.callers import Caller
from api.carts.service import CartService, CartView
from api.storefront.cart_views import CartLine, CartPage, CartShop
from api.storefront.shop import CartOwner, ChoiceNeeded, Refused
from api.storefront.shops import Shops
from api.storefront.views import ShopName
from connectors.errors import Unavailable
from connectors.mongo.carts import Holder
from connectors.mongo.product_reads import ProductReads
from connectors.redis.sent_forms import SentForms
from marketplace.carts.cart import (
    POLICY,
    CartError,
    CartFull,
    ChangedAgain,
    Line,
    NoSuchCart,
    NoSuchLine,
    NotForSale,
    OutOfStock,
    TooMany,
)
from marketplace.carts.changes import Change, ChangeKind
from marketplace.catalog.products import Availability
from marketplace.money import shown_amount

_REFUSALS: Final[dict[type[CartError], tuple[str, str]]] = {
    NotForSale: ("It is not sold any more.", "variant"),
    OutOfStock: ("There is none of it now.", "variant"),
    TooMany: (f"At most {POLICY.max_quantity} of one product can be in a cart.", "quantity"),
    CartFull: (f"Your cart is full: it has {POLICY.max_lines} products.", ""),
}
_STOCK: Final = {
    Availability.MANY: "There is plenty of it again.",
    Availability.FEW: "Only a few are left.",
    Availability.NONE: "It is sold out now.",
}
_log = logging.getLogger(__name__)


class StorefrontCarts:
    """Reads and changes carts. Each call raises ``Unavailable`` where Mongo does not answer.

    Args:
        carts: The service.
        products: What is sold.
        shops: Who sells it.
        sent: Which forms were sent.
    """

    def __init__(
        self,
        carts: CartService,
        products: ProductReads,
        shops: Shops,
        sent: SentForms,
    ) -> None:
        self._carts, self._products, self._shops, self._sent = carts, products, shops, sent

    async def cart(self, owner: CartOwner) -> CartPage:
        """A cart, with what is different now; an empty one where there is none."""
        if owner.nobody:
            return CartPage()
        try:
            found = await self._carts.get(_holder(owner))
        except NoSuchCart:
            return CartPage()
        known = await self._shops.several(line.store for line in found.cart.lines)
        lines: defaultdict[str, list[CartLine]] = defaultdict(list)
        for line in found.cart.lines:
            lines[line.store].append(_line(line, found.changes_of(line)))
        shops = [
            CartShop(
                known.get(slug, ShopName(slug, slug)),
                lines[slug],
                [(each.total_minor, each.currency) for each in found.totals if each.store == slug],
            )
            for slug in lines
        ]
        return CartPage(shops, _together(found), found.pieces, found.changes_id or "")

    async def count(self, owner: CartOwner) -> int:
        """How many pieces are in a cart."""
        if owner.nobody:
            return 0
        with contextlib.suppress(NoSuchCart):
            return await self._carts.pieces(_holder(owner))
        return 0

    async def add(self, owner: CartOwner, product: str, variant: str, quantity: int, once: str, new_secret: str) -> str:
        """Put something into a cart.

        Args:
            owner: Whose.
            product: The product's id.
            variant: The variant's id; empty for a product that has only one.
            quantity: Pieces.
            once: Of the form: one that was sent before adds nothing.
            new_secret: Of the cart that is made for a guest who has none: the same whenever the form is sent.

        Returns:
            The secret of the guest's cart; empty for somebody who is signed in.

        Raises:
            ChoiceNeeded: The product has several variants, and none was named.
            Refused: It is not put in.
        """
        variant = variant or await self._only_variant(product)
        if not await self._is_first(once):
            return "" if owner.caller else owner.guest if await self._is_there(owner) else new_secret
        try:
            holder, secret = await self._holder_to_fill(owner, new_secret)
            with _refusing():
                await self._carts.add(holder, product, variant, quantity)
        except BaseException:
            with contextlib.suppress(Unavailable):
                await self._sent.give_back(once)
            raise
        return secret

    async def set_quantity(self, owner: CartOwner, line: str, quantity: int) -> None:
        """Change a line's pieces; none removes it. A line that is gone is no error.

        Raises:
            Refused: There may not be so many.
        """
        with contextlib.suppress(NoSuchLine, NoSuchCart), _refusing():
            if quantity:
                await self._carts.set_quantity(_holder(owner), line, quantity)
            else:
                await self._carts.remove(_holder(owner), line)

    async def accept(self, owner: CartOwner, changes: str) -> None:
        """Take over what is different now, as it was shown.

        Raises:
            Refused: Something else is different by now.
        """
        try:
            with contextlib.suppress(NoSuchCart), _refusing():
                await self._carts.accept(_holder(owner), changes)
        except ChangedAgain as error:
            raise Refused("Something has changed once more meanwhile. Look at it again.") from error

    async def merge(self, caller: Caller, guest: str) -> str:
        """Put a guest's cart into that of who has signed in, once.

        Returns:
            Empty where all of it is there; ``capped`` where a line has fewer pieces than both had, ``full`` where the
            cart is full, and the guest's is as it was.
        """
        try:
            with caller_is_there():
                merged = await self._carts.merge(caller.user.id, guest)
        except CartFull:
            return "full"
        return "capped" if merged.capped else ""

    async def _holder_to_fill(self, owner: CartOwner, new_secret: str) -> tuple[Holder, str]:
        if owner.caller is not None:
            return _holder(owner), ""
        if await self._is_there(owner):
            return _holder(owner), owner.guest
        await self._carts.create_guest(new_secret)
        return Holder.guest(new_secret), new_secret

    async def _is_there(self, owner: CartOwner) -> bool:
        if owner.nobody:
            return False
        try:
            await self._carts.pieces(_holder(owner))
        except NoSuchCart:
            return False
        return True

    async def _only_variant(self, product: str) -> str:
        found = await self._products.get(product)
        if found is None:
            raise Refused(*_REFUSALS[NotForSale])
        if len(found.variants) > 1:
            raise ChoiceNeeded(f"/shop/{found.store}/{found.slug}")
        return found.variants[0].id

    async def _is_first(self, once: str) -> bool:
        try:
            return await self._sent.take(once)
        except Unavailable as error:
            # Better once more than not at all.
            _log.warning("a form may count twice: %s", error)
            return True


def _holder(owner: CartOwner) -> Holder:
    return CartService.holder(owner.caller.user.id if owner.caller else None, owner.guest)


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        with caller_is_there():
            yield
    except (NotForSale, OutOfStock, TooMany, CartFull) as error:
        raise Refused(*_REFUSALS[type(error)]) from error


def _line(line: Line, changes: Sequence[Change]) -> CartLine:
    by_kind = {change.kind: change for change in changes}
    is_gone, stock = ChangeKind.GONE in by_kind, by_kind.get(ChangeKind.AVAILABILITY)
    now = line.seen.availability if stock is None else Availability(str(stock.after))
    return CartLine(
        id=line.variant,
        product=line.product,
        url="" if is_gone else f"/shop/{line.store}/{line.seen.slug}",
        title=line.seen.title,
        choice=", ".join(value for _, value in line.seen.options),
        image=line.seen.image,
        quantity=line.quantity,
        price_minor=line.seen.price_minor,
        currency=line.seen.currency,
        changes=sentences(line, changes),
        buyable=not is_gone and now is not Availability.NONE,
    )


def sentences(line: Line, different: Sequence[Change]) -> list[str]:
    """What is different of a line, for people."""
    changes = {change.kind: change for change in different}
    if ChangeKind.GONE in changes:
        return ["It is not sold any more."]
    found = []
    price, currency = changes.get(ChangeKind.PRICE), changes.get(ChangeKind.CURRENCY)
    if price is not None or currency is not None:
        before = shown_amount(line.seen.price_minor, line.seen.currency)
        minor = line.seen.price_minor if price is None else int(str(price.after))
        now = shown_amount(minor, line.seen.currency if currency is None else str(currency.after))
        found.append(f"The price is {now} now; it was {before}.")
    if (stock := changes.get(ChangeKind.AVAILABILITY)) is not None:
        found.append(_STOCK[Availability(str(stock.after))])
    if (title := changes.get(ChangeKind.TITLE)) is not None:
        found.append(f"It is called \u201c{title.after}\u201d now.")
    if (options := changes.get(ChangeKind.OPTIONS)) is not None:
        found.append(f"The variant is called \u201c{options.after}\u201d now.")
    return found


def _together(found: CartView) -> list[tuple[int, str]]:
    sums: dict[str, int] = {}
    for each in found.totals:
        sums[each.currency] = sums.get(each.currency, 0) + each.total_minor
    return [(minor, currency) for currency, minor in sums.items()]
