"""From query results to the points of a chart: every bucket of a range, also those without events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from connectors.insights import Row
from dashboards.data.periods import Range
from marketplace.rollups import hour_start

_QUARTER: Final = timedelta(minutes=15)


@dataclass(frozen=True)
class Point:
    """A bucket.

    Attributes:
        wall: Its beginning on the store's clock, naive.
        label: Its beginning, as text.
        now: The number.
        before: The number of the bucket at the same place of the previous period; None where that has none.
        before_label: The label of that bucket.
        provisional: Not everything of it has been received and counted yet.
    """

    wall: datetime
    label: str
    now: int
    before: int | None = None
    before_label: str = ""
    provisional: bool = False


def buckets(since: datetime, until: datetime, grain: str, zone: ZoneInfo) -> list[tuple[datetime, datetime]]:
    """Beginnings of all buckets of a range, as instants (UTC) and on the store's clock (naive).

    Days that clocks change have 23 or 25 hours.

    Args:
        since: The beginning of the range, naive, on the store's clock.
        until: Its end.
        grain: ``hour``, ``day`` or ``month``.
        zone: The store's time zone.
    """
    if grain == "hour":
        instant, end = _instant(since, zone), _instant(until, zone)
        quarters = (instant + step * _QUARTER for step in range(max(0, -(-(end - instant) // _QUARTER))))
        # Not by adding hours: where clocks change by half an hour, hours begin at another minute from then on.
        starts = dict.fromkeys(hour_start(quarter, zone) for quarter in quarters)
        return [(at, at.astimezone(zone).replace(tzinfo=None)) for at in starts]
    if grain == "day":
        days = (
            since + timedelta(days=step) for step in range((until.date() - since.date()).days + (until > _floor(until)))
        )
        return [(_instant(_floor(day), zone), _floor(day)) for day in days]
    months = []
    month = _floor(since).replace(day=1)
    while month < until:
        months.append((_instant(month, zone), month))
        month = (month + timedelta(days=32)).replace(day=1)
    return months


def points(
    chosen: Range,
    rows: Sequence[Row],
    metric: str,
    grain: str,
    zone: ZoneInfo,
    complete_until: datetime | None,
    now: datetime,
) -> list[Point]:
    """The points of a range, up to the bucket that ``now`` lies in.

    Args:
        chosen: The range.
        rows: The result of the query.
        metric: An attribute of ``Numbers``.
        grain: Of the buckets.
        zone: The store's time zone.
        complete_until: Buckets that end later are provisional; all of them are if it is None (not known).
        now: The present.
    """
    known = _by_bucket(rows, metric)
    all_of_them = buckets(chosen.since, chosen.until, grain, zone)
    ends = [instant for instant, _ in all_of_them[1:]] + [_instant(chosen.until, zone)]
    drawn = []
    for (instant, wall), end in zip(all_of_them, ends, strict=True):
        if instant <= now:
            count = known.get(_key(instant, wall, grain), 0)
            unsure = complete_until is None or end > complete_until
            drawn.append(Point(wall, _label_in(chosen, wall, grain), count, provisional=unsure))
    return drawn


def beside(
    current: Sequence[Point], since: datetime, rows: Sequence[Row], metric: str, grain: str, zone: ZoneInfo
) -> list[Point]:
    """The same hours or days with the numbers of the previous period, which begins at ``since`` (naive).

    A day with an hour more than its neighbour has nothing beside that hour.
    """
    known = _by_bucket(rows, metric)
    ends = current[0].wall if current else since
    earlier = buckets(since, ends, grain, zone)[: len(current)]
    paired = []
    for point, (instant, wall) in zip(current, earlier, strict=False):
        before = known.get(_key(instant, wall, grain), 0)
        paired.append(Point(point.wall, point.label, point.now, before, label(wall, grain), point.provisional))
    return [*paired, *current[len(paired) :]]


def _label_in(chosen: Range, wall: datetime, grain: str) -> str:
    """The label; a month that the range does not cover from its start says so, lest it look like a slump."""
    text = label(wall, grain)
    return text if wall >= chosen.since else f"{text}, from the {chosen.first.day}."


def label(wall: datetime, grain: str) -> str:
    """The label of a bucket."""
    if grain == "hour":
        return f"{wall:%a} {wall.day} {wall:%b}, {wall:%H:%M}"
    return f"{wall:%a} {wall.day} {wall:%b %Y}" if grain == "day" else f"{wall:%B %Y}"


def _by_bucket(rows: Sequence[Row], metric: str) -> Mapping[Any, int]:
    return {row.bucket: int(getattr(row.numbers, metric)) for row in rows}


def _key(instant: datetime, wall: datetime, grain: str) -> datetime | date:
    return instant if grain == "hour" else wall.date()


def _instant(naive: datetime, zone: ZoneInfo) -> datetime:
    return naive.replace(tzinfo=zone).astimezone(UTC)


def _floor(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
