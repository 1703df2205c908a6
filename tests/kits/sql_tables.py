"""Tables of a flow in SQLite: what a condition or a fence means can be asked without a ClickHouse."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, cast

import pyarrow as pa

from connectors.clickhouse.client import ClickHouse
from marketplace.tables import TABLES

DATABASE = "market"


class SqlTables:
    """Answers the queries of fences and generations, and inserts where a condition holds and a token is new."""

    database = DATABASE

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.schemas: dict[str, pa.Schema] = {}
        self._sql = sqlite3.connect(":memory:")
        self._sql.execute(f"ATTACH ':memory:' AS {DATABASE}")
        self._sql.execute("ATTACH ':memory:' AS system")
        self._sql.create_function("if", 3, lambda condition, yes, no: yes if condition else no)
        self._sql.create_function("toInt64", 1, lambda number: number)
        self._sql.execute("CREATE TABLE system.processes (query)")
        for table in TABLES:
            columns = ", ".join(column.name for column in table.columns if not column.name.startswith("INDEX "))
            self._sql.execute(f"CREATE TABLE {DATABASE}.{table.name} ({columns})")

    @property
    def client(self) -> ClickHouse:
        """This, as the code under test wants it."""
        return cast("ClickHouse", self)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The answer; the largest of nothing is 0, as in ClickHouse."""
        return [tuple(0 if value is None else value for value in row) for row in self._sql.execute(query)]

    def insert(self, table: str, **values: Any) -> None:
        """One row."""
        self._sql.execute(
            f"INSERT INTO {DATABASE}.{table} ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})",
            list(values.values()),
        )

    def begin_insert(self, statement: str) -> None:
        """The server works on it until :meth:`end_inserts`."""
        self._sql.execute("INSERT INTO system.processes VALUES (?)", [statement])

    def end_inserts(self) -> None:
        """The server works on nothing."""
        self._sql.execute("DELETE FROM system.processes")

    def insert_where(
        self, table: str, structure: Sequence[tuple[str, str]], data: pa.Table, condition: str, token: str
    ) -> None:
        """As ``ClickHouse.insert_where``."""
        if token in self.tokens or not self._sql.execute(f"SELECT {condition}").fetchone()[0]:
            return
        self.tokens.append(token)
        self.schemas[table] = data.schema
        for row in data.select([name for name, _ in structure]).to_pylist():
            self.insert(table, **row)
