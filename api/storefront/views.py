"""What pages of the storefront show, as plain values: templates know nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from urllib.parse import quote

from marketplace.catalog.products import Product

_HUES = 12


@dataclass(frozen=True)
class ShopName:
    """A store, as pages name it.

    Attributes:
        slug: Its name in addresses.
        title: Its name for people.
        key: What its pages send events with, which is public; empty where nothing is sent.
        contact: The mail address that buyers write to; empty for none.
    """

    slug: str
    title: str
    key: str = ""
    contact: str = ""

    @property
    def mail_url(self) -> str:
        """Opens a mail to it; empty where there is no address."""
        return f"mailto:{quote(self.contact, safe='@')}" if self.contact else ""

    @property
    def url(self) -> str:
        """The path of its front."""
        return f"/shop/{self.slug}"

    @property
    def hue(self) -> int:
        """Which of the storefront's colours it has: the same on every page and in every process."""
        return blake2b(self.slug.encode(), digest_size=2).digest()[0] % _HUES


@dataclass(frozen=True)
class Card:
    """A product in a list.

    Attributes:
        id: The product's.
        shop: Its store.
        slug: Its name in addresses.
        title: For people.
        currency: A code of ISO 4217.
        price_minor: Of its cheapest variant.
        highest_minor: Of its dearest variant.
        compare_at_minor: An earlier, higher price of the cheapest variant.
        image: The address of its first picture; empty for none.
        image_alt: What that one shows.
        rating: The mean of its stars; None without reviews.
        reviews: How many there are.
        availability: ``many``, ``few`` or ``none``.
    """

    id: str
    shop: ShopName
    slug: str
    title: str
    currency: str
    price_minor: int
    highest_minor: int
    compare_at_minor: int | None
    image: str
    image_alt: str
    rating: float | None
    reviews: int
    availability: str

    @property
    def url(self) -> str:
        """The path of its page."""
        return f"{self.shop.url}/{self.slug}"


@dataclass(frozen=True)
class Link:
    """Something to follow.

    Attributes:
        title: For people.
        url: A path.
        count: How many there are behind it; None where it is not counted.
        chosen: Whether it is what is shown.
    """

    title: str
    url: str
    count: int | None = None
    chosen: bool = False


@dataclass(frozen=True)
class Front:
    """The front of the marketplace.

    Attributes:
        shops: Some stores.
        categories: Over all stores.
        popular: Products that sell.
        newest: Products that are new.
    """

    shops: Sequence[ShopName]
    categories: Sequence[Link]
    popular: Sequence[Card]
    newest: Sequence[Card]


@dataclass(frozen=True)
class ShopFront:
    """The front of a store.

    Attributes:
        shop: The store.
        categories: Those at the top of its tree.
        popular: Products that sell.
        newest: Products that are new.
    """

    shop: ShopName
    categories: Sequence[Link]
    popular: Sequence[Card]
    newest: Sequence[Card]


@dataclass(frozen=True)
class FacetView:
    """What results can be narrowed by.

    Attributes:
        title: For people.
        links: Its values; following one chooses it, or gives it up where it is chosen.
    """

    title: str
    links: Sequence[Link]


@dataclass(frozen=True)
class Listing:
    """A page of results.

    Attributes:
        cards: The products, in order.
        total: How many there are on all pages; None where that is not known.
        facets: What they can be narrowed by.
        sorts: The orders there are.
        next_url: The path of the next page; empty for none.
        first_url: The path of the first page; empty where this is it.
        at_least: Whether there may be more than ``total``.
    """

    cards: Sequence[Card]
    total: int | None = None
    facets: Sequence[FacetView] = ()
    sorts: Sequence[Link] = ()
    next_url: str = ""
    first_url: str = ""
    at_least: bool = False


@dataclass(frozen=True)
class CategoryPage:
    """A category of a store.

    Attributes:
        shop: The store.
        title: Of the category.
        path: From the top of the tree to its parent.
        children: Below it.
        listing: Its products.
    """

    shop: ShopName
    title: str
    path: Sequence[Link]
    children: Sequence[Link]
    listing: Listing


@dataclass(frozen=True)
class SearchPage:
    """Results of a search.

    Attributes:
        text: What was asked, as it was typed.
        shop: The store that was searched; None for all.
        listing: What was found.
    """

    text: str
    shop: ShopName | None
    listing: Listing


@dataclass(frozen=True)
class Suggestion:
    """What somebody who types may mean.

    Attributes:
        text: For people.
        url: A path.
        kind: ``product`` or ``category``.
        detail: What else is said of it, such as a price.
    """

    text: str
    url: str
    kind: str
    detail: str = ""


@dataclass(frozen=True)
class ReviewView:
    """A review, as everybody sees it.

    Attributes:
        id: Its id.
        author: The name of who wrote it.
        stars: 1 to 5.
        text: Plain text.
        at: When it was written or last edited, epoch milliseconds.
        helpful: How many people found it so.
        verified: Whether its author has bought the product.
        reply: Of the store; empty for none.
        own: Whether the viewer wrote it.
        found_helpful: Whether the viewer said so.
        state: Where the viewer wrote it: what others see of it.
    """

    id: str
    author: str
    stars: int
    text: str
    at: int
    helpful: int = 0
    verified: bool = False
    reply: str = ""
    own: bool = False
    found_helpful: bool = False
    state: str = ""


@dataclass(frozen=True)
class Reviews:
    """Reviews of a product.

    Attributes:
        shown: Some of them, the most helpful ones first.
        own: That of the viewer; None where there is none.
        next_url: The path of the next ones; empty for none.
    """

    shown: Sequence[ReviewView]
    own: ReviewView | None = None
    next_url: str = ""


@dataclass(frozen=True)
class OwnReview:
    """A review on the page of its author's account.

    Attributes:
        title: Of the product.
        url: The path of the product's page; empty where it is not there any more.
        review: The review.
    """

    title: str
    url: str
    review: ReviewView


@dataclass(frozen=True)
class ProductPage:
    """A product.

    Attributes:
        product: The product.
        shop: Its store.
        path: Of its category, from the store on.
        reviews: Some of its reviews.
    """

    product: Product
    shop: ShopName
    path: Sequence[Link]
    reviews: Reviews

    @property
    def url(self) -> str:
        """The path of its page."""
        return f"{self.shop.url}/{self.product.slug}"

    @property
    def reviews_url(self) -> str:
        """The path of the page of its reviews."""
        return f"{self.shop.url}/reviews/{self.product.slug}"


@dataclass(frozen=True)
class Moved:
    """What was asked for has another address.

    Attributes:
        url: A path.
    """

    url: str
