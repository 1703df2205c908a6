"""What answers the storefront: the services that the REST API has, too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from api.catalog.service import CatalogService
from api.search.service import SearchService
from api.shopping import Shopping
from api.storefront.baskets import Baskets
from api.storefront.market import Market
from api.storefront.opinions import Opinions
from api.storefront.shops import Shops
from connectors.mongo.async_client import Documents
from connectors.mongo.carts import Carts
from connectors.mongo.product_reads import ProductReads
from connectors.mongo.tenant_stores import TenantStores
from connectors.redis.sent_forms import SentForms


@dataclass(frozen=True)
class Shop:
    """Answers the storefront.

    Attributes:
        market: Products, categories and search.
        opinions: Reviews.
        baskets: Carts.
    """

    market: Market
    opinions: Opinions
    baskets: Baskets

    @staticmethod
    def on_services(
        client: Documents,
        database: str,
        catalog: CatalogService,
        search: SearchService,
        shopping: Shopping,
        sent: SentForms,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> Shop:
        """On services and the collections of a database; the caller closes the client."""
        shops = Shops(TenantStores(client, database))
        return Shop(
            Market(catalog, shops, search),
            Opinions(shopping.reviews),
            Baskets(shopping.carts, Carts(client, database), ProductReads(client, database), shops, sent, clock),
        )
