"""Where numbers come from, as SQL: daily rollups, rollups of a quarter of an hour, or single clicks and sessions.

Each source gives rows of (k, split, answer, c, r, s, b, d, v): bucket, dimension, value, clicks, re-fires, sessions,
bounces, milliseconds and the mergeable set of visitors. The outer query is the same for all.

Rollups suffice for every query of one dimension at a time, over any range. A filter on one dimension while splitting by
another needs the clicks themselves; such a query is bounded by ``MAX_ROWS`` (docs/adr/0008).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from connectors.insights.scope import BOTS, Scope
from marketplace.clicks.outcomes import REFIRE
from marketplace.rollups import DIMENSIONS, SPARSE
from marketplace.tables import CLICKS, ROLLUPS, SESSIONS, VISITOR_STATE

MAX_ROWS: Final = 50_000_000
"""Rows of facts that one query may read: a second or two of one server."""

WEEKHOUR: Final = "weekhour"
"""The bucket of a day of the week (1 for Monday) and an hour."""

_COLUMN: Final = {d.name: d.column for d in DIMENSIONS}


def needs_facts(scope: Scope, splits: Sequence[str]) -> bool:
    """Whether rollups do not suffice: they have one dimension at a time, and of sparse ones no empty value."""
    named = {name for name, _ in scope.filters}
    if any(name in SPARSE and value == "" for name, value in scope.filters):
        return True
    return len(named) > 1 or (len(named) == 1 and not set(splits) <= {"all"} | named)


def source(scope: Scope, bucket: str, splits: Sequence[str], database: str) -> tuple[str, dict[str, object]]:
    """A SELECT from the cheapest source that suffices, and its parameters.

    Args:
        scope: The store, time and filters.
        bucket: ``hour``, ``day``, ``month``, ``weekhour``, or empty for the whole range at once.
        splits: Dimensions.
        database: Where the tables are.
    """
    if needs_facts(scope, splits):
        return _facts(scope, bucket, splits, database)
    return _stored(scope, bucket, splits, database)


def _stored(scope: Scope, bucket: str, splits: Sequence[str], database: str) -> tuple[str, dict[str, object]]:
    days = bucket in ("", "day", "month") and scope.whole_days()
    since, until = scope.labels() if days else scope.quarters()
    parameters: dict[str, object] = {"store": scope.store}
    asked = list(splits)
    named: dict[str, str] = dict(scope.filters)
    only = ""
    if named:
        # "All numbers where the country is X" are the rollups of that country.
        asked = list(named)
        parameters["only"] = named[asked[0]]
        only = " AND value = {only:String}"
    parameters["splits"] = asked
    split = "dimension" if not named or list(splits) != ["all"] else "'all'"
    value = "value" if split == "dimension" else "''"
    select = (
        f"SELECT {_day_key(bucket) if days else _key(bucket, 'bucket', scope.zone)} AS k, {split} AS split, "
        f"{value} AS answer, clicks AS c, refires AS r, sessions AS s, bounces AS b, duration_ms AS d, visitors AS v "
        f"FROM {database}.{ROLLUPS.name} WHERE store = {{store:String}} AND grain = '{'day' if days else 'quarter'}' "
        f"AND dimension IN {{splits:Array(String)}}{only} AND {BOTS[scope.bots]}{time_range('bucket', since, until)}"
    )
    return select, parameters


def _facts(scope: Scope, bucket: str, splits: Sequence[str], database: str) -> tuple[str, dict[str, object]]:
    since, until = scope.quarters()
    conditions, parameters = fact_conditions(scope)
    pairs = ", ".join(f"('{name}', {_text(name)})" for name in splits)
    shared = f"ARRAY JOIN [{pairs}] AS pair WHERE {conditions} AND {_present(splits)}"
    clicks = (
        f"SELECT {_key(bucket, 'occurred_at', scope.zone)} AS k, pair.1 AS split, pair.2 AS answer, "
        f"toInt64(countIf(outcome != '{REFIRE.name}')) AS c, toInt64(countIf(outcome = '{REFIRE.name}')) AS r, "
        f"toInt64(0) AS s, toInt64(0) AS b, toInt64(0) AS d, {_state('visitor')} AS v "
        f"FROM {database}.{CLICKS.name} {shared}{time_range('occurred_at', since, until)} GROUP BY k, split, answer"
    )
    length = "toUnixTimestamp64Milli(ended_at) - toUnixTimestamp64Milli(started_at)"
    visits = (
        f"SELECT {_key(bucket, 'started_at', scope.zone)} AS k, pair.1 AS split, pair.2 AS answer, toInt64(0) AS c, "
        f"toInt64(0) AS r, toInt64(sum(sign)) AS s, toInt64(sum(sign * (clicks <= 1))) AS b, "
        f"toInt64(sum(sign * ({length}))) AS d, {_state('visitor', 'If', ', 0')} AS v "
        f"FROM {database}.{SESSIONS.name} {shared}{time_range('started_at', since, until)} GROUP BY k, split, answer"
    )
    return f"{clicks} UNION ALL {visits}", parameters


def fact_conditions(scope: Scope) -> tuple[str, dict[str, object]]:
    """Conditions and parameters that fit ``clicks`` and ``sessions``; without the time, whose columns differ."""
    parameters: dict[str, object] = {"store": scope.store}
    conditions = f"store = {{store:String}} AND {BOTS[scope.bots]}"
    for at, (name, value) in enumerate(scope.filters):
        conditions += f" AND {_COLUMN[name]} = {{filter{at}:String}}"
        parameters[f"filter{at}"] = value
    return conditions, parameters


def _state(column: str, suffix: str = "", condition: str = "") -> str:
    return f"{VISITOR_STATE.replace('(', f'State{suffix}(')}({column}{condition})"


def _text(name: str) -> str:
    column = _COLUMN[name]
    return "''" if column is None else f"toString({column})"


def _present(splits: Sequence[str]) -> str:
    sparse = ", ".join(f"'{name}'" for name in splits if name in SPARSE)
    return f"NOT (pair.1 IN ({sparse}) AND pair.2 = '')" if sparse else "1"


def time_range(column: str, since: datetime | None, until: datetime | None) -> str:
    """A condition on a time, with its AND; empty where both ends are open."""
    return "".join(
        f" AND {column} {sign} toDateTime({int(moment.timestamp())}, 'UTC')"
        for sign, moment in ((">=", since), ("<", until))
        if moment is not None
    )


def _day_key(bucket: str) -> str:
    return {"": "0", "day": "toDate(bucket)", "month": "toStartOfMonth(toDate(bucket))"}[bucket]


def _key(bucket: str, column: str, zone: ZoneInfo) -> str:
    """The bucket of an instant on the store's wall clock; the key of an hour is the instant at which it began."""
    instant = f"toDateTime({column}, 'UTC')"
    local = f"toTimeZone({instant}, '{zone.key}')"
    return {
        "": "0",
        # Whole hours of the wall clock: the part of the zone's offset beyond whole hours shifts the boundary.
        "hour": f"{instant} - modulo(toUnixTimestamp({instant}) + timezoneOffset({local}), 3600)",
        "day": f"toDate({local})",
        "month": f"toStartOfMonth(toDate({local}))",
        WEEKHOUR: f"(toDayOfWeek({local}), toHour({local}))",
    }[bucket]
