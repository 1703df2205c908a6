"""The script that Streamlit runs for every viewer and interaction: navigation, and the chosen page."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

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
from dashboards.ui import shell
from dashboards.ui.first_steps import after_first_event
from dashboards.ui.header import ALL_CHOICES, ALL_DAYS, ORDER, VARIANT

_STATIC = Path(__file__).with_name("static")

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


OF_EVENTS = PAGES.keys() - {"orders", "stock", "notifications", "catalog"}
"""Pages that are made of events, and say how to send the first one."""

HIDDEN = frozenset({"notifications"})
"""Not in the navigation, which has no room for more on a common screen: the page of orders leads there."""


def main() -> None:
    """Draw the page that the URL names."""
    st.set_page_config(page_title="Marketplace analytics", page_icon=str(_STATIC / "icon.svg"), layout="wide")
    st.html(_STATIC / "look.css")
    pages = {
        path: st.Page(
            show,
            title=title,
            icon=icon,
            url_path=path,
            default=path == "overview",
            visibility="hidden" if path in HIDDEN else "visible",
        )
        for path, (show, title, icon, _) in PAGES.items()
    }
    chosen = st.navigation(list(pages.values()), position="top")
    wanted = st.session_state.pop("go-to", "")
    if wanted:
        st.switch_page(pages[wanted])
    path = chosen.url_path or "overview"
    # chosen.run() can be called only once, and the page is drawn again at every refresh.
    show, _, _, choices = PAGES[path]
    shell.draw(after_first_event(show) if path in OF_EVENTS else show, choices)


main()
