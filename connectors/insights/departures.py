"""Who is in a stored set of visitors and belongs to it no more, as SQL (docs/adr/0038).

A set of visitors only grows. When a late event comes to begin a visit, its visitor is named beside the sets of the
values that the visit had. Those of them who have no event under such a value any more are to be taken off the set's
size.

Whether they have one is found in the sessions, of which there are far fewer than events: one that touches an hour has
an event in it, at its first or last moment, or, where it covers the hour, because its gaps are shorter. Shorter windows
are looked for in the events themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

from connectors.insights.facts import sessions_among
from connectors.insights.keys import WEEKHOUR, bucket_key, time_range
from connectors.insights.scope import Scope
from connectors.insights.sources import event_rows, pairs_of, stored_rows
from marketplace.rollups import OF_VISITS

_OF_VISITS: Final = frozenset(d.name for d in OF_VISITS)
_HOUR: Final = timedelta(hours=1)
_YEARS: Final = range(2000, 2100)


def who_left(
    scope: Scope, bucket: str, splits: Sequence[str], database: str, some: str = ""
) -> tuple[str, dict[str, object]]:
    """A SELECT of (k, split, answer, visitors): how many are too many in each row of :func:`stored_rows`.

    Args:
        scope: The store, time and filters.
        bucket: As in :func:`stored_rows`.
        splits: Dimensions.
        database: Where the tables are.
        some: A WHERE that leaves some of the rows.
    """
    stored, parameters = stored_rows(scope, bucket, splits, database)
    moved = f"SELECT k, split, answer, arrayJoin(m) AS visitor FROM (SELECT * FROM ({stored}){some}) WHERE notEmpty(m)"
    among = f"SELECT DISTINCT visitor FROM ({moved})"
    if has_whole_hours(scope, bucket):
        there, named = _session_rows(scope, bucket, splits, database, among)
    else:
        there, named = event_rows(scope, bucket, splits, database, among)
    row = "k, split, answer"
    return (
        f"SELECT {row}, uniqExact(visitor) AS gone FROM ({moved}) WHERE ({row}, visitor) NOT IN "
        f"(SELECT {row}, visitor FROM ({there}) GROUP BY {row}, visitor) GROUP BY {row}",
        {**parameters, **named},
    )


def has_whole_hours(scope: Scope, bucket: str) -> bool:
    """Whether every window of time that is asked about lasts an hour at least, so that no single event is read."""
    if not all(moment is None or _offset(scope, moment) == timedelta(0) for moment in scope.bounds()):
        return False
    # Where clocks change by half an hour, so long is an hour of theirs once a year.
    return bucket not in ("hour", WEEKHOUR) or not _changes_by_parts(scope.zone)


def _offset(scope: Scope, moment: datetime) -> timedelta:
    """From the beginning of the store's hour to a moment."""
    local = moment.astimezone(scope.zone)
    return timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)


@cache
def _changes_by_parts(zone: ZoneInfo) -> bool:
    """Whether its clocks ever stood apart by less than whole hours; looked for at the first of each month."""
    moments = (datetime(year, month, 1, tzinfo=zone).utcoffset() for year in _YEARS for month in range(1, 13))
    return len({offset % _HOUR for offset in moments if offset is not None}) > 1


def _session_rows(
    scope: Scope, bucket: str, splits: Sequence[str], database: str, among: str
) -> tuple[str, dict[str, object]]:
    """Sessions as (k, split, answer, visitor), once for each split and each hour that they touch."""
    visits = sessions_among(scope, splits, database, among)
    hour = bucket_key("hour", "started_at", scope.zone)
    covered = f"intDiv(toUnixTimestamp(ended_at) - toUnixTimestamp({hour}), 3600)"
    moments = (
        f"arrayConcat([toDateTime(started_at, 'UTC'), toDateTime(ended_at, 'UTC')], "
        f"arrayMap(step -> {hour} + step * 3600, range(1, toUInt32(greatest({covered}, 1)))))"
    )
    asked = [name for name in splits if name == "all" or name in _OF_VISITS]
    return (
        f"SELECT {bucket_key(bucket, 'moment', scope.zone)} AS k, pair.1 AS split, pair.2 AS answer, visitor "
        f"FROM (SELECT *, arrayJoin({moments}) AS moment FROM {visits.relation} WHERE {visits.conditions}) "
        f"{pairs_of(asked, visits.columns)} WHERE 1{time_range('moment', *scope.quarters())}",
        visits.parameters,
    )
