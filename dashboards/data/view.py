"""What a viewer has chosen. It is kept in the URL, so a view can be shared, reloaded and gone back to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

from dashboards.data.periods import CUSTOM, DEFAULT, PERIODS, Range
from marketplace.goals import MAX_GOAL_NAME_CHARS
from marketplace.rollups import DIMENSIONS, GRAINS

METRICS: Final = {"visitors": "Visitors", "sessions": "Visits", "views": "Page views", "actions": "Actions"}
BOTS: Final = {"exclude": "People only", "include": "People and bots", "only": "Bots only"}
ATTRIBUTIONS: Final = {
    "visit": "What brought the visit",
    "last_non_direct": "The last that somebody sent (30 days)",
}
"""By their name in the URL: whose source, medium, campaign, channel and referrer a visit has."""
FILTERS: Final = tuple(d.name for d in DIMENSIONS if d.column is not None)
MAX_VALUE: Final = 500
_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
MAX_DAYS: Final = 3660
"""The longest range: ten years."""


@dataclass(frozen=True)
class View:
    """A choice of store, days and filters.

    Attributes:
        store: The slug.
        period: A name of ``PERIODS``, or ``custom``.
        custom: The days of a custom period.
        compare: Show the previous period beside it.
        bots: A name of ``BOTS``.
        attribution: A name of ``ATTRIBUTIONS``.
        grain: Empty for the one that fits the range.
        metric: A name of ``METRICS``.
        table: The dimension whose table is open, on pages that have it; empty for each page's first.
        filters: Dimension and value, in the order of the registry.
        goal: The name of the goal that is looked at; empty for the store's first.
        order: The id of the order that is open, on the page of orders; empty for the list.
        variant: The id of the variant that is open, on the page of stock; empty for the list.
    """

    store: str
    period: str = DEFAULT
    custom: Range | None = None
    compare: bool = True
    bots: str = "exclude"
    attribution: str = "visit"
    grain: str = ""
    metric: str = "visitors"
    table: str = ""
    filters: tuple[tuple[str, str], ...] = ()
    goal: str = ""
    order: str = ""
    variant: str = ""

    def range(self, today: date, first_ever: date | None) -> Range:
        """Its days."""
        if self.custom is not None:
            return self.custom
        return PERIODS[self.period][1](today, first_ever or today)

    def value_of(self, dimension: str) -> str | None:
        """What a dimension is filtered by."""
        return dict(self.filters).get(dimension)

    def filtered(self, dimension: str, value: str) -> View:
        """With this filter added or replaced."""
        named = {**dict(self.filters), dimension: value}
        return replace(self, filters=tuple((name, named[name]) for name in FILTERS if name in named))

    def without(self, dimension: str) -> View:
        """Without the filter on a dimension."""
        return replace(self, filters=tuple(pair for pair in self.filters if pair[0] != dimension))

    def toggled(self, dimension: str, value: str) -> View:
        """With the filter if it is not set, without it if it is."""
        return self.without(dimension) if self.value_of(dimension) == value else self.filtered(dimension, value)


def to_query(view: View) -> dict[str, str]:
    """The view as URL parameters; defaults are left out."""
    usual = View(view.store)
    query = {"store": view.store}
    if view.custom is not None:
        query |= {"from": view.custom.first.isoformat(), "to": view.custom.last.isoformat()}
    elif view.period != usual.period:
        query["period"] = view.period
    for name in ("bots", "attribution", "grain", "metric", "table", "goal", "order", "variant"):
        if getattr(view, name) != getattr(usual, name):
            query[name] = getattr(view, name)
    if not view.compare:
        query["compare"] = "no"
    return query | dict(view.filters)


def from_query(query: Mapping[str, str], stores: Iterable[str]) -> tuple[View, list[str]]:
    """The view of URL parameters, and the parameters that were ignored because they are not valid.

    A link that is old, mistyped or made up shows what can be shown and names what was left out; it never fails.

    Args:
        query: The parameters.
        stores: The slugs that there are, at least one; the first is taken where the URL names none.
    """
    known = list(stores)
    ignored: list[str] = []

    def choice(name: str, allowed: Iterable[str], usual: str) -> str:
        given = query.get(name, usual)
        if given in allowed:
            return given
        ignored.append(f"{name}={given[:60]}")
        return usual

    custom = _custom(query, ignored)
    view = View(
        store=choice("store", known, known[0]),
        period=CUSTOM if custom is not None else choice("period", PERIODS, DEFAULT),
        custom=custom,
        compare=choice("compare", ("yes", "no"), "yes") == "yes",
        bots=choice("bots", BOTS, "exclude"),
        attribution=choice("attribution", ATTRIBUTIONS, "visit"),
        grain=choice("grain", (*GRAINS, ""), ""),
        metric=choice("metric", METRICS, "visitors"),
        table=choice("table", (*FILTERS, ""), ""),
        filters=tuple((name, query[name]) for name in FILTERS if name in query and len(query[name]) <= MAX_VALUE),
        goal=query.get("goal", "")[:MAX_GOAL_NAME_CHARS],
        order=_id("order", query, ignored),
        variant=_id("variant", query, ignored),
    )
    ignored += [f"{name}=… (too long)" for name in FILTERS if len(query.get(name, "")) > MAX_VALUE]
    return view, ignored


def _id(name: str, query: Mapping[str, str], ignored: list[str]) -> str:
    given = query.get(name, "")
    if not given or _ID.fullmatch(given):
        return given
    ignored.append(f"{name}={given[:60]}")
    return ""


def _custom(query: Mapping[str, str], ignored: list[str]) -> Range | None:
    if "from" not in query and "to" not in query:
        return None
    try:
        first = date.fromisoformat(query.get("from") or query["to"])
        last = date.fromisoformat(query.get("to") or query["from"])
        if first > last or last - first > timedelta(days=MAX_DAYS - 1) or first.year < 2000 or last.year > 2200:
            raise ValueError
    except (KeyError, ValueError):
        ignored.append(f"from={query.get('from', '')[:20]} to={query.get('to', '')[:20]}")
        return None
    return Range(first, last)
