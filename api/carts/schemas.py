"""What the routes of carts take and give, as JSON."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from api.identity.schemas import Input
from marketplace.carts.cart import POLICY

Id = Annotated[
    str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$", examples=["5c0a1f7e6d8b4a3f9e2d1c0b5a694837"])
]
Quantity = Annotated[int, Field(ge=1, le=POLICY.max_quantity, examples=[1])]
GuestSecret = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_-]{43}$", max_length=43, examples=["q3Zk8n0S5v1J2r7XwT4yLmPbHdFcGaUe6iOoKsVt9xA"])
]


class NewLine(Input):
    """Pieces of a variant that are to be put in. What they cost is the product's to say."""

    product: Id
    variant: Id
    quantity: Quantity = 1


class LineToPut(Input):
    """How many pieces of the path's variant there are to be."""

    product: Id
    quantity: Quantity


class NewQuantity(Input):
    """How many pieces a line is to have."""

    quantity: Quantity


class Shown(Input):
    """What the buyer has seen."""

    changes_id: Annotated[
        str,
        Field(pattern=r"^[0-9a-f]{32}$", max_length=32, description="Of the cart.", examples=["0" * 32]),
    ]


class GuestCart(Input):
    """The cart of a guest."""

    secret: GuestSecret


class ChangeBody(BaseModel):
    """Something that is different from what the buyer saw."""

    kind: str = Field(description="`gone`, `availability`, `price`, `currency`, `title` or `options`.")
    before: str | int | None = Field(description="A price is in minor units; null where the line is gone.")
    after: str | int | None


class OptionBody(BaseModel):
    """What was chosen of an option."""

    name: str
    value: str


class LineBody(BaseModel):
    """Pieces of one variant, as the buyer saw it."""

    product: str
    variant: str
    store: str = Field(description="Its slug.")
    store_title: str | None = Field(description="Null where the store is gone.")
    slug: str = Field(description="The product's.")
    title: str
    options: list[OptionBody]
    quantity: int
    price_minor: int = Field(description="Of one piece, in minor units.")
    currency: str
    total_minor: int
    availability: str = Field(description="`many`, `few` or `none`.")
    image: str | None
    image_alt: str
    product_version: int
    added_at: str
    changes: list[ChangeBody] = Field(description="What is different now.")


class TotalBody(BaseModel):
    """What the lines of one store in one currency cost, of which there is something now, at the prices of the lines."""

    store: str
    currency: str
    quantity: int
    total_minor: int


class CartBody(BaseModel):
    """A cart. Nothing in it changes by itself: what is different now is listed, and `/v1/cart/seen` takes it over."""

    version: int = Field(description="Goes up with every change of the cart.")
    pieces: int = Field(description="Of all lines.")
    lines: list[LineBody]
    totals: list[TotalBody]
    changes_id: str | None = Field(description="Names all that is different now; null where nothing is.")
    expires_at: str | None = Field(description="Null for an account's, which does not expire.")


class NewCart(BaseModel):
    """A guest's cart."""

    secret: str = Field(description="Shown this once: send it as `X-Cart`.")
    cart: CartBody


class CappedBody(BaseModel):
    """A line that has fewer pieces than both carts had."""

    variant: str
    wanted: int
    kept: int


class MergedCart(BaseModel):
    """A cart that took over a guest's."""

    cart: CartBody
    merged: bool = Field(description="False where there was no guest's cart, because it was merged before or expired.")
    capped: list[CappedBody]
