"""Rollups: dimensions, grains, and the keys of buckets.

A rollup row is a *delta*: ClickHouse adds the sums and merges the visitor sets, so buckets have no open or closed
state, a late event corrects its bucket by being added to it, and merging is associative and commutative by
construction. A new dimension is one line in ``DIMENSIONS``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

QUARTER_MS: Final = 15 * 60 * 1000

GRAINS: Final = ("hour", "day", "month")
"""The grains of reports. Hours merge from UTC quarters, so that zones off by 30 or 45 minutes are exact; days are
stored by the store's own date, and months merge from days."""


@dataclass(frozen=True)
class Dimension:
    """One way to split the numbers.

    Attributes:
        name: Its name in tables, URLs and reports.
        column: The fact column that it splits by; None for the dimension ``all``.
        meaning: One plain sentence for the seller.
    """

    name: str
    column: str | None
    meaning: str


DIMENSIONS: Final[tuple[Dimension, ...]] = (
    Dimension("all", None, "Everything in the store."),
    Dimension("country", "country", "ISO 3166 country of the visitor's network."),
    Dimension("city", "city", "City of the visitor's network, with its country."),
    Dimension("browser", "browser", "Browser family."),
    Dimension("os", "os", "Operating system family."),
    Dimension("device", "device", "Desktop, mobile, tablet, tv, bot or other."),
    Dimension("source", "source", "Where the visit came from: utm_source, else an ad click id, else the referrer."),
    Dimension("medium", "medium", "How it came: utm_medium, else derived from the source."),
    Dimension("campaign", "campaign", "utm_campaign."),
    Dimension("channel", "channel", "The group of source and medium, by the rules in docs/reference/channels.md."),
    Dimension("product", "product", "The product that was seen or clicked; events without one are left out."),
    Dimension("page", "page", "Path of the page, without query and fragment."),
)

SPARSE: Final = frozenset({"product", "campaign"})
"""Dimensions in which an empty value means "none": such events are left out, not counted as unknown."""


def dimension(name: str) -> Dimension:
    """Find a registered dimension.

    Raises:
        KeyError: There is no dimension of that name; the message lists them.
    """
    for candidate in DIMENSIONS:
        if candidate.name == name:
            return candidate
    raise KeyError(f"no dimension {name!r}; there are {', '.join(d.name for d in DIMENSIONS)}")


def local_day(occurred_at_ms: int, zone: ZoneInfo) -> datetime:
    """Midnight of the store's own date, written as if it were UTC: a label, not an instant."""
    local = datetime.fromtimestamp(occurred_at_ms / 1000, UTC).astimezone(zone)
    return datetime(local.year, local.month, local.day, tzinfo=UTC)


def hour_start(quarter: datetime, zone: ZoneInfo) -> datetime:
    """The start (UTC) of the store's wall-clock hour that contains a UTC quarter.

    On the day that clocks go back the repeated hour is two buckets, as it was two hours.
    """
    local = quarter.astimezone(zone)
    return quarter - timedelta(minutes=local.minute, seconds=local.second)
