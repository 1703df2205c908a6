"""Products, categories and search as pages show them, by the services that the REST API has, too."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from api.catalog.service import CatalogService
from api.search.pages import place_after
from api.search.service import SearchService
from api.storefront.addresses import with_query
from api.storefront.listings import card_of, listing_of, query_asked
from api.storefront.shops import Shops
from api.storefront.views import (
    Card,
    CategoryPage,
    Front,
    Link,
    Listing,
    Moved,
    SearchPage,
    ShopFront,
    ShopName,
    Suggestion,
)
from marketplace.catalog.categories import Category, path_to
from marketplace.catalog.products import Product, ProductState
from marketplace.search.answers import Found, NoSuchShop, Place
from marketplace.search.queries import Query, Sort

PAGE_SIZE: Final = 24
_ROW: Final = 8
_ROWS_OF_SHOP: Final = 12
_MAX_SUGGESTIONS: Final = 8
_LOOKED_AT: Final = 100
"""Products whose stores are shown on the front: those that sell best."""

_MAX_SHOPS: Final = 12
_MAX_CATEGORIES: Final = 12


class Market:
    """Reads what pages of the marketplace and of stores show.

    Each call raises ``Unavailable`` where a part does not answer.

    Args:
        catalog: Stores' products and categories.
        shops: The stores.
        search: Finds products.
    """

    def __init__(self, catalog: CatalogService, shops: Shops, search: SearchService) -> None:
        self._catalog, self._shops, self._search = catalog, shops, search

    async def front(self) -> Front:
        """The front of the marketplace."""
        best = self._search.search(Query(), limit=_LOOKED_AT)
        newest = self._search.search(Query(sort=Sort.NEWEST), limit=_ROW)
        shops = {hit.card.store: ShopName(hit.card.store, hit.store_title) for hit in best.hits}
        categories = [
            Link(each.name, with_query("/shop/search", category=each.slug))
            for each in best.facets.categories
            if each.parent is None
        ]
        return Front(
            shops=list(shops.values())[:_MAX_SHOPS],
            categories=categories[:_MAX_CATEGORIES],
            popular=[card_of(hit) for hit in best.hits[:_ROW]],
            newest=[card_of(hit) for hit in newest.hits],
        )

    async def shop_front(self, slug: str) -> ShopFront | None:
        """The front of a store; None where there is none of that slug."""
        shop, tree = await asyncio.gather(self._shops.get(slug), self._catalog.categories(slug))
        if shop is None:
            return None
        return ShopFront(
            shop=shop,
            categories=[_link(shop, each) for each in tree if each.parent is None],
            popular=self._row(Query(shop=slug)),
            newest=self._row(Query(shop=slug, sort=Sort.NEWEST)),
        )

    async def category(self, slug: str, category: str, query: Mapping[str, str]) -> CategoryPage | None:
        """A category of a store; None where there is none.

        Raises:
            Refused: A parameter cannot be read.
            Problem: A parameter is none that this list has given.
        """
        shop, tree = await asyncio.gather(self._shops.get(slug), self._catalog.categories(slug))
        own = next((each for each in tree if each.slug == category), None)
        if shop is None or own is None:
            return None
        asked = query_asked(query, slug, category)
        found = self._found(asked, place_after(asked, query.get("after", "")))
        path = f"{shop.url}/category/{category}"
        empty = Listing(())
        return CategoryPage(
            shop=shop,
            title=own.name,
            path=[_home(shop), *(_link(shop, each) for each in path_to(tree, own.id)[:-1])],
            children=[_link(shop, each) for each in tree if each.parent == own.id],
            listing=empty if found is None else listing_of(found, asked, query, path, with_categories=False),
        )

    async def search(self, query: Mapping[str, str]) -> SearchPage | None:
        """Results of a search; None where it is in a store that there is not.

        Raises:
            Refused: A parameter cannot be read.
            Problem: A parameter is none that this list has given.
        """
        slug = query.get("shop", "")
        shop = await self._shops.get(slug)
        if slug and shop is None:
            return None
        asked = query_asked(query, slug or None)
        found = self._found(asked, place_after(asked, query.get("after", "")))
        listing = Listing((), 0) if found is None else listing_of(found, asked, query, "/shop/search")
        return SearchPage(asked.text, shop, listing)

    async def suggest(self, text: str, slug: str) -> list[Suggestion]:
        """What somebody who has typed so much may mean.

        Args:
            text: What was typed.
            slug: Of the one store that is searched; empty for all.
        """
        try:
            found = self._search.suggest(text, slug or None, _MAX_SUGGESTIONS)
        except NoSuchShop:
            return []
        return [
            Suggestion(each.text, f"/shop/{each.store}/{each.slug}", "product")
            if each.store is not None
            else Suggestion(each.text, _category_url(slug, each.slug), "category", "Category")
            for each in found
        ]

    async def find(self, slug: str, product: str) -> tuple[ShopName, Product] | Moved | None:
        """A product that can be seen, or where it is by now; None where there is none."""
        shop, found = await asyncio.gather(self._shops.get(slug), self._catalog.reads.by_slug(slug, product))
        if shop is None or found is None or found.state is not ProductState.ACTIVE or found.store != slug:
            return None
        return (shop, found) if found.slug == product else Moved(f"{shop.url}/{found.slug}")

    async def trail(self, shop: ShopName, product: Product) -> list[Link]:
        """Where a product is: its store, and its category with all that this one is in."""
        tree = await self._catalog.categories(product.store) if product.category else ()
        return [_home(shop), *(_link(shop, each) for each in path_to(tree, product.category))]

    def _row(self, query: Query) -> list[Card]:
        found = self._found(query, None, _ROWS_OF_SHOP)
        return [] if found is None else [card_of(hit) for hit in found.hits]

    def _found(self, query: Query, after: Place | None, limit: int = PAGE_SIZE) -> Found | None:
        try:
            return self._search.search(query, after, limit)
        except NoSuchShop:
            # A store that was made a moment ago is found a moment later.
            return None


def _home(shop: ShopName) -> Link:
    return Link(shop.title, shop.url)


def _link(shop: ShopName, category: Category) -> Link:
    return Link(category.name, f"{shop.url}/category/{category.slug}")


def _category_url(shop: str, category: str) -> str:
    return f"/shop/{shop}/category/{category}" if shop else with_query("/shop/search", category=category)
