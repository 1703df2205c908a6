"""From a cart to orders: what is bought at which price, one order for each store and currency under one checkout.

A buyer pays what stands in the order, and never more than what was shown: what costs more by now, is something else or
is gone comes back as a difference. What costs less costs less.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from marketplace.carts.cart import Cart, Line
from marketplace.carts.changes import Change, ChangeKind, accept, changes_id, options_text, revalidate
from marketplace.catalog.products import Availability, Product
from marketplace.money import MAX_MINOR
from marketplace.orders.refusals import (
    AnotherCart,
    Differs,
    EmptyCart,
    Lacking,
    NothingToPay,
    OutOfStock,
    TooLarge,
)
from marketplace.sagas import orders as saga
from marketplace.sagas.events import Event, OrderedItem
from marketplace.sagas.inventory import GRACE_SECONDS, Reservation, ReservationState, merged
from marketplace.sagas.order_state import PAY_SECONDS, Order, OrderLine, OrderState
from marketplace.sagas.payment_state import Payment

MAX_LINES: Final = 100
"""Of one checkout."""


@dataclass(frozen=True)
class Seen:
    """What the buyer saw before ordering.

    Attributes:
        version: Of the cart.
        changes_id: Of differences that were shown; None for none.
    """

    version: int
    changes_id: str | None = None


@dataclass(frozen=True)
class Part:
    """What is bought of one store in one currency.

    Attributes:
        store: The slug.
        currency: A code of ISO 4217.
        lines: What, at the prices of now.
    """

    store: str
    currency: str
    lines: tuple[OrderLine, ...]


@dataclass(frozen=True)
class Placed:
    """One order with all that is written with it.

    Attributes:
        order: The order.
        payment: What is to be paid for it.
        reservation: What it holds of stock.
        events: What is said of it.
    """

    order: Order
    payment: Payment
    reservation: Reservation
    events: tuple[Event, ...]


def quoted(cart: Cart, version: int, products: Mapping[str, Product], seen: Seen) -> tuple[Line, ...]:
    """The lines that are bought, as they are now.

    Args:
        cart: The buyer's.
        version: Its version.
        products: Those of its lines that there are in a store that there is, by id.
        seen: What the buyer saw.

    Raises:
        EmptyCart: There is nothing in it.
        AnotherCart: It is not the one that the buyer saw.
        Differs: Something costs more, is something else or is gone.
        TooLarge: It has too many lines.
    """
    if not cart.lines:
        raise EmptyCart("there is nothing in your cart")
    if version != seen.version:
        raise AnotherCart("something was put into your cart or taken out since you saw it")
    changes = revalidate(cart, products)
    name = changes_id(changes)
    if name is not None and name != seen.changes_id and any(map(_matters, changes)):
        raise Differs(changes, name)
    lines = (accept(cart, products, name) if name is not None else cart).lines
    if not lines:
        raise EmptyCart("nothing of your cart can be bought any more")
    if len(lines) > MAX_LINES:
        raise TooLarge(f"at most {MAX_LINES} lines are ordered at one time")
    return lines


def _matters(change: Change) -> bool:
    """Whether a buyer has to see a difference first; whether there is enough is stock's to say."""
    if change.kind is ChangeKind.AVAILABILITY:
        return False
    if change.kind is ChangeKind.PRICE:
        return not (isinstance(change.before, int) and isinstance(change.after, int) and change.after < change.before)
    return True


def wanted(lines: Collection[Line]) -> tuple[OrderedItem, ...]:
    """How many of which variant, each once, sorted."""
    return merged(OrderedItem(line.variant, line.quantity) for line in lines)


def check_stock(lines: Collection[Line], available: Mapping[str, int]) -> None:
    """Check that there is enough of everything.

    Args:
        lines: What is bought.
        available: Of each variant that is counted; of the others their seller says whether there are any.

    Raises:
        OutOfStock: There is not.
    """
    none = {line.variant for line in lines if line.seen.availability is Availability.NONE} - available.keys()
    lacking = [
        Lacking(item.variant, item.quantity, 0 if item.variant in none else max(0, available[item.variant]))
        for item in wanted(lines)
        if item.variant in none or item.quantity > available.get(item.variant, item.quantity)
    ]
    if lacking:
        raise OutOfStock(lacking)


def parts_of(lines: Collection[Line], products: Mapping[str, Product]) -> tuple[Part, ...]:
    """What is bought of each store, in the order of the lines.

    Raises:
        TooLarge: A part costs more than an amount can be.
        NothingToPay: A part costs nothing.
    """
    groups: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        groups.setdefault((line.store, line.seen.currency), []).append(line)
    parts = []
    for (store, currency), several in groups.items():
        part = Part(
            store,
            currency,
            tuple(_order_line(number, line, products[line.product]) for number, line in enumerate(several, 1)),
        )
        total = sum(line.total_minor for line in part.lines)
        if total > MAX_MINOR:
            raise TooLarge("an order costs more than an amount can be")
        if total == 0:
            raise NothingToPay("an order costs nothing: there is nothing to pay")
        parts.append(part)
    return tuple(parts)


def placed(
    part: Part, checkout: str, buyer: str, method: str, counted: Collection[str], now_ms: int, new_id: Callable[[], str]
) -> Placed:
    """An order, as it is written.

    Args:
        part: What is bought.
        checkout: The id of the checkout.
        buyer: The id of the account.
        method: What the payment provider knows the buyer's card as.
        counted: The variants that are counted: others are not reserved.
        now_ms: The time.
        new_id: Makes ids.
    """
    pay_by_ms = now_ms + PAY_SECONDS * 1_000
    order = Order(
        new_id(), part.store, buyer, checkout, part.currency, part.lines, OrderState.PENDING, pay_by_ms=pay_by_ms
    )
    payment = Payment(new_id(), order.id, part.store, order.total_minor, part.currency, method)
    items = merged(item for item in order.items if item.variant in counted)
    reservation = Reservation(
        order.id, part.store, items, ReservationState.HELD, pay_by_ms + GRACE_SECONDS * 1_000
    )  # fmt: skip
    return Placed(order, payment, reservation, saga.placed(order, now_ms).events)


def _order_line(number: int, line: Line, product: Product) -> OrderLine:
    variant = product.variant(line.variant)
    return OrderLine(
        number,
        line.product,
        line.variant,
        line.seen.title,
        line.quantity,
        line.seen.price_minor,
        sku="" if variant is None else variant.sku,
        options=options_text(line.seen),
    )
