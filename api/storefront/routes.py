"""All pages of the storefront, in the order in which their paths are compared."""

from __future__ import annotations

from typing import Final

from api.storefront.account_pages import ACCOUNT_PAGES
from api.storefront.cart_pages import CART_PAGES
from api.storefront.checkout_pages import CHECKOUT_PAGES
from api.storefront.market_pages import MARKET_PAGES
from api.storefront.notice_pages import NOTICE_PAGES, UNSUBSCRIBE_PAGES
from api.storefront.order_pages import ORDER_PAGES
from api.storefront.shop_pages import SHOP_PAGES
from api.web.routes import Routes

STOREFRONT: Final[tuple[Routes, ...]] = (
    *(MARKET_PAGES, CART_PAGES, CHECKOUT_PAGES, ORDER_PAGES, ACCOUNT_PAGES),
    *(NOTICE_PAGES, UNSUBSCRIBE_PAGES),
    SHOP_PAGES,
)
"""For people: nobody has to be signed in to look, and none of them is an operation of the OpenAPI document."""
