"""What the routes of orders take and give, as JSON."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from api.identity.schemas import ONE_LINE, Input
from api.orders.examples import FULFILMENT, NEW_ORDER, NEW_REFUND, NEW_SELLER_REFUND
from marketplace.carts.cart import POLICY
from marketplace.countries import COUNTRIES
from marketplace.inventory.levels import MAX_REASON_CHARS
from marketplace.orders.checkout import MAX_LINES
from marketplace.orders.delivery import (
    MAX_CARRIER_CHARS,
    MAX_CITY_CHARS,
    MAX_NAME_CHARS,
    MAX_POSTCODE_CHARS,
    MAX_STREET_CHARS,
    MAX_TRACKING_CHARS,
    Address,
)
from marketplace.texts import NOT_IN_LINES

_SEEN_LINE: Final = rf"^[^{NOT_IN_LINES}]*[^{NOT_IN_LINES}\s][^{NOT_IN_LINES}]*$"
"""One line of which something can be seen."""

_NUMBER_OF_CARD: Final = re.compile(r"[0-9]{12,19}", re.ASCII)

StateName = Literal["pending", "paid", "refunding", "confirmed", "cancelled"]
FulfilmentName = Literal["unfulfilled", "packed", "shipped", "delivered"]


def _line(most: int, example: str) -> object:
    return Field(min_length=1, max_length=most, pattern=_SEEN_LINE, examples=[example])


def _no_card(text: str) -> str:
    """Refuse what somebody types in whose program sends the card itself: it would be kept, and no answer repeats it."""
    if _NUMBER_OF_CARD.fullmatch(re.sub(r"[_.:-]", "", text)):
        raise PydanticCustomError("card-number", "this is the number of a card: give what the provider knows it as")
    return text


def _country(code: str) -> str:
    """Refuse two letters that are the code of no country."""
    if code not in COUNTRIES:
        raise PydanticCustomError("country", "give the code of a country by ISO 3166-1, such as DE or GB")
    return code


class AddressToPut(Input):
    """Where goods go."""

    name: Annotated[str, _line(MAX_NAME_CHARS, "Bea Buyer")]
    street: Annotated[str, _line(MAX_STREET_CHARS, "Hill Road 7")]
    extra: Annotated[str, _line(MAX_STREET_CHARS, "Second floor")] = Field(
        default_factory=str, description="A further line."
    )
    postcode: Annotated[str, _line(MAX_POSTCODE_CHARS, "10115")] = Field(
        default_factory=str, description="Left out where the country has none."
    )
    city: Annotated[str, _line(MAX_CITY_CHARS, "Berlin")]
    country: Annotated[
        str,
        Field(
            min_length=2,
            max_length=2,
            pattern=r"^[A-Z]{2}$",
            description="ISO 3166-1 alpha-2: an assigned code of a country.",
            examples=["DE"],
            json_schema_extra={"enum": list(COUNTRIES)},
        ),
        AfterValidator(_country),
    ]

    def address(self) -> Address:
        """As it is kept."""
        return Address(self.name, self.street, self.extra, self.postcode, self.city, self.country)


class PaymentToMake(Input):
    """What is paid with."""

    method: Annotated[
        str,
        Field(
            min_length=1,
            max_length=255,
            pattern=r"^[A-Za-z0-9_.:-]+$",
            description="What the payment provider knows the card as: the `token` of its own form or API. "
            "No number of a card is taken here.",
            examples=["pm_3f2a9c51d06e4b7fa8c1e2d3"],
        ),
        AfterValidator(_no_card),
    ]


class NewOrder(Input):
    """An order of all that is in the caller's cart."""

    model_config = ConfigDict(json_schema_extra={"examples": [NEW_ORDER]})

    cart_version: Annotated[
        int,
        Field(ge=0, le=2**53, description="Of the cart that the buyer saw: another one is not ordered.", examples=[1]),
    ]
    changes_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", max_length=32, examples=["0" * 32])] | None = Field(
        default=None, description="Of the differences that the buyer has seen, if there were some.", examples=[None]
    )
    delivery: AddressToPut
    payment: PaymentToMake


Number = Annotated[int, Field(ge=1, le=MAX_LINES, description="Of the line.", examples=[1])]
Count = Annotated[int, Field(ge=1, le=POLICY.max_quantity, description="How many of it.", examples=[1])]
Reason = Annotated[
    str, Field(min_length=1, max_length=MAX_REASON_CHARS, pattern=ONE_LINE, examples=["The handle came off."])
]


class LineToRefund(Input):
    """How many of a line are refunded."""

    number: Number
    quantity: Count


Lines = Annotated[
    list[LineToRefund], Field(min_length=1, max_length=MAX_LINES, examples=[[{"number": 1, "quantity": 1}]])
]


class NewRefund(Input):
    """What is to be refunded."""

    model_config = ConfigDict(json_schema_extra={"examples": [NEW_REFUND]})

    lines: Lines | None = Field(default=None, description="Null for all that is left.", examples=[None])
    reason: Reason = Field(default_factory=str)


class NewSellerRefund(Input):
    """What a seller refunds."""

    model_config = ConfigDict(json_schema_extra={"examples": [NEW_SELLER_REFUND]})

    lines: Lines | None = Field(default=None, description="Null for all that is left.", examples=[None])
    reason: Reason = Field(default_factory=str)
    restock: bool | None = Field(
        default=None,
        description="Whether the goods come back into stock; null: if they were not shipped.",
        examples=[None],
    )


class FulfilmentToPut(Input):
    """Where the goods of an order are."""

    model_config = ConfigDict(json_schema_extra={"examples": [FULFILMENT]})

    state: Annotated[FulfilmentName, Field(examples=["packed"])]
    carrier: Annotated[str, _line(MAX_CARRIER_CHARS, "Parcel Post")] = Field(
        default_factory=str, description="Only of what is shipped."
    )
    tracking: Annotated[str, _line(MAX_TRACKING_CHARS, "00340434161094042557")] = Field(
        default_factory=str, description="Only of what is shipped."
    )


class AddressBody(BaseModel):
    """Where goods go."""

    name: str
    street: str
    extra: str
    postcode: str
    city: str
    country: str


class OrderLineBody(BaseModel):
    """What was bought, as it was then."""

    number: int
    product: str
    variant: str
    title: str
    sku: str
    options: str = Field(description="What was chosen, for people.")
    quantity: int
    unit_minor: int
    total_minor: int
    returned: int = Field(description="How many of them were refunded.")


class RefundBody(BaseModel):
    """A refund that was asked for."""

    id: str
    amount_minor: int
    done: bool = Field(description="Whether the money has gone back.")


class FulfilmentBody(BaseModel):
    """How far the goods are."""

    state: FulfilmentName
    carrier: str | None
    tracking: str | None
    changed_at: str | None


class OrderBody(BaseModel):
    """An order of one store."""

    id: str
    store: str = Field(description="Its slug.")
    checkout: str = Field(description="What it was placed with, together with orders of other stores.")
    state: StateName
    reason: str | None = Field(
        description="Why it is or will be cancelled: `unpaid`, `declined`, `buyer`, `seller` or `no_stock`."
    )
    currency: str
    total_minor: int
    paid_minor: int
    refunded_minor: int
    lines: list[OrderLineBody]
    refunds: list[RefundBody]
    delivery: AddressBody
    fulfilment: FulfilmentBody
    pay_by: str = Field(description="Until when it waits for its payment.")
    placed_at: str
    changed_at: str
    version: int = Field(description="Goes up with every change.")
    cancellable: bool = Field(description="Whether the caller can cancel it now.")


class CheckoutBody(BaseModel):
    """Orders that were placed together."""

    id: str
    orders: list[OrderBody]


class OrderList(BaseModel):
    """Orders, the newest first."""

    orders: list[OrderBody]
    next: str | None = Field(description="The cursor of the next page; null where there is none.")


class SkippedBody(BaseModel):
    """A line that was not put into the cart."""

    variant: str
    reason: Literal["not-for-sale", "out-of-stock", "cart-full"]


class ReorderBody(BaseModel):
    """What of an order is in the cart now."""

    version: int = Field(description="Of the cart.")
    added: list[str] = Field(description="Variants of which the cart has at least as many as the order now.")
    skipped: list[SkippedBody]


class BuyerBody(BaseModel):
    """Who has ordered."""

    id: str
    name: str | None = Field(description="Null where the account was deleted.")
    email: str | None


class StoreOrderBody(OrderBody):
    """An order as its store sees it."""

    buyer: BuyerBody


class StoreOrderList(BaseModel):
    """Orders of a store, the newest first."""

    orders: list[StoreOrderBody]
    next: str | None = Field(description="The cursor of the next page; null where there is none.")


class PaymentRefundBody(BaseModel):
    """Money that goes back."""

    id: str
    amount_minor: int
    state: str = Field(description="`requested`, `done`, or `stuck` where the provider refuses.")


class PaymentBody(BaseModel):
    """Where the payment of an order is."""

    id: str
    state: str = Field(description="`waiting`, `charging`, `completed`, `failed` or `voided`.")
    reference: str | None = Field(description="The provider's own id of it.")
    attempts: int
    captured_minor: int
    refunds: list[PaymentRefundBody]


class HandledBody(BaseModel):
    """That a service has handled an event."""

    consumer: str
    at: str


class EventBody(BaseModel):
    """Something that happened."""

    id: str
    type: str
    at: str
    service: str
    handled: list[HandledBody]


class StoreOrderCase(StoreOrderBody):
    """An order as its store sees it, with its payment and how it came to be so."""

    payment: PaymentBody | None
    timeline: list[EventBody]
