"""Where numbers come from, as SQL: daily rollups, rollups of a quarter of an hour, or single events and sessions.

Each source gives rows of (k, split, answer, w, a, r, s, b, d, v, m): bucket, dimension, value, views, actions,
re-fires, sessions, bounces, milliseconds, the mergeable set of visitors, and who may have left that set. The outer
query is the same for all.

Rollups suffice for every query of one stored dimension at a time, over any range. Others need the events themselves,
each with its session where a value of the visit is asked for; such a query is bounded by ``MAX_ROWS``
(docs/adr/0008).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from connectors.insights.facts import events_relation, sessions_relation
from connectors.insights.keys import bucket_key, day_key, time_range
from connectors.insights.scope import BOTS, Scope
from marketplace.clicks.outcomes import REFIRE
from marketplace.rollups import DIMENSIONS, OF_REFERRAL, SPARSE
from marketplace.tables import ROLLUPS, VISITOR_STATE

MAX_ROWS: Final = 50_000_000
"""Rows of facts that one query may read: a second or two of one server."""

_STORED: Final = frozenset(d.name for d in DIMENSIONS if d.stored)
_OF_REFERRAL: Final = frozenset(d.name for d in OF_REFERRAL)
_OF_EVENTS: Final = tuple(d.name for d in DIMENSIONS if d.scope != "exit")
_OF_SESSIONS: Final = tuple(d.name for d in DIMENSIONS if d.column is None or d.session_column is not None)


def needs_facts(scope: Scope, splits: Sequence[str]) -> bool:
    """Whether rollups do not suffice: they have one dimension at a time, and of sparse ones no empty value."""
    named = {name for name, _ in scope.filters}
    if not named | set(splits) <= _STORED or any(name in SPARSE and value == "" for name, value in scope.filters):
        return True
    if scope.attribution != "visit" and not (named | set(splits)).isdisjoint(_OF_REFERRAL):
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
    return stored_rows(scope, bucket, splits, database)


def stored_rows(scope: Scope, bucket: str, splits: Sequence[str], database: str) -> tuple[str, dict[str, object]]:
    """A SELECT from the rollups, and its parameters; at most one dimension is filtered by."""
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
        f"SELECT {day_key(bucket) if days else bucket_key(bucket, 'bucket', scope.zone)} AS k, {split} AS split, "
        f"{value} AS answer, views AS w, actions AS a, refires AS r, sessions AS s, bounces AS b, duration_ms AS d, "
        f"visitors AS v, moved AS m "
        f"FROM {database}.{ROLLUPS.name} WHERE store = {{store:String}} AND grain = '{'day' if days else 'quarter'}' "
        f"AND dimension IN {{splits:Array(String)}}{only} AND {BOTS[scope.bots]}{time_range('bucket', since, until)}"
    )
    return select, parameters


def _facts(scope: Scope, bucket: str, splits: Sequence[str], database: str) -> tuple[str, dict[str, object]]:
    parts, parameters = [], dict[str, object]()
    if set(splits) & set(_OF_EVENTS):
        events, named = event_rows(scope, bucket, splits, database)
        parameters |= named
        parts.append(
            "SELECT k, split, answer, toInt64(countIf(kind = 'view')) AS w, toInt64(countIf(kind = 'action')) AS a, "
            "toInt64(countIf(kind = 'refire')) AS r, toInt64(0) AS s, toInt64(0) AS b, toInt64(0) AS d, "
            f"{_state('visitor')} AS v, CAST([], 'Array(UInt64)') AS m FROM ({events}) GROUP BY k, split, answer"
        )
    visits = sessions_relation(scope, database)
    of_sessions = [name for name in splits if name in _OF_SESSIONS]
    if visits is not None and of_sessions:
        parameters |= visits.parameters
        length = "toUnixTimestamp64Milli(ended_at) - toUnixTimestamp64Milli(started_at)"
        key = bucket_key(bucket, "started_at", scope.zone)
        parts.append(
            f"SELECT {key} AS k, pair.1 AS split, pair.2 AS answer, toInt64(0) AS w, toInt64(0) AS a, toInt64(0) AS r, "
            "toInt64(sum(sign)) AS s, toInt64(sum(sign * (views <= 1 AND actions = 0))) AS b, "
            f"toInt64(sum(sign * ({length}))) AS d, {_state('visitor', 'If', ', 0')} AS v, "
            f"CAST([], 'Array(UInt64)') AS m FROM {visits.relation} {pairs_of(of_sessions, visits.columns)} "
            f"WHERE {visits.conditions} AND {_present(of_sessions)} GROUP BY k, split, answer"
        )
    return " UNION ALL ".join(parts) or _nothing(), parameters


def event_rows(
    scope: Scope, bucket: str, splits: Sequence[str], database: str, among: str = ""
) -> tuple[str, dict[str, object]]:
    """Single events as (k, split, answer, kind, visitor), once for each split; ``among`` selects visitors."""
    asked = [name for name in splits if name in _OF_EVENTS]
    events = events_relation(scope, asked, database, *scope.quarters())
    only = f" AND visitor IN ({among})" if among else ""
    kind = f"multiIf(outcome = '{REFIRE.name}', 'refire', type = 'view', 'view', 'action')"
    return (
        f"SELECT {bucket_key(bucket, 'occurred_at', scope.zone)} AS k, pair.1 AS split, pair.2 AS answer, "
        f"{kind} AS kind, visitor FROM {events.relation} {pairs_of(asked, events.columns)} "
        f"WHERE {events.conditions}{only} AND {_present(asked)}",
        events.parameters,
    )


def pairs_of(splits: Sequence[str], columns: dict[str, str]) -> str:
    """The ARRAY JOIN that gives each row once for each split, as ``pair`` of its name and value."""
    pairs = ", ".join(f"('{name}', {columns[name]})" for name in splits)
    return f"ARRAY JOIN [{pairs}] AS pair"


def _nothing() -> str:
    return (
        "SELECT 0 AS k, '' AS split, '' AS answer, toInt64(0) AS w, toInt64(0) AS a, toInt64(0) AS r, toInt64(0) AS s, "
        f"toInt64(0) AS b, toInt64(0) AS d, {_state('toUInt64(0)', 'If', ', 0')} AS v, "
        "CAST([], 'Array(UInt64)') AS m WHERE 0 GROUP BY k"
    )


def _state(column: str, suffix: str = "", condition: str = "") -> str:
    return f"{VISITOR_STATE.replace('(', f'State{suffix}(')}({column}{condition})"


def _present(splits: Sequence[str]) -> str:
    sparse = ", ".join(f"'{name}'" for name in splits if name in SPARSE)
    return f"NOT (pair.1 IN ({sparse}) AND pair.2 = '')" if sparse else "1"
