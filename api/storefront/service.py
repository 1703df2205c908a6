"""What answers the storefront: the services that the REST API has, too."""

from __future__ import annotations

from dataclasses import dataclass

from api.catalog.service import CatalogService
from api.ordering import Ordering
from api.search.service import SearchService
from api.shopping import Shopping
from api.storefront.carts import StorefrontCarts
from api.storefront.checkout import StorefrontCheckout
from api.storefront.market import Market
from api.storefront.notices import StorefrontNotices
from api.storefront.orders import StorefrontOrders
from api.storefront.reviews import StorefrontReviews
from api.storefront.shops import Shops
from connectors.mongo.async_client import Documents
from connectors.mongo.product_reads import ProductReads
from connectors.mongo.tenant_stores import TenantStores
from connectors.payments.methods import PaymentMethods
from connectors.redis.sent_forms import SentForms


@dataclass(frozen=True)
class Shop:
    """Answers the storefront.

    Attributes:
        market: Products, categories and search.
        reviews: Reviews.
        carts: Carts.
        notices: Notifications, and what comes by mail.
        checkout: Carts that become orders.
        orders: Orders.
    """

    market: Market
    reviews: StorefrontReviews
    carts: StorefrontCarts
    notices: StorefrontNotices
    checkout: StorefrontCheckout
    orders: StorefrontOrders

    @staticmethod
    def on_services(
        client: Documents,
        database: str,
        catalog: CatalogService,
        search: SearchService,
        shopping: Shopping,
        sent: SentForms,
        ordering: Ordering,
        methods: PaymentMethods | None,
    ) -> Shop:
        """On services and the collections of a database; the caller closes the clients."""
        shops, products = Shops(TenantStores(client, database)), ProductReads(client, database)
        return Shop(
            Market(catalog, shops, search),
            StorefrontReviews(shopping.reviews),
            StorefrontCarts(shopping.carts, products, shops, sent),
            StorefrontNotices(shopping.notifications),
            StorefrontCheckout(shopping.carts, ordering, shops, methods, ordering.clock),
            StorefrontOrders(ordering, products, shops),
        )
