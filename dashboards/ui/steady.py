"""Rows that stay where they are while somebody looks at them, though their numbers change."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from connectors.insights import Row


@dataclass(frozen=True)
class Steady:
    """The order in which a table is drawn.

    Attributes:
        question: What the rows answer.
        version: Another one for every other order; positions mean something under one version only.
        values: The rows' values from the top.
    """

    question: Hashable
    version: int
    values: tuple[str, ...]

    def cleared(self) -> Steady:
        """The same rows, as a table that nothing is chosen in."""
        return Steady(None, self.version, self.values)


def keep(held: Steady | None, question: Hashable, rows: Sequence[Row]) -> tuple[Steady, list[Row]]:
    """Rows in the order in which they are looked at; what is new comes at the end.

    A click names a position. Were rows put in a new order at every refresh, the click could hit another one, on the way
    to the server at the latest.

    Args:
        held: The order up to now.
        question: Equal for the same question asked again.
        rows: The answer, in its own order.
    """
    by_value = {row.value: row for row in rows}
    if held is None or held.question != question or not by_value.keys() >= set(held.values):
        return Steady(question, 1 if held is None else held.version + 1, tuple(by_value)), list(rows)
    known = set(held.values)
    values = (*held.values, *(value for value in by_value if value not in known))
    return Steady(question, held.version, values), [by_value[value] for value in values]
