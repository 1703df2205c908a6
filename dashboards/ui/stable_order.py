"""Keeps the rows of a table in place while their numbers change."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from connectors.insights import Row


@dataclass(frozen=True)
class StableOrder:
    """The order in which a table is drawn.

    Attributes:
        question: Identifies the query whose result the rows are.
        version: Changes with every new order; a row's position is valid under one version only.
        values: The rows' values from the top.
    """

    question: Hashable
    version: int
    values: tuple[str, ...]

    def cleared(self) -> StableOrder:
        """The same order, to be replaced at the next call: the table is drawn again without a selection."""
        return StableOrder(None, self.version, self.values)


def keep_order(previous: StableOrder | None, question: Hashable, rows: Sequence[Row]) -> tuple[StableOrder, list[Row]]:
    """The rows in the order that is already on the screen, with new ones at the end.

    A click names a position. If rows changed places at every refresh, a click could select another row than the viewer
    saw.

    Args:
        previous: The order on the screen; None at first.
        question: Equal for the same query.
        rows: The query's result, in its own order.
    """
    by_value = {row.value: row for row in rows}
    if previous is None or previous.question != question or not by_value.keys() >= set(previous.values):
        return StableOrder(question, 1 if previous is None else previous.version + 1, tuple(by_value)), list(rows)
    known = set(previous.values)
    values = (*previous.values, *(value for value in by_value if value not in known))
    return StableOrder(question, previous.version, values), [by_value[value] for value in values]
