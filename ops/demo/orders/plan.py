"""Which orders the demo's buyers place, and what they do with them afterwards; the same seed plans the same ones."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import Final


class Then(StrEnum):
    """What becomes of an order that is confirmed."""

    NOTHING = "nothing"
    BUYER_CANCELS = "buyer_cancels"
    LINE_BACK = "line_back"
    SELLER_REFUNDS = "seller_refunds"
    SHIPPED = "shipped"


@dataclass(frozen=True)
class Wish:
    """So many of a variant.

    Attributes:
        store: The slug of its store.
        product, variant: Ids.
        quantity: How many.
    """

    store: str
    product: str
    variant: str
    quantity: int


@dataclass(frozen=True)
class PlannedOrder:
    """What a buyer does.

    Attributes:
        buyer: The buyer's place among the demo's.
        wishes: What is put into the cart.
        card: The number that is paid with.
        twice: Whether the form is sent twice at one moment.
        then: What becomes of it.
    """

    buyer: int
    wishes: tuple[Wish, ...]
    card: str
    twice: bool
    then: Then


GOOD: Final = "4242424242424242"

_CARDS: Final = {
    GOOD: 70,
    "4000000000000028": 5,
    "4000000000000697": 2,
    "4000000000001273": 1,
    "4000000000005001": 3,
    "4000000000007007": 2,
    "4000000000009003": 4,
    "4000000000011009": 3,
    "4000000000012007": 1,
    "4000000000013005": 4,
    "4000000000014003": 1,
    "4000000000015000": 3,
    "4000000000016008": 3,
    "4000000000017006": 3,
}
"""Numbers of the sandbox provider and how often each is used: see docs/reference/payments-sandbox.md. Those that never
end are not among them."""

_THENS: Final = {
    Then.NOTHING: 70,
    Then.SHIPPED: 12,
    Then.BUYER_CANCELS: 6,
    Then.LINE_BACK: 7,
    Then.SELLER_REFUNDS: 5,
}


def plan(seed: int, count: int, buyers: int, variants: Sequence[Wish], scarce: Wish) -> list[PlannedOrder]:
    """Orders of these buyers.

    Args:
        seed: Of the chance.
        count: How many orders.
        buyers: How many buyers there are.
        variants: What can be bought; the first ones are bought most.
        scarce: Of which there are few: every sixth order wants one of it, so that some come too late.
    """
    chance = random.Random(f"orders {seed}")
    popular = list(accumulate(1 / (place + 3) for place in range(len(variants))))
    planned = []
    for number in range(count):
        wishes = {
            each.variant: Wish(each.store, each.product, each.variant, chance.choices((1, 2, 3), (7, 2, 1))[0])
            for each in chance.choices(variants, cum_weights=popular, k=chance.choices((1, 2, 3), (6, 3, 1))[0])
        }
        if number % 6 == 5:
            wishes[scarce.variant] = scarce
        planned.append(
            PlannedOrder(
                buyer=number % buyers,
                wishes=tuple(wishes.values()),
                card=chance.choices(list(_CARDS), list(_CARDS.values()))[0],
                twice=chance.random() < 0.1,
                then=chance.choices(list(_THENS), list(_THENS.values()))[0],
            )
        )
    return planned
