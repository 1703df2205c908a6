"""What the routes of catalogs take and give, as JSON."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from api.identity.schemas import ONE_LINE, SEVERAL_LINES, SLUG_FORM, Input
from marketplace.catalog.categories import MAX_NAME_CHARS
from marketplace.catalog.drafts import (
    MAX_ALT_CHARS,
    MAX_DESCRIPTION_CHARS,
    MAX_OPTION_CHARS,
    MAX_SKU_CHARS,
    MAX_TITLE_CHARS,
    ProductDraft,
    VariantDraft,
)
from marketplace.catalog.images import MAX_URL_CHARS
from marketplace.catalog.products import (
    MAX_IMAGES,
    MAX_OPTION_VALUES,
    MAX_OPTIONS,
    MAX_VARIANTS,
    Availability,
    Image,
    Option,
    ProductState,
)
from marketplace.money import MAX_MINOR

Title = Annotated[str, Field(min_length=1, max_length=MAX_TITLE_CHARS, pattern=ONE_LINE, examples=["Blue mug"])]
Description = Annotated[
    str, Field(max_length=MAX_DESCRIPTION_CHARS, pattern=SEVERAL_LINES, examples=["Of stoneware.\nHolds 300 ml."])
]
State = Annotated[Literal["draft", "active", "archived"], Field(examples=["active"])]
Currency = Annotated[str, Field(min_length=3, max_length=3, pattern=r"^[A-Z]{3}$", examples=["EUR"])]
Slug = Annotated[str, Field(min_length=1, max_length=63, pattern=SLUG_FORM, examples=["blue-mug"])]
Id = Annotated[str, Field(min_length=32, max_length=32, pattern=r"^[0-9a-f]{32}$")]
Minor = Annotated[int, Field(ge=0, le=MAX_MINOR, examples=[1250])]
Choice = Annotated[str, Field(min_length=1, max_length=MAX_OPTION_CHARS, pattern=ONE_LINE, examples=["Small"])]
CategoryName = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS, pattern=ONE_LINE, examples=["Mugs"])]


class OptionBody(Input):
    """Something that a buyer chooses."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_OPTION_CHARS, pattern=ONE_LINE, examples=["Size"])]
    values: Annotated[list[Choice], Field(min_length=1, max_length=MAX_OPTION_VALUES)]


class VariantBody(Input):
    """A choice of each option, with its price."""

    id: Id = Field(
        default_factory=str, description="Of the variant that it is; without one, its SKU or its values say that."
    )
    sku: Annotated[str, Field(min_length=1, max_length=MAX_SKU_CHARS, pattern=ONE_LINE, examples=["MUG-BLUE"])]
    values: Annotated[list[Choice], Field(max_length=MAX_OPTIONS)] = Field(
        default_factory=list, description="One of each option's, in their order."
    )
    price_minor: Minor = Field(description="In minor units of the product's currency.")
    compare_at_minor: Minor | None = Field(default=None, description="An earlier, higher price.")
    availability: Literal["many", "few", "none"] = "many"


class ImageBody(Input):
    """A picture by its address, which is kept and never fetched."""

    url: Annotated[str, Field(min_length=1, max_length=MAX_URL_CHARS, examples=["https://shop.example/mug.jpg"])]
    alt: Annotated[str, Field(max_length=MAX_ALT_CHARS)] = Field(
        default="", description="What it shows, for people who do not see it."
    )


Options = Annotated[list[OptionBody], Field(max_length=MAX_OPTIONS, examples=[[]])]
Variants = Annotated[
    list[VariantBody],
    Field(min_length=1, max_length=MAX_VARIANTS, examples=[[{"sku": "MUG-BLUE", "price_minor": 1250}]]),
]
Images = Annotated[list[ImageBody], Field(max_length=MAX_IMAGES, examples=[[]])]


class NewProduct(Input):
    """A product that is to be put up."""

    title: Title
    slug: Slug = Field(default_factory=str, description="Where it is left out, one is made of the title.")
    description: Description = ""
    state: State = "draft"
    currency: Currency
    options: Options = Field(default_factory=list)
    variants: Variants
    images: Images = Field(default_factory=list)
    category: Id | None = Field(default=None, description="The id of one of the store's categories.", examples=[None])

    def draft(self) -> ProductDraft:
        """What the product is to be."""
        return ProductDraft(**fields_of(self, ("slug",)))


class ProductEdit(Input):
    """What is to change; what is left out stays. `category` can be null, for none."""

    title: Title = Field(default_factory=str)
    slug: Slug = Field(default_factory=str, description="Earlier ones go on leading to the product.")
    description: Description = Field(default_factory=str)
    state: State = Field(default="draft")
    currency: Currency = Field(default_factory=str, description="Only together with the variants.")
    options: Options = Field(default_factory=list)
    variants: Variants = Field(default_factory=list, description="All that the product is to have.")
    images: Images = Field(default_factory=list)
    category: Id | None = Field(default=None, examples=[None])


class NewCategory(Input):
    """A category that is to be added."""

    name: CategoryName
    slug: Slug = Field(default_factory=str, description="Where it is left out, one is made of the name.")
    parent: Id | None = Field(
        default=None, description="The id of the category that it is in; null at the top.", examples=[None]
    )


class CategoryEdit(Input):
    """What is to change; what is left out stays. `parent` can be null, for the top."""

    name: CategoryName = Field(default_factory=str)
    slug: Slug = Field(default_factory=str)
    parent: Id | None = Field(default=None, examples=[None])


def fields_of(body: BaseModel, but: tuple[str, ...] = ()) -> dict[str, Any]:
    """The values that a body gives, as :class:`ProductDraft` has them."""
    found: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set if name not in but}
    if "state" in found:
        found["state"] = ProductState(found["state"])
    if "options" in found:
        found["options"] = tuple(Option(each.name, tuple(each.values)) for each in found["options"])
    if "images" in found:
        found["images"] = tuple(Image(each.url, each.alt) for each in found["images"])
    if "variants" in found:
        found["variants"] = tuple(
            VariantDraft(
                each.sku,
                tuple(each.values),
                each.price_minor,
                each.compare_at_minor,
                Availability(each.availability),
                each.id,
            )
            for each in found["variants"]
        )
    return found


class OptionView(BaseModel):
    """Something that a buyer chooses."""

    name: str
    values: list[str]


class VariantView(BaseModel):
    """A choice of each option, with its price."""

    id: str
    sku: str
    values: list[str]
    price_minor: int
    compare_at_minor: int | None
    availability: str


class ImageView(BaseModel):
    """A picture by its address."""

    url: str
    alt: str


class CategoryView(BaseModel):
    """A category of a store."""

    id: str
    slug: str
    name: str
    parent: str | None = Field(description="The id of the category that it is in; null at the top.")


class CategoryList(BaseModel):
    """All categories of a store; of one level in the order in which they are shown."""

    categories: list[CategoryView]


class ProductView(BaseModel):
    """A product, as those who work in its store see it."""

    id: str
    slug: str
    title: str
    description: str
    state: str
    currency: str
    options: list[OptionView]
    variants: list[VariantView]
    images: list[ImageView]
    category: str | None = Field(description="The id of one of the store's categories.")
    rating: float | None = Field(description="The mean of its stars, to a hundredth; null without reviews.")
    reviews: int
    sold: int
    version: int
    created_at: str
    created_by: str
    changed_at: str
    changed_by: str


class ProductPage(BaseModel):
    """Products, and where the next ones begin."""

    products: list[ProductView]
    next: str | None = Field(description="The cursor of the next page; null where there is none.")


class ChangeView(BaseModel):
    """A change of a product."""

    version: int = Field(description="What the product's version became.")
    kind: str = Field(description="`created`, `edited` or `deleted`.")
    fields: list[str] = Field(description="What an edit changed.")
    at: str
    by: str = Field(description="The id of the account; of an API key, that of its maker.")


class ChangePage(BaseModel):
    """Changes of a product, the newest first, and where earlier ones begin."""

    changes: list[ChangeView]
    next: str | None = Field(description="The cursor of the next page; null where there is none.")


class ShopView(BaseModel):
    """A shop, as everybody sees it."""

    slug: str
    title: str


class PublicProduct(BaseModel):
    """A product, as everybody sees it."""

    id: str
    slug: str
    shop: ShopView
    title: str
    description: str
    currency: str
    options: list[OptionView]
    variants: list[VariantView]
    images: list[ImageView]
    categories: list[CategoryView] = Field(description="What it is in, the highest first.")
    rating: float | None
    reviews: int
    stars: dict[str, int] = Field(description="How many reviews gave so many.")
    version: int
    changed_at: str


class LineFaultView(BaseModel):
    """What is wrong with a line of a file."""

    line: int = Field(description="From 1; the first one names the columns.")
    column: str = Field(description="Empty where it is the whole line.")
    code: str
    message: str


class ImportView(BaseModel):
    """An import of a file: how far it is, and what came of it."""

    id: str
    state: str = Field(
        description="`running`, `done`, `failed` (see `reason`), or `interrupted`: send the file again then."
    )
    dry_run: bool = Field(description="Whether it writes nothing.")
    products: int = Field(description="Of the file.")
    done: int = Field(description="Of them: `created`, `changed`, `unchanged` and `failed` together.")
    created: int
    changed: int
    unchanged: int
    failed: int = Field(description="Not imported, because of their lines.")
    faults: list[LineFaultView] = Field(description="What is wrong with lines, at most 1,000.")
    more_faults: int = Field(description="How many there are beside these.")
    reason: str
    created_at: str
    created_by: str
    changed_at: str


class ImportList(BaseModel):
    """The last imports of a store, the newest first, without what is wrong with their lines."""

    imports: list[ImportView]
