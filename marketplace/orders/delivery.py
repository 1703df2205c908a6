"""Where an order goes, and how far it is on the way: its seller says so, guarded by what becomes of its money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from marketplace.countries import COUNTRIES
from marketplace.orders.refusals import NotPossible
from marketplace.sagas.order_state import Order, OrderState

MAX_NAME_CHARS: Final = 100
MAX_STREET_CHARS: Final = 200
MAX_POSTCODE_CHARS: Final = 20
MAX_CITY_CHARS: Final = 100
MAX_TRACKING_CHARS: Final = 100
MAX_CARRIER_CHARS: Final = 50


@dataclass(frozen=True)
class Address:
    """Where goods go.

    Attributes:
        name: Who gets them.
        street: With the number of the house.
        extra: A further line; empty for none.
        postcode: As the country writes it; empty where it has none.
        city: The place.
        country: A code of ISO 3166-1 with two letters.
    """

    name: str
    street: str
    extra: str
    postcode: str
    city: str
    country: str

    @property
    def lines(self) -> tuple[str, ...]:
        """As they stand on a parcel, without those that are empty."""
        place = f"{self.postcode} {self.city}".strip()
        country = COUNTRIES.get(self.country, self.country)
        return tuple(line for line in (self.name, self.street, self.extra, place, country) if line)


class FulfilmentState(StrEnum):
    """Where the goods of an order are."""

    UNFULFILLED = "unfulfilled"
    PACKED = "packed"
    SHIPPED = "shipped"
    DELIVERED = "delivered"


GONE: Final = frozenset({FulfilmentState.SHIPPED, FulfilmentState.DELIVERED})
"""The goods are not with the seller any more."""

_FOLLOWS: Final[Mapping[FulfilmentState, frozenset[FulfilmentState]]] = {
    FulfilmentState.UNFULFILLED: frozenset({FulfilmentState.PACKED, FulfilmentState.SHIPPED}),
    FulfilmentState.PACKED: frozenset({FulfilmentState.UNFULFILLED, FulfilmentState.SHIPPED}),
    FulfilmentState.SHIPPED: frozenset({FulfilmentState.DELIVERED}),
    FulfilmentState.DELIVERED: frozenset(),
}


@dataclass(frozen=True)
class Fulfilment:
    """How far an order is.

    Attributes:
        state: Where its goods are.
        carrier: Who brings them; empty where that is not said.
        tracking: By which they can be followed; empty for none.
        changed_at_ms: Epoch milliseconds; 0 where nobody has said anything yet.
    """

    state: FulfilmentState = FulfilmentState.UNFULFILLED
    carrier: str = ""
    tracking: str = ""
    changed_at_ms: int = 0


def moved_on(
    order: Order, before: Fulfilment, state: FulfilmentState, carrier: str, tracking: str, now_ms: int
) -> Fulfilment:
    """The fulfilment of an order after its seller said where the goods are; the same said twice changes nothing.

    Args:
        order: As it is now.
        before: Its fulfilment.
        state: Where the goods are.
        carrier: Who brings goods that are under way; it can be corrected.
        tracking: By which they can be followed; it can be corrected.
        now_ms: The time.

    Raises:
        NotPossible: The order is not confirmed, or that state does not follow.
    """
    if state not in GONE and (carrier or tracking):
        raise NotPossible("only what is shipped has a carrier and a tracking number")
    after = replace(before, state=state, carrier=carrier, tracking=tracking)
    if after == before:
        return before
    if order.state is not OrderState.CONFIRMED:
        raise NotPossible(f"the order is {order.state.value}: only a confirmed one is packed and shipped")
    if state is not before.state and state not in _FOLLOWS[before.state]:
        raise NotPossible(f"what is {before.state.value} cannot be {state.value} next")
    return replace(after, changed_at_ms=now_ms)
