"""Products as schema.org describes them, for search engines."""

from __future__ import annotations

from typing import Any, Final

from api.storefront.views import ProductPage
from marketplace.catalog.products import Availability
from marketplace.money import plain_amount

_SCHEMA_ORG: Final = {
    Availability.MANY: "https://schema.org/InStock",
    Availability.FEW: "https://schema.org/LimitedAvailability",
    Availability.NONE: "https://schema.org/SoldOut",
}


def structured(found: ProductPage, origin: str) -> dict[str, Any]:
    """The data of a product's page.

    Args:
        found: The product.
        origin: Where people reach the storefront.
    """
    product, url = found.product, f"{origin}{found.url}"
    offers = [
        {
            "@type": "Offer", "sku": each.sku, "price": plain_amount(each.price_minor, product.currency),
            "priceCurrency": product.currency, "availability": _SCHEMA_ORG[each.availability], "url": url,
            "seller": {"@type": "Organization", "name": found.shop.title},
        }
        for each in product.variants
    ]  # fmt: skip
    data: dict[str, Any] = {
        "@context": "https://schema.org", "@type": "Product", "name": product.title, "url": url, "sku": product.id,
        "description": product.description,
        "image": [f"{origin}{each.url}" if each.url.startswith("/") else each.url for each in product.images],
        "offers": offers,
    }  # fmt: skip
    if product.rating is not None:
        data["aggregateRating"] = {
            "@type": "AggregateRating", "ratingValue": product.rating, "reviewCount": product.reviews
        }  # fmt: skip
    return data
