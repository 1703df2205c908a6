"""The shape in which rows are sent is that of their table, in types that a client gives."""

from __future__ import annotations

import pytest

from connectors.clickhouse.insert_shape import structure_of
from marketplace.tables import TABLES, Table, insertable


def sent_as(kind: str) -> str:
    """What the declaration of a column says of it, read another way."""
    if kind.startswith("SimpleAggregateFunction("):
        return sent_as(kind.partition("(")[2].partition(", ")[2][:-1])
    return "String" if kind.startswith("Enum") else kind


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_row_gives_each_column_that_has_no_default_in_its_own_type(table: Table) -> None:
    types = {column.name: column.type for column in table.columns}

    assert structure_of(table) == [(name, sent_as(types[name])) for name in insertable(table)]


def test_there_are_tables_with_names_from_a_list_and_with_sums() -> None:
    types = [column.type for table in TABLES for column in table.columns]

    assert any(kind.startswith("Enum") for kind in types)
    assert any(kind.startswith("SimpleAggregateFunction(") for kind in types)
