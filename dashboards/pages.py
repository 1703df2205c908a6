"""The pages of the dashboard."""

from __future__ import annotations

from dashboards.screens import (
    catalog,
    devices,
    flow,
    goals,
    live,
    notifications,
    orders,
    overview,
    places,
    products,
    sources,
    stock,
    visits,
)
from dashboards.ui.header import ALL_CHOICES, ALL_DAYS, ORDER, VARIANT

# By URL path: the function that draws the page, its name and icon, and the choices of the header that apply to it.
PAGES = {
    "overview": (overview.show, "Overview", ":material/monitoring:", ALL_CHOICES),
    "live": (live.show, "Live", ":material/bolt:", {"bots", "filters"}),
    "sources": (sources.show, "Sources", ":material/campaign:", ALL_CHOICES),
    "places": (places.show, "Places", ":material/public:", ALL_CHOICES),
    "devices": (devices.show, "Devices", ":material/devices:", ALL_CHOICES),
    "products": (products.show, "Products", ":material/shopping_bag:", ALL_CHOICES),
    "goals": (goals.show, "Goals", ":material/flag:", ALL_CHOICES),
    "orders": (orders.show, "Orders", ":material/receipt_long:", {"days", ALL_DAYS, ORDER}),
    "stock": (stock.show, "Stock", ":material/inventory:", {VARIANT}),
    "notifications": (notifications.show, "Notifications", ":material/notifications:", frozenset()),
    "catalog": (catalog.show, "Catalog", ":material/inventory_2:", frozenset()),
    "visits": (visits.show, "Visits", ":material/timeline:", ALL_CHOICES),
    "counting": (flow.show, "Counting", ":material/fact_check:", {"days"}),
}

FIRST = "overview"
"""The one at the root."""

OF_EVENTS = PAGES.keys() - {"orders", "stock", "notifications", "catalog"}
"""Pages that are made of events, and say how to send the first one."""

HEADED = frozenset({"goals", "notifications", "visits", "counting"})
"""Those that draw a heading; the others have theirs for screen readers alone."""

HIDDEN = frozenset({"notifications"})
"""Not in the navigation, which has no room for more on a common screen: the page of orders leads there."""
