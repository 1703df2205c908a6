"""What the routes of search give, as JSON."""

from __future__ import annotations

from pydantic import BaseModel, Field


class HitBody(BaseModel):
    """A product that was found: what a list shows of it."""

    id: str
    store: str = Field(description="The slug of its store.")
    store_title: str
    slug: str
    title: str
    currency: str
    price_minor: int = Field(description="Of its cheapest variant, in minor units.")
    highest_price_minor: int = Field(description="Of its dearest variant.")
    compare_at_minor: int | None = Field(description="An earlier, higher price of the cheapest variant.")
    image: str | None = Field(description="The address of its first picture.")
    image_alt: str
    rating: float | None = Field(description="The mean of its stars; null without reviews.")
    reviews: int
    availability: str = Field(description="`many`, `few` or `none`, of the variant of which there is most.")


class CategoryFacet(BaseModel):
    """Hits in a category or below it."""

    slug: str
    name: str
    parent: str | None = Field(description="The slug of the one above it.")
    count: int


class CurrencyFacet(BaseModel):
    """Hits in a currency, whatever their price."""

    currency: str
    count: int


class PriceFacet(BaseModel):
    """Hits with a variant whose price is in a range."""

    currency: str
    price_min: int
    price_max: int | None = Field(description="Counts, too; null for no end.")
    count: int


class RatingFacet(BaseModel):
    """Hits whose mean of stars is not below a number."""

    rating: int
    count: int


class FacetsBody(BaseModel):
    """How many hits there would be with another choice of one filter, with all other filters as they are."""

    categories: list[CategoryFacet]
    currencies: list[CurrencyFacet]
    prices: list[PriceFacet]
    in_stock: int
    ratings: list[RatingFacet]


class SearchPage(BaseModel):
    """A page of products."""

    hits: list[HitBody]
    total: int = Field(description="On all pages.")
    facets: FacetsBody
    lenient: bool = Field(description="Whether words may have a typing error, because nothing was found without.")
    complete: bool = Field(description="False while this process reads all products for the first time.")
    next: str | None = Field(description="The cursor of the next page; null where there is none.")


class SuggestionBody(BaseModel):
    """Something that somebody who types may mean."""

    text: str
    kind: str = Field(description="`category` or `product`.")
    slug: str
    store: str | None = Field(description="The slug of the product's store; null for a category.")


class SuggestionList(BaseModel):
    """Suggestions, the best first."""

    suggestions: list[SuggestionBody]
