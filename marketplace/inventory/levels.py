"""Levels of stock: what is there of a variant, what of it is reserved, and what buyers are shown of that.

Whoever reserves, deducts or moves goods, the API or a consumer, takes these rules, so that both mean the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from marketplace.catalog.products import Availability, Product
from marketplace.sagas.inventory import Reservation, ReservationState
from marketplace.sagas.order_state import OrderState

FEW: Final = 5
"""Up to so many are called few."""

MAX_ON_HAND: Final = 1_000_000_000
"""Of one variant."""

MAX_REASON_CHARS: Final = 200


class StockError(Exception):
    """What was asked for is refused, and nothing was changed; the message says why."""


class NoSuchVariant(StockError):
    """The store has no such product or variant."""


class NotCounted(StockError):
    """The variant is not counted: it was never received or adjusted, or is not counted any more."""


class BelowReserved(StockError):
    """There would be less than orders have reserved."""


class TooMuchStock(StockError):
    """There would be more than can be counted."""


class StillReserved(StockError):
    """Orders have reserved some of it, so it goes on being counted."""


@dataclass(frozen=True)
class Level:
    """What is there of a variant that is counted.

    Attributes:
        variant: Its id.
        product: The id of its product.
        store: The slug.
        on_hand: The sum of its movements.
        reserved: The sum of what orders hold of it.
        low_at: It is low where no more than so many are available; None where nobody wants to hear of it.
        changed_at_ms: Epoch milliseconds.
    """

    variant: str
    product: str
    store: str
    on_hand: int = 0
    reserved: int = 0
    low_at: int | None = None
    changed_at_ms: int = 0

    @property
    def available(self) -> int:
        """What can be ordered."""
        return self.on_hand - self.reserved

    @property
    def is_low(self) -> bool:
        """Whether the seller should get more."""
        return self.low_at is not None and self.available <= self.low_at

    @property
    def availability(self) -> Availability:
        """What buyers are shown."""
        return availability_of(self.available)


def availability_of(available: int) -> Availability:
    """What buyers are shown of so many."""
    if available <= 0:
        return Availability.NONE
    return Availability.FEW if available <= FEW else Availability.MANY


def with_counted(product: Product, counted: Mapping[str, Availability]) -> Product:
    """A product whose counted variants say what stock says, whatever its seller writes.

    Args:
        product: The product.
        counted: What buyers are shown of the variants that are counted, by id.
    """
    variants = tuple(replace(each, availability=counted.get(each.id, each.availability)) for each in product.variants)
    return product if variants == product.variants else replace(product, variants=variants)


def moved(level: Level, change: int) -> Level:
    """A level after goods came or went.

    Args:
        level: As it is.
        change: With its sign.

    Raises:
        BelowReserved: There would be less than is reserved.
        TooMuchStock: There would be more than can be counted.
    """
    on_hand = level.on_hand + change
    if change < 0 and on_hand < level.reserved:
        raise BelowReserved(
            f"there are {level.on_hand}, of which orders have reserved {level.reserved}: "
            f"at most {level.available} can go"
        )
    if on_hand > MAX_ON_HAND:
        raise TooMuchStock(f"of a variant at most {MAX_ON_HAND} can be there")
    return replace(level, on_hand=on_hand)


def is_over(reservation: Reservation, order: OrderState | None, now_ms: int) -> bool:
    """Whether a reservation that bounds others does so no more, and only nobody has released it yet.

    Args:
        reservation: The reservation.
        order: Where its order is; None where that is not known.
        now_ms: The time.
    """
    if reservation.state is not ReservationState.HELD:
        return False
    return not reservation.holds(now_ms) or order is OrderState.CANCELLED


def released(reservation: Reservation) -> Reservation:
    """A reservation after it was released; one that is over in another way stays as it is."""
    if reservation.state is not ReservationState.HELD:
        return reservation
    return replace(reservation, state=ReservationState.RELEASED, version=reservation.version + 1)
