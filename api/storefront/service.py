"""What answers the storefront: the services that the REST API has, too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from connectors.mongo.carts import Carts

from api.carts.service import CartService
from api.catalog.service import CatalogService
from api.reviews.service import ReviewService
from api.search.service import SearchService
from api.storefront.baskets import Baskets
from api.storefront.market import Market
from api.storefront.opinions import Opinions
from connectors.mongo.async_client import Documents
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
        carts: CartService,
        reviews: ReviewService,
        sent: SentForms,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> Shop:
        """On services and the collections of a database; the caller closes the client."""
        stores, opinions = TenantStores(client, database), Opinions(reviews)
        return Shop(
            Market(catalog, stores, search, opinions),
            opinions,
            Baskets(carts, Carts(client, database), ProductReads(client, database), stores, sent, clock),
        )
