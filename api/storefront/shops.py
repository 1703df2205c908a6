"""Stores as pages name them: asked for on every page, and kept for half a second."""

from __future__ import annotations

from collections.abc import Iterable

from api.known import Recent
from api.storefront.views import ShopName
from connectors.mongo.tenant_stores import TenantStores
from marketplace.stores import SLUG, Store


class Shops:
    """Knows stores.

    Args:
        stores: Where they are.
    """

    def __init__(self, stores: TenantStores) -> None:
        self._stores = stores
        self._known: Recent[str, ShopName] = Recent()

    async def get(self, slug: str) -> ShopName | None:
        """A store; None where there is none of that slug, or it was deleted.

        Raises:
            Unavailable: Mongo does not answer.
        """
        if not SLUG.fullmatch(slug):
            return None
        return self._known.kept(slug) or await self._known.ask(slug, lambda: self._ask(slug), now=False)

    async def several(self, slugs: Iterable[str]) -> dict[str, ShopName]:
        """Those of these stores that there are, by slug.

        Raises:
            Unavailable: Mongo does not answer.
        """
        wanted = set(slugs)
        known = {slug: shop for slug in wanted if (shop := self._known.kept(slug)) is not None}
        if known.keys() == wanted:
            return known
        found = await self._stores.several(wanted)
        return {slug: _name(each.store) for slug, each in found.items()}

    async def _ask(self, slug: str) -> ShopName | None:
        found = await self._stores.get(slug)
        return None if found is None else _name(found.store)


def _name(store: Store) -> ShopName:
    return ShopName(store.slug, store.title, store.storefront_key, store.contact)
