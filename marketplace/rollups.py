"""Rollups: dimensions, grains, and the keys of buckets.

A rollup row is a *delta*: ClickHouse adds the sums and merges the visitor sets, so buckets have no open or closed
state, a late event corrects its bucket by being added to it, and merging is associative and commutative by
construction. A new dimension is one line in ``DIMENSIONS``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

QUARTER_MS: Final = 15 * 60 * 1000

GRAINS: Final = ("hour", "day", "month")
"""The grains of reports. Hours merge from UTC quarters, so that zones off by 30 or 45 minutes are exact; days are
stored by the store's own date, and months merge from days."""


DimensionScope = Literal["event", "visit", "exit"]
"""Whose value an event and a session are counted under: ``event``, the event's own, and for a session that of the event
that began it; ``visit``, for both that of the event that began the session, so that a value shows all that its visits
did; ``exit``, that of the session's last event, under which sessions are counted and no events."""


@dataclass(frozen=True)
class Dimension:
    """One way to split the numbers.

    Attributes:
        name: Its name in tables, URLs and reports.
        column: The fact column that it splits by; None for the dimension ``all``.
        meaning: One plain sentence for the seller.
        scope: Whose value counts.
        stored: Whether rollups hold it; others are answered from facts and sessions.
    """

    name: str
    column: str | None
    meaning: str
    scope: DimensionScope = "event"
    stored: bool = True

    @property
    def session_column(self) -> str | None:
        """The column of a session's value; None for the dimension ``all``, and where sessions keep none."""
        if self.scope == "exit":
            return self.name
        return self.column if self.stored else None


DIMENSIONS: Final[tuple[Dimension, ...]] = (
    Dimension("all", None, "Everything in the store."),
    Dimension("country", "country", "ISO 3166 country of the visitor's network."),
    Dimension("city", "city", "City of the visitor's network, with its country."),
    Dimension("browser", "browser", "Browser family."),
    Dimension("os", "os", "Operating system family."),
    Dimension("device", "device", "Desktop, mobile, tablet, tv, bot or other."),
    Dimension(
        "source", "source", "Where the visit came from: utm_source, else an ad click id, else the referrer.", "visit"
    ),
    Dimension("medium", "medium", "How the visit came: utm_medium, else derived from the source.", "visit"),
    Dimension("campaign", "campaign", "utm_campaign of the visit's first page.", "visit"),
    Dimension(
        "channel", "channel", "The group of source and medium, by the rules in docs/reference/channels.md.", "visit"
    ),
    Dimension("referrer", "referrer_host", "The host that the visit's first page was linked from.", "visit"),
    Dimension("entry_page", "page", "The page on which the visit began.", "visit"),
    Dimension("exit_page", "page", "The page on which the visit ended.", "exit", stored=False),
    Dimension("product", "product", "The product that was seen or clicked; events without one are left out."),
    Dimension("page", "page", "Path of the page, without query and fragment."),
    Dimension("target", "target", "What was clicked; events without a target are left out.", stored=False),
    Dimension("bot_kind", "bot_kind", "What kind of bot it is; people are left out.", stored=False),
    Dimension("event", "name", "The name of a named event; other events are left out.", stored=False),
)

STORED: Final = tuple(d for d in DIMENSIONS if d.stored)
"""The dimensions of rollups."""

OF_VISITS: Final = tuple(d for d in DIMENSIONS if d.scope == "visit")
"""Those whose value an event takes from the one that began its visit."""

OF_REFERRAL: Final = tuple(d for d in OF_VISITS if d.column != "page")
"""Those of them that say who sent the visit, and that attribution can give to another one."""

SPARSE: Final = frozenset({"product", "campaign", "target", "event", "bot_kind"})
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
