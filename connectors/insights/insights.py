"""The queries, over the sources that ``sources`` chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from connectors.clickhouse.client import ClickHouse
from connectors.errors import Refused
from connectors.insights.conversions import conversion_rows
from connectors.insights.departures import has_whole_hours, who_left
from connectors.insights.facts import Relation, events_relation, sessions_relation
from connectors.insights.keys import WEEKHOUR, time_range
from connectors.insights.numbers import (
    Breakdown,
    Conversion,
    LiveEvent,
    LiveMinute,
    Numbers,
    Outcomes,
    Row,
    SessionDistribution,
    Target,
    TrendWithTotals,
)
from connectors.insights.scope import InvalidQuery, QueryTooLarge, Scope, check_grain, check_split
from connectors.insights.sources import MAX_ROWS, needs_facts, source
from marketplace.clicks.outcomes import REFIRE
from marketplace.goals import Goal
from marketplace.tables import LEDGER, ROLLUPS, VISITOR_STATE

SESSION_SECONDS_BOUNDS: Final = (0, 10, 30, 60, 180, 600, 1_800)
"""Upper bounds (seconds) of the classes of session lengths; one more class is for longer ones."""

SESSION_VIEWS_BOUNDS: Final = (1, 2, 3, 5, 10, 20)
"""Upper bounds of the classes of page views per session; one more class is for larger counts."""

ORDERS: Final = ("views", "actions", "visitors", "sessions")

_SUMS: Final = (
    "sum(w) AS views, sum(a) AS actions, sum(r) AS refires, "
    f"{VISITOR_STATE.replace('(', 'Merge(')}(v) AS visitors, sum(s) AS sessions, sum(b) AS bounces, sum(d) AS lengths, "
    "sum(length(m)) AS moved"
)
_ANY: Final = "HAVING views != 0 OR actions != 0 OR refires != 0 OR sessions != 0"
_TOO_MANY_ROWS: Final = "TOO_MANY_ROWS"


@dataclass(frozen=True)
class _Answer:
    """A row of the outer query; ``whole`` is the one of all together."""

    key: Any
    split: str
    answer: str
    numbers: Numbers
    whole: bool

    @classmethod
    def of(cls, row: Sequence[Any]) -> _Answer:
        """From a row of it."""
        return cls(row[0], str(row[1]), str(row[2]), Numbers.of(row[3:10]), bool(row[11]))

    def less(self, gone: int) -> _Answer:
        """The same without some of its visitors."""
        return replace(self, numbers=self.numbers.less(gone))


class Insights:
    """Queries of one store's numbers.

    Every method raises ``InvalidQuery`` for arguments that are not valid, ``QueryTooLarge`` for a query that would read
    too many single clicks, and ``Unavailable`` while ClickHouse is unavailable.

    Args:
        clickhouse: Where the tables are.
        max_rows: Rows of facts that one query may read.
    """

    def __init__(self, clickhouse: ClickHouse, max_rows: int = MAX_ROWS) -> None:
        self._clickhouse, self._max_rows = clickhouse, max_rows

    def totals(self, scope: Scope) -> Numbers:
        """Numbers of the whole range."""
        rows = self._ask(scope, "", ["all"])
        return rows[0].numbers if rows else Numbers()

    def trend(self, scope: Scope, grain: str) -> list[Row]:
        """Numbers by bucket, oldest first; buckets without events are left out."""
        return self.report(scope, grain, "all")

    def trend_with_totals(self, scope: Scope, grain: str) -> TrendWithTotals:
        """Totals and trend by one query, for about the cost of either."""
        check_grain(grain)
        rows = self._ask(scope, grain, ["all"], "ORDER BY whole, k", totals=True)
        totals = [row.numbers for row in rows if row.whole]
        parts = tuple(Row(_bucket(row.key), "", row.numbers) for row in rows if not row.whole)
        return TrendWithTotals(totals[0] if totals else Numbers(), parts)

    def report(self, scope: Scope, grain: str, split: str, limit: int | None = None) -> list[Row]:
        """Numbers by bucket and value, oldest bucket first and largest value first in it.

        Args:
            scope: The store, time and filters.
            grain: ``hour``, ``day`` or ``month``.
            split: A registered dimension.
            limit: The most rows; more are ``QueryTooLarge``, and never cut off.
        """
        check_grain(grain)
        end = "ORDER BY k, views + actions DESC, sessions DESC, answer"
        end += "" if limit is None else f" LIMIT {int(limit) + 1}"
        rows = self._ask(scope, grain, [split], end)
        if limit is not None and len(rows) > limit:
            raise QueryTooLarge(
                f"the answer has more than {limit:,} rows: choose a shorter range or a coarser grain, "
                "or ask for the largest values alone"
            )
        return [Row(_bucket(row.key), row.answer, row.numbers) for row in rows]

    def reports(self, scope: Scope, grain: str, splits: Sequence[str]) -> dict[str, list[Row]]:
        """The reports of several dimensions, by at most two queries: for little more than the cost of two reports.

        Args:
            scope: The store, time and filters.
            grain: ``hour``, ``day`` or ``month``.
            splits: Registered dimensions.
        """
        check_grain(grain)
        found: dict[str, list[Row]] = {split: [] for split in splits}
        for group in _alike(scope, splits):
            for row in self._ask(scope, grain, group, "ORDER BY k, views + actions DESC, sessions DESC, answer"):
                found[row.split].append(Row(_bucket(row.key), row.answer, row.numbers))
        return found

    def breakdowns(
        self, scope: Scope, splits: Sequence[str], limit: int = 10, order: str | Mapping[str, str] = "visitors"
    ) -> dict[str, Breakdown]:
        """The largest values of several dimensions over the whole range, in one query.

        Args:
            scope: The store, time and filters.
            splits: Dimensions but ``all``.
            limit: The most rows for each.
            order: ``views``, ``actions``, ``visitors`` or ``sessions``; or one of them for each dimension.
        """
        orders = {split: order if isinstance(order, str) else order.get(split, "") for split in splits}
        for asked in (order, *orders.values()) if isinstance(order, str) else orders.values():
            if asked not in ORDERS:
                raise InvalidQuery(f"no order {asked!r}; there are {', '.join(ORDERS)}")
        found: dict[str, list[Row]] = {split: [] for split in splits}
        # Rollups cover a split by the dimension that is filtered by; other splits need the clicks.
        for group in _alike(scope, splits):
            most = f"{_largest(group, orders)}, views + actions DESC, sessions DESC, answer"
            for row in self._ask(scope, "", group, f"ORDER BY {most} LIMIT {int(limit) + 1} BY split", cut=True):
                found[row.split].append(Row(None, row.answer, row.numbers))
        return {
            split: Breakdown(split, tuple(found[split][:limit]), more=len(found[split]) > limit) for split in splits
        }

    def numbers_of(self, scope: Scope, values: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Numbers]]:
        """Numbers of some values of several dimensions over the whole range, such as those of rows that are compared.

        Args:
            scope: The store, time and filters.
            values: By dimension but ``all``; a value without numbers is left out of the answer.
        """
        found: dict[str, dict[str, Numbers]] = {split: {} for split in values}
        for group in _alike(scope, [split for split in values if values[split]]):
            for row in self._ask(scope, "", group, only={split: values[split] for split in group}):
                found[row.split][row.answer] = row.numbers
        return found

    def heatmap(self, scope: Scope) -> list[Row]:
        """Numbers by day of the week and hour of the store's clock."""
        rows = self._ask(scope, WEEKHOUR, ["all"], "ORDER BY k")
        return [Row((int(row.key[0]), int(row.key[1])), "", row.numbers) for row in rows]

    def session_distribution(self, scope: Scope) -> SessionDistribution:
        """How many sessions there are of each length and number of page views."""
        scope.check()
        visits = sessions_relation(scope, self._clickhouse.database)
        if visits is None:
            return SessionDistribution((0,) * (len(SESSION_SECONDS_BOUNDS) + 1), (0,) * (len(SESSION_VIEWS_BOUNDS) + 1))
        seconds = "(toUnixTimestamp64Milli(ended_at) - toUnixTimestamp64Milli(started_at)) / 1000"
        counts = ", ".join(
            [*_classes(seconds, SESSION_SECONDS_BOUNDS, "sign"), *_classes("views", SESSION_VIEWS_BOUNDS, "sign")],
        )
        query = (
            f"SELECT {counts} FROM {visits.relation} WHERE {visits.conditions} "
            f"SETTINGS max_rows_to_read = {self._max_rows}"
        )
        row = [int(count) for count in self._rows(query, visits.parameters)[0]]
        cut = len(SESSION_SECONDS_BOUNDS) + 1
        return SessionDistribution(tuple(row[:cut]), tuple(row[cut:]))

    def live_minutes(self, scope: Scope, now: datetime, minutes: int = 30) -> list[LiveMinute]:
        """Each of the last minutes, oldest first, also those without events."""
        first = now.astimezone(UTC).replace(second=0, microsecond=0) - timedelta(minutes=minutes - 1)
        events = self._events(scope, first)
        query = (
            f"SELECT toStartOfMinute(occurred_at) AS minute, {_count('=')}, {_count('!=')}, uniqExact(visitor) "
            f"FROM {events.relation} WHERE {events.conditions} GROUP BY minute"
        )
        found = {row[0].replace(tzinfo=UTC): map(int, row[1:]) for row in self._rows(query, events.parameters)}
        wanted = [first + timedelta(minutes=step) for step in range(minutes)]
        return [LiveMinute(minute, *found.get(minute, (0, 0, 0))) for minute in wanted]

    def events_since(self, scope: Scope, since: datetime) -> int:
        """Page views and actions after a moment of the recent past, exact to the millisecond."""
        events = self._events(scope, since - timedelta(seconds=1))
        query = (
            f"SELECT count() FROM {events.relation} WHERE {events.conditions} AND outcome != '{REFIRE.name}' "
            f"AND toUnixTimestamp64Milli(occurred_at) > {int(since.timestamp() * 1000)}"
        )
        return int(self._rows(query, events.parameters)[0][0])

    def latest(self, scope: Scope, now: datetime, limit: int = 20, minutes: int = 30) -> list[LiveEvent]:
        """The newest events of the last minutes, newest first, without anything that identifies the visitor."""
        scope.check()
        since = now - timedelta(minutes=minutes)
        events = events_relation(scope, ("source",), self._clickhouse.database, since, None)
        query = (
            "SELECT occurred_at, type, page, product, target, name, country, city, device, "
            f"{events.columns['source']} FROM {events.relation} "
            f"WHERE {events.conditions} AND outcome != '{REFIRE.name}' "
            f"ORDER BY occurred_at DESC, source_partition, source_offset DESC LIMIT {int(limit)}"
        )
        rows = self._rows(query, events.parameters)
        return [LiveEvent(row[0].replace(tzinfo=UTC), *(str(value) for value in row[1:])) for row in rows]

    def targets(self, scope: Scope, limit: int = 100) -> list[Target]:
        """What was clicked, the most often first: links without a target of their own are left out.

        It reads single events.
        """
        return [Target(str(row[0]), "", int(row[1]), int(row[2])) for row in self._clicked(scope, "''", limit)]

    def targets_of_products(self, scope: Scope, target: str, limit: int = 10_000) -> dict[str, Target]:
        """The same for one target, by product, such as how often each was put into a cart."""
        found = self._clicked(scope, "product", limit, target)
        return {str(row[3]): Target(target, str(row[3]), int(row[1]), int(row[2])) for row in found if row[3]}

    def _clicked(self, scope: Scope, product: str, limit: int, target: str | None = None) -> list[tuple[Any, ...]]:
        events = self._events(scope, *scope.quarters())
        chosen = "target != ''" if target is None else "target = {target:String}"
        return self._rows(
            f"SELECT target, countIf(outcome != '{REFIRE.name}') AS n, uniqExact(visitor), {product} AS of "
            f"FROM {events.relation} WHERE {events.conditions} AND type = 'click' AND {chosen} "
            f"GROUP BY target, of HAVING n > 0 ORDER BY n DESC, target, of LIMIT {int(limit)} "
            f"SETTINGS max_rows_to_read = {self._max_rows}",
            {**events.parameters, **({} if target is None else {"target": target})},
        )

    def conversions(
        self, scope: Scope, goals: Sequence[Goal], split: str = "all", limit: int = 100
    ) -> dict[str, list[Conversion]]:
        """How often goals were reached, by value, the values with the most visitors first.

        It reads single events, so a goal has a history as long as they do. Values without visitors are left out, and
        for a dimension of which sessions alone have a value (``exit_page``) there are none.

        Args:
            scope: The store, time and filters.
            goals: The goals; without any there is nothing to read.
            split: A registered dimension.
            limit: The most values.
        """
        scope.check()
        check_split(split)
        if split == "exit_page" or not goals:
            return {goal.name: [] for goal in goals}
        query, parameters = conversion_rows(scope, goals, split, self._clickhouse.database, limit)
        # The engine counts what the query for the largest values reads as well: the same rows.
        bound = self._max_rows if split == "all" else 2 * self._max_rows
        found: dict[str, list[Conversion]] = {goal.name: [] for goal in goals}
        for value, visitors, *counts in self._rows(f"{query} SETTINGS max_rows_to_read = {bound}", parameters):
            for at, goal in enumerate(goals):
                conversions, converted = int(counts[2 * at]), int(counts[2 * at + 1])
                # An estimate of visitors does not exceed what they did, nor all visitors.
                least = min(converted, conversions, int(visitors))
                found[goal.name].append(Conversion(goal.name, str(value), conversions, least, int(visitors)))
        return found

    def outcomes(self, scope: Scope) -> Outcomes:
        """Events received, and their outcomes; filters do not apply.

        The ledger has whole hours (UTC) of receipt. Hours that the range covers partly are included: if the store's
        midnight is at a quarter past, the whole hour counts.
        """
        scope.check()
        since, until = (moment and moment.replace(minute=0, second=0, microsecond=0) for moment in scope.bounds())
        counts: dict[str, dict[str, int]] = {"received": {}, "outcome": {}, "note": {}}
        rows = self._rows(
            f"SELECT kind, name, sum(events) FROM {self._clickhouse.database}.{LEDGER.name} "
            f"WHERE store = {{store:String}}{time_range('hour', since, until)} GROUP BY kind, name",
            {"store": scope.store},
        )
        for kind, name, events in rows:
            counts[str(kind)][str(name)] = int(events)
        return Outcomes(sum(counts["received"].values()), counts["outcome"], counts["note"])

    def first_day(self, scope: Scope) -> datetime | None:
        """The first of the store's own dates that has numbers, whatever the range; None if there are none."""
        scope.check()
        rows = self._rows(
            f"SELECT min(bucket), count() FROM {self._clickhouse.database}.{ROLLUPS.name} "
            "WHERE store = {store:String} AND grain = 'day' AND dimension = 'all'",
            {"store": scope.store},
        )
        return rows[0][0].replace(tzinfo=UTC) if int(rows[0][1]) else None

    def _ask(
        self,
        scope: Scope,
        bucket: str,
        splits: Sequence[str],
        end: str = "",
        *,
        totals: bool = False,
        cut: bool = False,
        only: Mapping[str, Sequence[str]] | None = None,
    ) -> list[_Answer]:
        """The numbers by bucket, split and value.

        Args:
            scope: The store, time and filters.
            bucket: As in :func:`source`.
            splits: Dimensions.
            end: The end of the query.
            totals: Whether the numbers of all together are wanted too, in a row of their own.
            cut: Whether ``end`` chooses rows by their numbers.
            only: Which values of each dimension; all of them unless it is given.
        """
        scope.check()
        for split in splits:
            check_split(split)
        inner, parameters = source(scope, bucket, splits, self._clickhouse.database)
        some, named_values = _only(only)
        parameters |= named_values
        limit = f" SETTINGS max_rows_to_read = {self._max_rows}"
        bound = limit if needs_facts(scope, splits) else ""
        sets = "GROUPING SETS ((k, split, answer), ())" if totals else "k, split, answer"
        whole = "grouping(k)" if totals else "0"
        grouped = f"SELECT k, split, answer, {_SUMS}, {whole} AS whole FROM ({inner}){some} GROUP BY {sets} {_ANY}"
        rows = self._rows(f"{grouped} {end}{bound}", parameters)
        if not any(row[10] for row in rows):
            return [_Answer.of(row) for row in rows]
        if not cut:
            return self._without_who_left(scope, bucket, splits, [_Answer.of(row) for row in rows], only)
        # Who is among the largest shows once those who left are not counted.
        gone, named = who_left(scope, bucket, splits, self._clickhouse.database)
        rows = self._rows(
            "SELECT k, split, answer, views, actions, refires, "
            "toInt64(seen) - toInt64(gone) AS visitors, sessions, bounces, lengths, "
            f"moved, whole, gone FROM (SELECT * EXCEPT (visitors), visitors AS seen FROM ({grouped})) AS g "
            f"LEFT JOIN ({gone}) AS l USING (k, split, answer) {end}"
            + ("" if has_whole_hours(scope, bucket) else limit),
            {**parameters, **named},
        )
        return [_Answer.of((*row[:6], int(row[6]) + int(row[12]), *row[7:])).less(int(row[12])) for row in rows]

    def _without_who_left(
        self,
        scope: Scope,
        bucket: str,
        splits: Sequence[str],
        answers: list[_Answer],
        only: Mapping[str, Sequence[str]] | None,
    ) -> list[_Answer]:
        """The same, with visitors who belong to it still alone."""
        left = self._who_left(scope, bucket, splits, only)
        of_all = self._who_left(scope, "", splits) if any(answer.whole for answer in answers) else {}
        less = [
            sum(of_all.values()) if answer.whole else left.get((answer.key, answer.split, answer.answer), 0)
            for answer in answers
        ]
        return [answer.less(gone) for answer, gone in zip(answers, less, strict=True)]

    def _who_left(
        self, scope: Scope, bucket: str, splits: Sequence[str], only: Mapping[str, Sequence[str]] | None = None
    ) -> dict[tuple[Any, str, str], int]:
        some, named_values = _only(only)
        query, parameters = who_left(scope, bucket, splits, self._clickhouse.database, some)
        parameters |= named_values
        bound = "" if has_whole_hours(scope, bucket) else f" SETTINGS max_rows_to_read = {self._max_rows}"
        rows = self._rows(query + bound, parameters)
        return {(row[0], str(row[1]), str(row[2])): int(row[3]) for row in rows}

    def _events(self, scope: Scope, since: datetime | None, until: datetime | None = None) -> Relation:
        scope.check()
        return events_relation(scope, (), self._clickhouse.database, since, until)

    def _rows(self, query: str, parameters: dict[str, object]) -> list[tuple[Any, ...]]:
        try:
            return self._clickhouse.rows(query, parameters)
        except Refused as error:
            if _TOO_MANY_ROWS not in str(error):
                raise
            raise QueryTooLarge(
                f"this query reads single clicks, and more than {self._max_rows:,} of them: "
                "choose a shorter range or fewer filters"
            ) from error


def _bucket(key: Any) -> Any:
    return key.replace(tzinfo=UTC) if isinstance(key, datetime) else key


def _alike(scope: Scope, splits: Sequence[str]) -> list[list[str]]:
    stored = [split for split in splits if not needs_facts(scope, [split])]
    facts = [split for split in splits if needs_facts(scope, [split])]
    return [group for group in (stored, facts) if group]


def _only(values: Mapping[str, Sequence[str]] | None) -> tuple[str, dict[str, object]]:
    """A WHERE for rows of (split, answer), and its parameters; empty where all values are wanted."""
    if values is None:
        return "", {}
    named = {f"values_of_{split}": list(wanted) for split, wanted in values.items()}
    each = " OR ".join(f"(split = '{split}' AND answer IN {{values_of_{split}:Array(String)}})" for split in values)
    return f" WHERE ({each})", dict(named)


def _largest(splits: Sequence[str], orders: Mapping[str, str]) -> str:
    """The ORDER BY expression, largest first, where dimensions may have different orders."""
    if len({orders[split] for split in splits}) == 1:
        return f"{orders[splits[0]]} DESC"
    choices = ", ".join(f"split = '{split}', toInt64({orders[split]})" for split in splits)
    return f"multiIf({choices}, 0) DESC"


def _count(sign: str) -> str:
    return f"countIf(outcome != '{REFIRE.name}' AND type {sign} 'view')"


def _classes(expression: str, bounds: Sequence[int], weight: str) -> list[str]:
    """One sum per class: up to each bound, and beyond the last."""
    counts, floor = [], ""
    for bound in bounds:
        counts.append(f"sum({weight} * ({expression} <= {bound}{floor}))")
        floor = f" AND {expression} > {bound}"
    return [*counts, f"sum({weight} * ({expression} > {bounds[-1]}))"]
