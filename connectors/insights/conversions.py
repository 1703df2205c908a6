"""Who reached a goal, as SQL over single events."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.insights.facts import events_relation
from connectors.insights.scope import Scope
from marketplace.clicks.outcomes import REFIRE
from marketplace.goals import Goal, expression_of
from marketplace.rollups import SPARSE
from marketplace.tables import VISITOR_STATE

_COLUMN = {"page": "page", "target": "target", "product": "product", "event": "name"}
_TYPES = {"page": "'view'", "target": "'click'", "product": "'click', 'event'", "event": "'event'"}
_VISITORS = VISITOR_STATE.replace("(", "{}(") + "(visitor{})"


def conversion_rows(scope: Scope, goals: Sequence[Goal], split: str, database: str) -> tuple[str, dict[str, object]]:
    """A SELECT of (answer, visitors, and for each goal conversions and visitors who converted), and its parameters.

    Args:
        scope: The store, time and filters.
        goals: At least one.
        split: A dimension.
        database: Where the tables are.
    """
    events = events_relation(scope, [split], database, *scope.quarters())
    parameters = dict(events.parameters)
    counts = []
    for at, goal in enumerate(goals):
        condition = _condition(goal, at, parameters)
        counts.append(f"countIf({condition}), {_VISITORS.format('If', f', {condition}')}")
    value = events.columns[split]
    present = f" AND {value} != ''" if split in SPARSE else ""
    return (
        f"SELECT {value} AS answer, {_VISITORS.format('', '')} AS visitors, {', '.join(counts)} "
        f"FROM {events.relation} WHERE {events.conditions}{present} GROUP BY answer",
        parameters,
    )


def _condition(goal: Goal, at: int, parameters: dict[str, object]) -> str:
    parameters[f"goal{at}"] = expression_of(goal.pattern)
    column = _COLUMN[goal.kind]
    condition = f"outcome != '{REFIRE.name}' AND type IN ({_TYPES[goal.kind]}) AND match({column}, {{goal{at}:String}})"
    for number, (name, value) in enumerate(goal.properties):
        parameters[f"goal{at}_name{number}"], parameters[f"goal{at}_value{number}"] = name, value
        condition += f" AND properties[{{goal{at}_name{number}:String}}] = {{goal{at}_value{number}:String}}"
        condition += f" AND mapContains(properties, {{goal{at}_name{number}:String}})"
    return condition
