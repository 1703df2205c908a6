"""Who reached a goal, as SQL over single events."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.insights.facts import events_relation
from connectors.insights.scope import Scope
from marketplace.clicks.outcomes import REFIRE
from marketplace.goals import Goal, column_of, expression_of, types_of
from marketplace.rollups import SPARSE
from marketplace.tables import VISITOR_STATE

_VISITORS = VISITOR_STATE.replace("(", "{}(") + "(visitor{})"


def conversion_rows(
    scope: Scope, goals: Sequence[Goal], split: str, database: str, limit: int
) -> tuple[str, dict[str, object]]:
    """A SELECT of (answer, visitors, and for each goal conversions and visitors who converted), and its parameters.

    The values are found first and by their visitors alone: two numbers for each of fifty goals and each of a million
    pages would not fit into memory.

    Args:
        scope: The store, time and filters.
        goals: At least one.
        split: A dimension.
        database: Where the tables are.
        limit: The most values; those with the most visitors are taken.
    """
    events = events_relation(scope, [split], database, *scope.quarters())
    parameters = dict(events.parameters)
    counts = []
    for at, goal in enumerate(goals):
        condition = _condition(goal, at, parameters)
        counts.append(f"countIf({condition}), {_VISITORS.format('If', f', {condition}')}")
    value, visitors = events.columns[split], _VISITORS.format("", "")
    present = f" AND {value} != ''" if split in SPARSE else ""
    rows = f"FROM {events.relation} WHERE {events.conditions}{present}"
    largest = f"ORDER BY {visitors} DESC, answer LIMIT {int(limit)}"
    taken = f" AND {value} IN (SELECT {value} AS answer {rows} GROUP BY answer {largest})" if split != "all" else ""
    return (
        f"SELECT {value} AS answer, {visitors} AS visitors, {', '.join(counts)} "
        f"{rows}{taken} GROUP BY answer ORDER BY visitors DESC, answer",
        parameters,
    )


def _condition(goal: Goal, at: int, parameters: dict[str, object]) -> str:
    parameters[f"goal{at}"] = expression_of(goal.pattern)
    types = ", ".join(f"'{each}'" for each in types_of(goal.kind))
    column = column_of(goal.kind)
    fits = f"{column} != '' AND match({column}, {{goal{at}:String}})"
    condition = f"outcome != '{REFIRE.name}' AND type IN ({types}) AND {fits}"
    for number, (name, value) in enumerate(goal.properties):
        parameters[f"goal{at}_name{number}"], parameters[f"goal{at}_value{number}"] = name, value
        condition += f" AND properties[{{goal{at}_name{number}:String}}] = {{goal{at}_value{number}:String}}"
        condition += f" AND mapContains(properties, {{goal{at}_name{number}:String}})"
    return condition
