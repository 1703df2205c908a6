"""Numbers and values as text for people, and the definitions of the numbers."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

from connectors.insights import Numbers

UNKNOWN: Final = "Unknown"
NOTHING: Final = "\N{EN DASH}"

UNCHANGED: Final = 0.005
"""A growth below it is shown as none."""
_MOST_GROWTH: Final = 9.995
_MOST: Final = "999%+"
"""Where a number was ten times less: how much less says little."""

LABELS: Final = {
    "country": "Country",
    "city": "City",
    "browser": "Browser",
    "os": "System",
    "device": "Device",
    "source": "Source",
    "medium": "Medium",
    "campaign": "Campaign",
    "channel": "Channel",
    "referrer": "Referrer",
    "entry_page": "Entry page",
    "exit_page": "Exit page",
    "product": "Product",
    "page": "Page",
    "target": "Target",
    "event": "Event",
    "bot_kind": "Kind of bot",
}
PLURALS: Final = {
    "country": "Countries",
    "city": "Cities",
    "browser": "Browsers",
    "os": "Systems",
    "device": "Devices",
    "source": "Sources",
    "medium": "Mediums",
    "campaign": "Campaigns",
    "channel": "Channels",
    "referrer": "Referrers",
    "entry_page": "Entry pages",
    "exit_page": "Exit pages",
    "product": "Products",
    "page": "Pages",
    "target": "Targets",
    "event": "Events",
    "bot_kind": "Kinds of bots",
}

DEFINITIONS: Final = {
    "visitors": "Different browsers or apps that did something. A month's visitors are counted over the month, "
    "never added up from its days. Without a cookie, a browser is a new visitor each day.",
    "sessions": "What a visitor does without a break of more than 30 minutes is one visit.",
    "views": "Pages that people saw; the same page again within 2 seconds counts once.",
    "actions": "Clicks and named events, such as a product put into a cart; double clicks within 2 seconds count once.",
    "bounce_rate": "Visits in which one page was seen and nothing done, of all visits.",
    "session_seconds": "From a visit's first event to its last, on average; a visit of one event has no length.",
    "views_per_session": "Page views for each visit, on average. Not shown under filters by page, product, target or "
    "event: they choose events by what each one was, and visits by how they began.",
    "entries": "Visits that began here.",
    "exits": "Visits that ended here.",
    "exit_rate": "Exits of the views of this page: how often it was the last one.",
    "conversions": "Events that reached the goal; double clicks count once.",
    "converted": "Different visitors who reached the goal at least once.",
    "rate": "Visitors who reached the goal, of all visitors of the row.",
    "change": "Against the period before, by the number that orders the rows; empty where there was nothing.",
    "last_minute": "Page views and actions of the last 60 seconds.",
    "live": "Visitors who did something in the last 5 minutes.",
}


def count(number: int) -> str:
    """``1,234``; rounded to ``12.3k`` and ``4.6M`` from 10,000 on."""
    if abs(number) < 10_000:
        return f"{number:,}"
    for unit, size in (("k", 1_000), ("M", 1_000_000), ("B", 1_000_000_000)):
        if abs(number) < 999.5 * size:
            short = number / size
            return f"{short:.1f}{unit}" if abs(short) < 99.95 else f"{short:.0f}{unit}"
    return f"{number / 1_000_000_000:,.0f}B"


def several(number: int, thing: str) -> str:
    """``1 event``, ``1,200 events``."""
    return f"{number:,} {thing if number == 1 else f'{thing}s'}"


def visitors(numbers: Numbers) -> str:
    """The number of visitors; an estimate has a tilde before it."""
    return f"~{count(numbers.visitors)}" if numbers.visitors_error else count(numbers.visitors)


def exactness(numbers: Numbers) -> str:
    """A sentence that says whether the number of visitors is exact, and else how large its error is."""
    if not numbers.visitors_error:
        return "This number is exact."
    return (
        f"This number is an estimate; two of three such estimates are off by less than {numbers.visitors_error:,.0f}."
    )


def percent(share: float | None) -> str:
    """``42%``, ``4.2%``; a dash for None."""
    if share is None:
        return NOTHING
    return f"{share:.1%}" if 0 < share < 0.0995 else f"{share:.0%}"


def duration(seconds: float | None) -> str:
    """``48s``, ``3m 05s``, ``1h 12m``; a dash for None."""
    if seconds is None:
        return NOTHING
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"


def change(now: float | None, before: float | None) -> float | None:
    """The relative growth (0.1 is +10 %); None where there was nothing to grow from."""
    if now is None or before is None or before <= 0:
        return None
    return now / before - 1


class Change(NamedTuple):
    """How a number stands against the period before.

    Attributes:
        text: With a sign and an arrow, for eyes.
        spoken: In words, for screen readers.
        tone: ``up``, ``down``, or empty where it is neither.
    """

    text: str
    spoken: str
    tone: str


def change_words(grown: float | None) -> Change:
    """The words for a growth of :func:`change`; less than half a percent is none."""
    if grown is None:
        return Change("n/a", "not comparable, the period before had none", "")
    if abs(grown) < UNCHANGED:
        return Change("0%", "unchanged", "")
    size = f"{abs(grown):.0%}" if grown < _MOST_GROWTH else _MOST
    if grown < 0:
        return Change(f"\N{BLACK DOWN-POINTING TRIANGLE} -{size}", f"down {size} on the period before", "down")
    return Change(f"\N{BLACK UP-POINTING TRIANGLE} +{size}", f"up {size} on the period before", "up")


def value_label(dimension: str, value: str) -> str:
    """A dimension's value as people know it, such as a country's name for its code."""
    if not value:
        return UNKNOWN
    if dimension == "country":
        return country_names().get(value, value)
    if dimension == "device":
        return {"tv": "TV"}.get(value, value.capitalize())
    return value


@cache
def country_names() -> dict[str, str]:
    """English names by ISO 3166 code; ``static/README.md`` names their source."""
    names: dict[str, str] = json.loads((files("dashboards") / "static" / "countries.json").read_text())
    return names
