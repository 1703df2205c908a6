"""The pages and what is around them; Streamlit runs this file for every viewer and interaction."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboards import shell
from dashboards.screens import devices, flow, live, overview, places, products, sources, visits

_STATIC = Path(__file__).with_name("static")

PAGES = {
    "overview": (overview.show, "Overview", ":material/monitoring:"),
    "live": (live.show, "Live", ":material/bolt:"),
    "sources": (sources.show, "Sources", ":material/campaign:"),
    "places": (places.show, "Places", ":material/public:"),
    "devices": (devices.show, "Devices", ":material/devices:"),
    "products": (products.show, "Products", ":material/shopping_bag:"),
    "visits": (visits.show, "Visits", ":material/timeline:"),
    "counting": (flow.show, "Counting", ":material/fact_check:"),
}


def main() -> None:
    """Draw the page that the URL names."""
    st.set_page_config(page_title="Marketplace analytics", page_icon=str(_STATIC / "icon.svg"), layout="wide")
    st.html(_STATIC / "look.css")
    pages = {
        path: st.Page(show, title=title, icon=icon, url_path=path, default=path == "overview")
        for path, (show, title, icon) in PAGES.items()
    }
    chosen = st.navigation(list(pages.values()), position="top")
    path = chosen.url_path or "overview"
    # Not by running the page, which can be done once: its numbers are refreshed while it is looked at.
    shell.draw(PAGES[path][0])


main()
