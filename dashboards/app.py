"""The script that Streamlit runs for every viewer and interaction: navigation, and the chosen page."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboards.pages import FIRST, HEADED, HIDDEN, OF_EVENTS, PAGES
from dashboards.ui import shell
from dashboards.ui.first_steps import after_first_event

_STATIC = Path(__file__).with_name("static")
_ABOUT = "Marketplace analytics. What each number means is in docs/reference/numbers.md."


def main() -> None:
    """Draw the page that the URL names."""
    st.set_page_config(
        page_title="Marketplace analytics",
        page_icon=str(_STATIC / "icon.svg"),
        layout="wide",
        # Where an app has none of its own, its menu has no choice of light and dark either.
        menu_items={"About": _ABOUT},
    )
    st.html(_STATIC / "look.css")
    pages = {
        path: st.Page(
            show,
            title=title,
            icon=icon,
            url_path=path,
            default=path == FIRST,
            visibility="hidden" if path in HIDDEN else "visible",
        )
        for path, (show, title, icon, _) in PAGES.items()
    }
    chosen = st.navigation(list(pages.values()), position="top")
    wanted = st.session_state.pop("go-to", "")
    if wanted:
        st.switch_page(pages[wanted])
    path = chosen.url_path or FIRST
    # chosen.run() can be called only once, and the page is drawn again at every refresh.
    show, title, _, choices = PAGES[path]
    drawn = after_first_event(show) if path in OF_EVENTS else show
    shell.draw(drawn, choices, "" if path in HEADED else title)


main()
