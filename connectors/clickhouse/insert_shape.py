"""The shape in which rows are sent: a table's columns with the types that a client gives."""

from __future__ import annotations

import re
from typing import Final

from marketplace.tables import Table, insertable

_AGGREGATE: Final = re.compile(r"SimpleAggregateFunction\(\w+, (.+)\)")


def structure_of(table: Table) -> list[tuple[str, str]]:
    """Names and plain types of the columns that an insert gives; enums travel as their names."""
    given = set(insertable(table))
    shape = []
    for column in table.columns:
        if column.name in given:
            plain = _AGGREGATE.sub(r"\1", column.type)
            shape.append((column.name, "String" if plain.startswith("Enum") else plain))
    return shape
