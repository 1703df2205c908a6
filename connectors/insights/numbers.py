"""Result types of the queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from marketplace.tables import VISITORS_EXACT_UP_TO, VISITORS_RELATIVE_ERROR


def error_of(visitors: int) -> float:
    """One standard error of a number of visitors, in visitors; 0.0 where it is exact."""
    return 0.0 if visitors <= VISITORS_EXACT_UP_TO else round(visitors * VISITORS_RELATIVE_ERROR, 1)


class SessionRates:
    """What follows from sums over sessions."""

    sessions: int
    bounces: int
    duration_ms: int

    @property
    def bounce_rate(self) -> float | None:
        """Bounces per session, 0 to 1; None without sessions."""
        return self.bounces / self.sessions if self.sessions > 0 else None

    @property
    def session_seconds(self) -> float | None:
        """The mean length of a session; None without sessions."""
        return self.duration_ms / 1000 / self.sessions if self.sessions > 0 else None


@dataclass(frozen=True)
class Numbers(SessionRates):
    """The numbers of any set of buckets and values.

    Attributes:
        views: Page views.
        actions: Clicks and named events.
        refires: The same visitor and target again within two seconds; neither views nor actions.
        visitors: Distinct visitors of the whole, never a sum over parts.
        sessions: Sessions that began there.
        bounces: Sessions in which one page was seen and nothing done.
        duration_ms: The sum of the sessions' lengths.
    """

    views: int = 0
    actions: int = 0
    refires: int = 0
    visitors: int = 0
    sessions: int = 0
    bounces: int = 0
    duration_ms: int = 0

    @classmethod
    def of(cls, columns: Sequence[Any]) -> Numbers:
        """From the last columns of a query, in the order of the attributes."""
        return cls(*(int(value) for value in columns))

    @property
    def visitors_error(self) -> float:
        """0 where ``visitors`` is exact, else one standard error of the estimate, in visitors."""
        return error_of(self.visitors)

    def less(self, gone: int) -> Numbers:
        """The same without some visitors who are in the set that was counted and belong to it no more."""
        left = replace(self, visitors=max(0, self.visitors - gone))
        if not self.visitors_error:
            return left
        found = _Lessened(**vars(left))
        object.__setattr__(found, "counted", self.visitors)
        return found

    @property
    def views_per_session(self) -> float | None:
        """Page views per session; None without sessions."""
        return self.views / self.sessions if self.sessions > 0 else None


class _Lessened(Numbers):
    """Numbers whose visitors are an estimate, less those who left: as far off as the estimate."""

    counted: int = 0

    @property
    def visitors_error(self) -> float:
        """One standard error of what was counted, in visitors."""
        return round(self.counted * VISITORS_RELATIVE_ERROR, 1)


@dataclass(frozen=True)
class Row:
    """Numbers of one bucket and value.

    Attributes:
        bucket: The instant (UTC) at which an hour of the store's clock began, the date of a day, or the first of a
            month; None where the whole range is one bucket. Hours of the week are (1 for Monday to 7, hour).
        value: The value of the dimension that was split by; empty for ``all`` and for "unknown".
    """

    bucket: datetime | date | tuple[int, int] | None
    value: str
    numbers: Numbers

    @property
    def weekhour(self) -> tuple[int, int]:
        """The bucket of a row of the heat map."""
        if not isinstance(self.bucket, tuple):
            raise TypeError(f"not an hour of the week: {self.bucket!r}")
        return self.bucket


@dataclass(frozen=True)
class TrendWithTotals:
    """Numbers of the whole range, and by bucket.

    Attributes:
        rows: Oldest first; buckets without events are left out.
    """

    totals: Numbers
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Breakdown:
    """The largest values of a dimension over the whole range.

    Attributes:
        more: The limit cut off further values.
    """

    dimension: str
    rows: tuple[Row, ...]
    more: bool


@dataclass(frozen=True)
class SessionDistribution:
    """Histograms of sessions, by length and by number of page views.

    Attributes:
        by_seconds: One count per class of ``SESSION_SECONDS_BOUNDS``, whose bounds are inclusive.
        by_views: One count per class of ``SESSION_VIEWS_BOUNDS``.
    """

    by_seconds: tuple[int, ...]
    by_views: tuple[int, ...]


@dataclass(frozen=True)
class Target:
    """How often something was clicked.

    Attributes:
        name: What, as the page calls it.
        product: On which product's page or card; empty for all products together.
        actions: Without re-fires.
        visitors: Different ones.
    """

    name: str
    product: str
    actions: int
    visitors: int


@dataclass(frozen=True)
class Conversion:
    """How often a goal was reached.

    Visitors are exact up to ``VISITORS_EXACT_UP_TO``, and estimates beyond.

    Attributes:
        goal: Its name.
        value: Of the dimension that was split by; empty for ``all`` and for "unknown".
        conversions: Events that reached it, without re-fires.
        converted: Different visitors who did.
        visitors: All visitors of that value, whether they did or not.
    """

    goal: str
    value: str
    conversions: int
    converted: int
    visitors: int

    @property
    def rate(self) -> float | None:
        """Visitors who reached it of all visitors, 0 to 1; None without visitors."""
        return self.converted / self.visitors if self.visitors > 0 else None

    @property
    def visitors_error(self) -> float:
        """One standard error of ``visitors``; 0.0 where they are exact."""
        return error_of(self.visitors)

    @property
    def is_estimate(self) -> bool:
        """Whether visitors, and so the rate, are estimates; see ``Numbers.visitors_error``."""
        return self.visitors > VISITORS_EXACT_UP_TO


@dataclass(frozen=True)
class LiveMinute:
    """Counts of one recent minute."""

    minute: datetime
    views: int
    actions: int
    visitors: int


@dataclass(frozen=True)
class LiveEvent:
    """One recent event, without anything that identifies the visitor; ``source`` is that of its visit."""

    at: datetime
    type: str
    page: str
    product: str
    target: str
    name: str
    country: str
    city: str
    device: str
    source: str


@dataclass(frozen=True)
class Outcomes:
    """Events received, and their outcomes.

    Attributes:
        received: Number of events.
        outcomes, notes: Number of events by name; see ``marketplace.clicks.outcomes``.
    """

    received: int
    outcomes: dict[str, int]
    notes: dict[str, int]

    @property
    def difference(self) -> int:
        """Received less all outcomes; anything but zero is a bug."""
        return self.received - sum(self.outcomes.values())
