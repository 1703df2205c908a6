"""The choices on top of a page: the store, the days, whom to count, and the filters that are set."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from html import escape
from operator import methodcaller
from typing import Final

import streamlit as st

from dashboards.data.periods import CUSTOM, PERIODS, Range
from dashboards.data.view import ATTRIBUTIONS, BOTS, MAX_DAYS, View
from dashboards.ui import formats
from dashboards.ui.labels import labels
from marketplace.stores import Store

ATTRIBUTION: Final = "attribution"
ALL_CHOICES: Final = frozenset({"days", "bots", ATTRIBUTION, "compare", "filters"})
ORDER: Final = "order"
VARIANT: Final = "variant"
"""What is open on the pages of orders and stock; on other pages nothing of it stays."""

ALL_DAYS: Final = "all days"
"""A choice of days that no plan bounds: what a store has sold is its own, however long ago."""


_ATTRIBUTION_HELP: Final = (
    "Whom a visit, with all that it did, is credited to: whoever sent it; or, where nobody did (Direct, Internal), "
    "the last who had sent the same visitor within 30 days before. More under *Attribution* in "
    "docs/reference/numbers.md."
)


def change(step: Callable[[View], View]) -> None:
    """Apply a change to the current view; the next run draws it.

    It takes a function and not a view, so that two clicks that arrive before the page is redrawn both count.
    """
    st.session_state["view"] = step(st.session_state["view"])


def show(
    known: list[Store],
    view: View,
    days: Range,
    today: date,
    choices: Collection[str],
    earliest: date | None = None,
    title: str = "",
) -> None:
    """Draw the choices.

    Args:
        known: The stores, at least one.
        view: The current view.
        days: Its days.
        today: The store's date.
        choices: Those of ``ALL_CHOICES`` to offer.
        earliest: The first day that can be chosen; None where no plan bounds it.
        title: The page's heading, for screen readers alone: eyes see it lit in the navigation. Empty for none.
    """
    titles = {store.slug: store.title for store in known}
    with st.container(horizontal=True, vertical_alignment="bottom", key="header"):
        if title:
            st.html(f'<h1 class="hidden">{escape(title)}</h1>')
        _choice("Store", "store", list(titles), view.store, titles.__getitem__, width=220)
        if "days" in choices:
            _choice("Days", "period", [*PERIODS, CUSTOM], view.period, _period_label, width=170)
        if "days" in choices and view.custom is not None:
            _calendar(view.store, days, today, earliest)
        if "bots" in choices:
            _choice("Who", "bots", list(BOTS), view.bots, BOTS.__getitem__, width=170)
        if "compare" in choices:
            st.session_state["compare"] = view.compare
            st.toggle(
                "Compare",
                key="compare",
                help="With the period before, as long as this one, where the store has numbers of the whole of it",
                on_change=_set_compare,
            )
        if ATTRIBUTION in choices:
            _choice(
                "Visits count as brought by", ATTRIBUTION, list(ATTRIBUTIONS), view.attribution,
                ATTRIBUTIONS.__getitem__, width=300, help_text=_ATTRIBUTION_HELP,
            )  # fmt: skip
    if "filters" in choices:
        _chips(view)


def _calendar(store: str, days: Range, today: date, earliest: date | None) -> None:
    # Streamlit reports a click on the first day before the last one is chosen; setting the value then would lose it.
    state = st.session_state
    if len(state.get("custom", ())) != 1 or state.get("custom-begun-at") != (store, days, earliest):
        state["custom"], state["custom-begun-at"] = (days.first, days.last), (store, days, earliest)
    last = max(today, days.last)
    first = earliest or min(days.first, last - timedelta(days=MAX_DAYS - 1))
    st.date_input("From and to", key="custom", min_value=first, max_value=last, on_change=_set_custom, width=240)


def _choice(
    label: str,
    name: str,
    options: list[str],
    chosen: str,
    label_of: Callable[[str], str],
    width: int,
    help_text: str | None = None,
) -> None:
    key = f"choose-{name}"
    st.session_state[key] = chosen

    def changed() -> None:
        _set(name, str(st.session_state[key]))

    st.selectbox(label, options, key=key, format_func=label_of, on_change=changed, width=width, help=help_text)


def _period_label(period: str) -> str:
    return "Choose days …" if period == CUSTOM else PERIODS[period][0]


def _set(name: str, value: str) -> None:
    if name == "period":
        custom = _bounded(st.session_state["frame"].days) if value == CUSTOM else None
        change(partial(replace, period=value, custom=custom))
    elif name == "store":
        # Another store has other products and campaigns; a filter from here would show nothing there.
        change(partial(replace, store=value, filters=(), goal="", order="", variant=""))
    elif name == ATTRIBUTION:
        change(partial(replace, attribution=value))
    else:
        change(partial(replace, bots=value))


def _set_custom() -> None:
    chosen = st.session_state["custom"]
    if len(chosen) == 2:
        change(partial(replace, period=CUSTOM, custom=_bounded(Range(*chosen))))


def _bounded(days: Range) -> Range:
    """The range, cut to its last ``MAX_DAYS`` days: a URL allows no longer one."""
    return replace(days, first=max(days.first, days.last - timedelta(days=MAX_DAYS - 1)))


def _set_compare() -> None:
    change(partial(replace, compare=bool(st.session_state["compare"])))


def _chips(view: View) -> None:
    # A line without filters too: what is below must not move when one is set, or the next click hits another row.
    with st.container(horizontal=True, key="chips"):
        if not view.filters:
            st.caption(":material/filter_alt: No filter is set. A click on a value sets one.")
        for dimension, value in view.filters:
            label = f"{formats.LABELS[dimension]}: {labels(view.store, dimension, [value])(value)}"
            st.button(
                plain(label), key=f"chip-{dimension}", icon=":material/close:", on_click=change,
                args=(methodcaller("without", dimension),), help="Show all again",
            )  # fmt: skip
        if len(view.filters) > 1:
            nothing = partial(replace, filters=())
            st.button("Remove all", key="chip-all", type="tertiary", on_click=change, args=(nothing,))


def plain(text: str) -> str:
    """Text with Markdown's characters escaped, on one line."""
    return "".join(f"\\{char}" if char in "\\`*_{}[]()#+-.!|~:$<>&" else char for char in one_line(text))


def as_code(text: str) -> str:
    """Text as inline code: nothing in it becomes a link or a picture, not even a bare URL."""
    return f"`{one_line(text).replace('`', '') or ' '}`"


def one_line(text: str) -> str:
    """Text on one line, without unprintable characters."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
