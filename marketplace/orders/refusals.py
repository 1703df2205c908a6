"""What is refused of orders. Nothing was changed then, and the message says why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from marketplace.carts.changes import Change


class OrderError(Exception):
    """What was asked for is refused, and nothing was changed; the message says why."""


class NoSuchOrder(OrderError):
    """There is no such order, or it is somebody else's."""


class EmptyCart(OrderError):
    """There is nothing in the cart."""


class AnotherCart(OrderError):
    """The cart is not the one that the buyer saw: something was put in or taken out."""


class TooLarge(OrderError):
    """An order would have more lines than an order may have, or cost more than an amount can be."""


class NothingToPay(OrderError):
    """An order would cost nothing."""


class Differs(OrderError):
    """Something costs more than the buyer saw, or is something else, or is gone.

    Attributes:
        changes: What is different.
        changes_id: Names these changes: who sends it has seen them.
    """

    def __init__(self, changes: Sequence[Change], changes_id: str) -> None:
        super().__init__("something is different from what you saw")
        self.changes, self.changes_id = tuple(changes), changes_id


@dataclass(frozen=True)
class Lacking:
    """A variant of which there is less than is wanted.

    Attributes:
        variant: Its id.
        wanted: How many.
        left: How many can be had.
    """

    variant: str
    wanted: int
    left: int


class OutOfStock(OrderError):
    """Of some variants there is less than is wanted: nothing is reserved.

    Attributes:
        lacking: Those.
    """

    def __init__(self, lacking: Sequence[Lacking]) -> None:
        super().__init__("there is less than you want")
        self.lacking = tuple(lacking)


class NotPossible(OrderError):
    """The order is in a state in which this cannot be done."""


class UnknownLine(OrderError):
    """The order has no such line, or not so many of it that are left to refund."""
