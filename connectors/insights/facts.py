"""Single events and sessions, as SQL: an event with the visit that it belongs to, a session by its own values.

An event belongs to the session of its visitor that began last before it. Sessions are read as they stand: the signs of
what was retracted cancel out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from connectors.insights.keys import moment_of, time_range
from connectors.insights.scope import BOTS, Scope
from marketplace.enrichments.referral_channels import UNATTRIBUTED
from marketplace.rollups import DIMENSIONS, OF_REFERRAL, Dimension
from marketplace.tables import CLICKS, ENTRY_COLUMNS, EXIT_COLUMN, SESSIONS

ATTRIBUTION_WINDOW: Final = timedelta(days=30)
"""How long before a direct visit another one of the same visitor may lie to be named as what brought it."""

_BY_NAME: Final = {d.name: d for d in DIMENSIONS}
_OF_REFERRAL: Final = tuple(d.column for d in OF_REFERRAL if d.column is not None)
_IDENTITY: Final = ("source_partition", "visitor", "is_bot")


@dataclass(frozen=True)
class Relation:
    """Rows to select from.

    Attributes:
        relation: What stands behind FROM.
        conditions: Those of store, bots, filters and time.
        parameters: Of both.
        columns: The expression of each dimension's value.
    """

    relation: str
    conditions: str
    parameters: dict[str, object]
    columns: dict[str, str]


def events_relation(
    scope: Scope, dimensions: Iterable[str], database: str, since: datetime | None, until: datetime | None
) -> Relation:
    """Events of a scope; joined with their sessions where filters or dimensions ask for values of the visit.

    Args:
        scope: The store and filters; its time is given apart.
        dimensions: Whose values are asked for.
        database: Where the tables are.
        since: When the range of time begins; None for the beginning.
        until: The first moment after it; None for the end.
    """
    asked = {*dimensions, *(name for name, _ in scope.filters)}
    visited = any(_BY_NAME[name].scope != "event" for name in asked)
    columns = {d.name: _of_event(d) for d in DIMENSIONS}
    parameters: dict[str, object] = {"store": scope.store}
    of_events = f"store = {{store:String}} AND {BOTS[scope.bots]}{time_range('occurred_at', since, until)}"
    relation = f"{database}.{CLICKS.name}"
    conditions, filtered = _filters(scope, columns, "event")
    parameters |= filtered
    if visited:
        kept = _session_columns(asked)
        visits = _standing_sessions(scope, database, since, until, kept)
        names = ", ".join(f"{name} AS visit_{name}" for name in kept)
        same = " AND ".join(f"f.{name} = s.{name}" for name in _IDENTITY)
        relation = (
            f"(SELECT f.*, s.* EXCEPT ({', '.join(_IDENTITY)}) FROM "
            f"(SELECT * FROM {relation} WHERE {of_events}) AS f ASOF INNER JOIN "
            f"(SELECT {', '.join(_IDENTITY)}, started_at, ended_at AS visit_ended_at, {names} FROM {visits}) AS s "
            f"ON {same} AND f.occurred_at >= s.started_at)"
        )
        # Facts are written before sessions: one that has no session yet would find the visit before.
        of_events = "occurred_at <= visit_ended_at"
    return Relation(relation, of_events + conditions, parameters, columns)


def sessions_relation(scope: Scope, database: str) -> Relation | None:
    """Sessions that began in a scope, a row with the sign of each; None where the filters select no sessions."""
    if any(_BY_NAME[name].session_column is None for name, _ in scope.filters):
        return None
    columns = {d.name: _of_session(d) for d in DIMENSIONS}
    since, until = scope.quarters()
    conditions, filtered = _filters(scope, columns, "session")
    table = f"{database}.{SESSIONS.name}"
    if scope.attribution != "visit":
        table = _standing_sessions(scope, database, since, until, (*ENTRY_COLUMNS, EXIT_COLUMN))
    return Relation(
        table,
        f"store = {{store:String}} AND {BOTS[scope.bots]}{time_range('started_at', since, until)}{conditions}",
        {"store": scope.store, **filtered},
        columns,
    )


def sessions_among(scope: Scope, dimensions: Iterable[str], database: str, visitors: str) -> Relation:
    """Sessions of some visitors that overlap a scope, as they stand.

    Args:
        scope: The store, time and filters, which are by values of visits.
        dimensions: Whose values are asked for.
        database: Where the tables are.
        visitors: A query that gives their ids.
    """
    columns = {d.name: _of_session(d) for d in DIMENSIONS}
    conditions, filtered = _filters(scope, columns, "session")
    filtered_by = (_BY_NAME[name].session_column for name, _ in scope.filters)
    kept = tuple(dict.fromkeys((*_session_columns(dimensions), *(name for name in filtered_by if name is not None))))
    standing = _standing_sessions(scope, database, *scope.quarters(), kept, among=visitors)
    return Relation(standing, f"1{conditions}", {"store": scope.store, **filtered}, columns)


def _session_columns(dimensions: Iterable[str]) -> tuple[str, ...]:
    """Columns of sessions that the values of visits are in."""
    asked = (_BY_NAME[name] for name in dimensions)
    return tuple(sorted({d.session_column for d in asked if d.scope != "event" and d.session_column is not None}))


def _of_event(dimension: Dimension) -> str:
    if dimension.column is None:
        return "''"
    if dimension.scope == "event":
        return f"toString({dimension.column})"
    return f"toString(visit_{dimension.session_column})"


def _of_session(dimension: Dimension) -> str:
    return "''" if dimension.session_column is None else f"toString({dimension.session_column})"


def _filters(scope: Scope, columns: dict[str, str], kind: str) -> tuple[str, dict[str, object]]:
    conditions, parameters = "", dict[str, object]()
    for at, (name, value) in enumerate(scope.filters):
        conditions += f" AND {columns[name]} = {{{kind}{at}:String}}"
        parameters[f"{kind}{at}"] = value
    return conditions, parameters


def _standing_sessions(
    scope: Scope,
    database: str,
    since: datetime | None,
    until: datetime | None,
    columns: Sequence[str],
    among: str = "",
) -> str:
    """A relation of the sessions that overlap a range, as they stand; attributed as the scope says.

    Only the columns that are asked for are kept: sessions are many, and their signs cancel out whatever is left off.
    """
    attributed = scope.attribution != "visit" and not set(columns).isdisjoint(_OF_REFERRAL)
    named = (*columns, *_OF_REFERRAL) if attributed else columns
    own = ("store", *_IDENTITY, "started_at", "ended_at", "views", "actions")
    kept = ", ".join(dict.fromkeys((*own, *named)))
    first = since
    if attributed and since is not None:
        # The window is counted from where a visit began, and one that overlaps the range may have begun long before.
        first = since - 2 * ATTRIBUTION_WINDOW
    range_ = (f" AND ended_at >= {moment_of(first)}" if first is not None else "") + time_range(
        "started_at", None, until
    )
    range_ += f" AND visitor IN ({among})" if among else ""
    standing = (
        f"(SELECT *, toInt8(1) AS sign FROM (SELECT {kept} FROM {database}.{SESSIONS.name} "
        f"WHERE store = {{store:String}} AND {BOTS[scope.bots]}{range_} GROUP BY {kept} HAVING sum(sign) > 0))"
    )
    return _attributed(standing) if attributed else standing


def _attributed(standing: str) -> str:
    """Sessions with the referral of the visitor's last visit that somebody sent, where nobody sent this one."""
    unsent = ", ".join(f"'{channel}'" for channel in UNATTRIBUTED)
    late = f"toIntervalSecond({int(ATTRIBUTION_WINDOW.total_seconds())})"
    chosen = f"v.channel IN ({unsent}) AND l.sent_channel != '' AND v.started_at <= l.sent_at + {late}"
    replaced = ", ".join(f"if({chosen}, l.sent_{name}, v.{name}) AS {name}" for name in _OF_REFERRAL)
    sent = ", ".join(f"{name} AS sent_{name}" for name in _OF_REFERRAL)
    same = " AND ".join(f"v.{name} = l.{name}" for name in _IDENTITY)
    return (
        f"(SELECT v.* EXCEPT ({', '.join(_OF_REFERRAL)}), {replaced} FROM {standing} AS v ASOF LEFT JOIN "
        f"(SELECT {', '.join(_IDENTITY)}, started_at AS sent_at, {sent} FROM {standing} "
        f"WHERE channel NOT IN ({unsent})) AS l ON {same} AND v.started_at >= l.sent_at)"
    )
