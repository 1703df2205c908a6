"""What the routes of stock take and give, as JSON."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from api.carts.schemas import Id
from api.identity.schemas import ONE_LINE, Input
from marketplace.inventory.levels import MAX_ON_HAND, MAX_REASON_CHARS

Reason = Annotated[
    str, Field(min_length=1, max_length=MAX_REASON_CHARS, pattern=ONE_LINE, examples=["Delivery of Monday"])
]
Pieces = Annotated[int, Field(ge=1, le=MAX_ON_HAND, examples=[12])]


class GoodsToReceive(Input):
    """Goods that came."""

    product: Id
    quantity: Pieces
    reason: Reason


class Adjustment(Input):
    """More or fewer than was thought."""

    product: Id
    quantity: Annotated[int, Field(ge=-MAX_ON_HAND, le=MAX_ON_HAND, description="With its sign; not 0.", examples=[1])]
    reason: Reason


class VariantName(Input):
    """A variant of a product."""

    product: Id
    variant: Id


class Transfer(Input):
    """Goods that are another variant's from now on: packed otherwise, or labelled wrongly."""

    source: VariantName
    target: VariantName
    quantity: Pieces
    reason: Reason


class Threshold(Input):
    """From when on there is too little."""

    low_at: Annotated[int, Field(ge=0, le=MAX_ON_HAND, examples=[3])] | None = Field(
        description="It is low where no more than so many are available; null for never.", examples=[3]
    )


class LevelBody(BaseModel):
    """What is there of a variant that is counted."""

    variant: str
    product: str
    title: str | None = Field(description="Null where the product was deleted.")
    sku: str | None = Field(description="Null where the variant was removed.")
    options: str | None = Field(description="What it is of its product, for people.")
    on_hand: int
    reserved: int = Field(description="What orders hold of it.")
    available: int
    low_at: int | None
    low: bool
    availability: Literal["many", "few", "none"] = Field(description="What buyers are shown.")
    changed_at: str


class StockList(BaseModel):
    """Levels by variant."""

    levels: list[LevelBody]
    next: str | None = Field(description="The cursor of the next page; null where there is none.")


class MovedBody(BaseModel):
    """The levels after goods were moved."""

    levels: list[LevelBody]


class MovementBody(BaseModel):
    """A line of the ledger of stock."""

    id: str
    quantity: int = Field(description="With its sign.")
    kind: Literal["received", "adjusted", "transferred", "sold", "returned"]
    order: str | None = Field(description="The order that moved it; null where somebody of the store did.")
    by: str | None = Field(description="The id of the account that moved it.")
    reason: str
    on_hand: int = Field(description="What was there after it.")
    at: str


class MovementList(BaseModel):
    """Lines of the ledger, the newest first."""

    movements: list[MovementBody]
    next: str | None = Field(description="The cursor of the next page; null where there is none.")
