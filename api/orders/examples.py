"""Requests and answers of the routes of orders, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

ID: Final = "5c0a1f7e6d8b4a3f9e2d1c0b5a694837"
ORDER: Final[dict[str, Any]] = {
    "id": ID, "store": "anns-shop", "checkout": ID, "state": "pending", "reason": None, "currency": "EUR",
    "total_minor": 2500, "paid_minor": 0, "refunded_minor": 0,
    "lines": [
        {
            "number": 1, "product": ID, "variant": ID, "title": "Blue mug", "sku": "MUG-BLUE", "options": "Size: L",
            "quantity": 2, "unit_minor": 1250, "total_minor": 2500, "returned": 0,
        }
    ],
    "refunds": [],
    "delivery": {
        "name": "Bea Buyer", "street": "Hill Road 7", "extra": "", "postcode": "10115", "city": "Berlin",
        "country": "DE",
    },
    "fulfilment": {"state": "unfulfilled", "carrier": None, "tracking": None, "changed_at": None},
    "pay_by": "2026-11-29T12:15:00.000Z", "placed_at": "2026-11-29T12:00:00.000Z",
    "changed_at": "2026-11-29T12:00:00.000Z", "version": 1, "cancellable": True,
}  # fmt: skip
CHECKOUT: Final[dict[str, Any]] = {"id": ID, "orders": [ORDER]}
STORE_ORDER: Final[dict[str, Any]] = {**ORDER, "buyer": {"id": ID, "name": "Bea", "email": "bea@shop.example"}}
CASE: Final[dict[str, Any]] = {
    **STORE_ORDER,
    "payment": {
        "id": ID, "state": "waiting", "reference": None, "attempts": 0, "captured_minor": 0, "refunds": [],
    },
    "timeline": [
        {
            "id": f"{ID}:orders:1:0", "type": "ORDER_CREATED", "at": "2026-11-29T12:00:00.000Z", "service": "orders",
            "handled": [{"consumer": "payments", "at": "2026-11-29T12:00:00.200Z"}],
        }
    ],
}  # fmt: skip
EVENT: Final = f'id: 1\nevent: order\ndata: {{"id":"{ID}","state":"pending","version":1}}\n\n'

NEW_ORDER: Final[dict[str, Any]] = {
    "cart_version": 3,
    "delivery": {
        "name": "Bea Buyer", "street": "Hill Road 7", "postcode": "10115", "city": "Berlin", "country": "DE",
    },
    "payment": {"method": "pm_3f2a9c51d06e4b7fa8c1e2d3"},
}  # fmt: skip
NEW_REFUND: Final[dict[str, Any]] = {"lines": [{"number": 1, "quantity": 1}], "reason": "The handle came off."}
NEW_SELLER_REFUND: Final[dict[str, Any]] = {**NEW_REFUND, "restock": False}
FULFILMENT: Final[dict[str, Any]] = {
    "state": "shipped", "carrier": "Parcel Post", "tracking": "00340434161094042557",
}  # fmt: skip
