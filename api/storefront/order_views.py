"""What the pages of orders show, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from api.storefront.order_words import Step, Words
from api.storefront.views import ShopName
from marketplace.orders.delivery import Address, Fulfilment


@dataclass(frozen=True)
class OrderLineView:
    """A line of an order.

    Attributes:
        number: From 1.
        product: The product's id.
        url: The path of the product's page; empty where it is not sold any more.
        image: The address of a picture; empty for none.
        title: As it was bought.
        choice: What was chosen; empty where there was no choice.
        quantity: Pieces.
        unit_minor: The price of one.
        total_minor: Of all of them.
        back: What is said of those that were refunded; empty where none were.
        left: How many its buyer can have refunded now.
        review_url: Where its buyer can say what it is like; empty where that is not possible.
    """

    number: int
    product: str
    url: str
    image: str
    title: str
    choice: str
    quantity: int
    unit_minor: int
    total_minor: int
    back: str
    left: int
    review_url: str


@dataclass(frozen=True)
class OrderCard:
    """An order in a list.

    Attributes:
        id: The order's.
        name: What people call it, in mails, too.
        shop: Whose.
        shop_is_there: Whether the store is there still.
        words: Where it is.
        placed_at: Epoch milliseconds.
        total_minor: What it costs.
        currency: A code of ISO 4217.
        titles: Of its first products.
        images: Of these.
        count: Pieces.
        more: Products beside these.
        moving: Whether something is going to happen by itself.
        product: Its product, where it has only one; empty for several.
        is_paid: Whether it was paid for, and goes on.
        is_declined: Whether it ended because its card was declined.
    """

    id: str
    name: str
    shop: ShopName
    shop_is_there: bool
    words: Words
    placed_at: int
    total_minor: int
    currency: str
    titles: Sequence[str]
    images: Sequence[str]
    count: int
    more: int
    moving: bool
    product: str
    is_paid: bool
    is_declined: bool

    @property
    def url(self) -> str:
        """The path of its page."""
        return f"/shop/orders/{self.id}"


@dataclass(frozen=True)
class RefundView:
    """Money that goes back or went back.

    Attributes:
        title: How far it is.
        goods: What it is for; empty where that is not known.
        amount_minor: How much.
        asked_at: When it was asked for, epoch milliseconds; 0 where that is not known.
    """

    title: str
    goods: str
    amount_minor: int
    asked_at: int


@dataclass(frozen=True)
class OrderView:
    """An order.

    Attributes:
        card: As lists show it.
        together_url: The path of the page of all that was placed with it; empty where that is nothing else.
        steps: How far it is; none where it ends without goods.
        lines: What was bought.
        paid_minor: What was taken.
        refunded_minor: What went back.
        refunds: What goes back or went back.
        delivery: Where it goes.
        country: The country's name.
        fulfilment: Where its goods are.
        pay_by: Until when it waits for its payment, epoch milliseconds; 0 where it does not.
        can_cancel: Whether its buyer can end it.
        is_confirmed: Whether it is paid and goes on, so that what goes back is refunded.
        again: What the button says that puts its lines into the cart once more; empty for no such button.
    """

    card: OrderCard
    together_url: str
    steps: Sequence[Step]
    lines: Sequence[OrderLineView]
    paid_minor: int
    refunded_minor: int
    refunds: Sequence[RefundView]
    delivery: Address
    country: str
    fulfilment: Fulfilment
    pay_by: int
    can_cancel: bool
    is_confirmed: bool
    again: str


@dataclass(frozen=True)
class OrderListing:
    """A page of orders.

    Attributes:
        cards: The newest ones first.
        next_url: The path of the next page; empty for none.
        first_url: The path of the first page; empty where this is it.
    """

    cards: Sequence[OrderCard]
    next_url: str = ""
    first_url: str = ""
