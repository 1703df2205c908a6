"""One connection to the engine: its settings, and how a statement runs on it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from chdb import _chdb

from ops.stack.clickhouse_http.errors import NOT_IMPLEMENTED, QueryError, from_engine
from ops.stack.clickhouse_http.request import QueryRequest
from ops.stack.clickhouse_http.sql import InputCall, Statement

#: The engine is a binary module without type information.
_ENGINE: Final[Any] = _chdb
_INPUT_TABLE: Final = "_input_of_this_request"


@dataclass(frozen=True, slots=True)
class Answer:
    """A query's result and what reading and writing it took.

    `format` is that of the bytes, and empty for a statement that gives no rows.
    """

    body: bytes
    format: str
    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    elapsed_ns: int = 0


class Connection:
    """A connection; one query at a time.

    Args:
        url: the engine's folder and start options; the same for every connection of the process.
        profile: values that a setting falls back to when a request no longer names it.
    """

    def __init__(self, url: str, profile: Mapping[str, str]) -> None:
        # Its own handlers would turn a crash into a process that sleeps for ever; dead, it is started again.
        _ENGINE.set_signal_handlers_enabled(False)
        try:
            self._raw: Any = _ENGINE.connect(url)
        except RuntimeError as error:
            raise from_engine(str(error)) from None
        self._profile = profile
        self._database = ""
        self._settings: dict[str, str] = {}

    @property
    def read_only(self) -> bool:
        """Whether it is in read-only mode, which no connection can leave."""
        return "readonly" in self._settings

    def close(self) -> None:
        """Give the connection and its temporary tables back."""
        self._raw.close()

    def fits(self, database: str, settings: Mapping[str, str]) -> bool:
        """Whether a request with these settings finds everything set already."""
        return self._database == database and self._settings == settings

    def prepare(self, database: str, settings: Mapping[str, str]) -> None:
        """Set exactly these settings; what an earlier request had set goes back to its default."""
        gone = self._settings.keys() - settings.keys()
        changes = [f"{_name(name)} = {self._fallback(name)}" for name in sorted(gone)]
        changes += [
            f"{_name(name)} = {_literal(value)}"
            for name, value in settings.items()
            if self._settings.get(name) != value
        ]
        if database != self._database:
            self.query(f"USE {_name(database)}")
            self._database = database
        self._settings = {}
        if changes:
            self.query("SET " + ", ".join(changes))
        self._settings = dict(settings)

    def run(self, request: QueryRequest, statement: Statement) -> Answer:
        """Run a request's statement, on a connection prepared for it."""
        created: list[str] = []
        try:
            if statement.input_call is not None:
                return self._insert_from_input(request, statement, statement.input_call, created)
            if statement.data_format is not None:
                return self._insert_data(request, statement)
            answer = self.query(statement.head, request.default_format, request.parameters)
            reports_format = statement.gives_rows or answer.body
            return replace(answer, format=(statement.output_format or answer.format) if reports_format else "")
        finally:
            for name in created:
                self.query(f"DROP TEMPORARY TABLE IF EXISTS {_name(name)}")

    def query(
        self, text: str, output_format: str = "TabSeparated", parameters: Mapping[str, str] | None = None
    ) -> Answer:
        """Run one statement that carries no data.

        Raises:
            QueryError: the engine refused it or failed in it.
        """
        try:
            result = self._raw.query(text, output_format, params=dict(parameters or {}))
        except RuntimeError as error:
            raise from_engine(str(error)) from None
        return Answer(
            body=result.bytes(),
            format=output_format,
            read_rows=result.rows_read(),
            read_bytes=result.bytes_read(),
            written_rows=result.rows_written(),
            written_bytes=result.bytes_written(),
            elapsed_ns=int(result.elapsed() * 1e9),
        )

    def _insert_data(self, request: QueryRequest, statement: Statement) -> Answer:
        self._set_parameters(request.parameters.items())
        assert statement.data_format is not None
        return self._send(statement.head, statement.data_format, statement.data)

    def _insert_from_input(
        self, request: QueryRequest, statement: Statement, call: InputCall, created: list[str]
    ) -> Answer:
        """Run `INSERT INTO t SELECT ... FROM input('structure') ... FORMAT f` by way of a table in memory.

        The rows are parsed whole before the insert starts, so that damaged data inserts nothing.
        """
        if statement.data_format is None:
            raise QueryError(NOT_IMPLEMENTED, "input() needs FORMAT and data after the query", "NOT_IMPLEMENTED")
        self._fill_input_table(call.structure, statement.data_format, statement.data)
        created.append(_INPUT_TABLE)
        head = statement.head.encode()
        rewritten = head[: call.start] + _INPUT_TABLE.encode() + head[call.end :]
        answer = self.query(rewritten.decode(), parameters=request.parameters)
        return replace(answer, format="")

    def _fill_input_table(self, structure: str, data_format: str, data: bytes) -> None:
        name = _name(_INPUT_TABLE)
        self.query(f"CREATE TEMPORARY TABLE {name} ({structure}) ENGINE = Memory")
        try:
            self._send(f"INSERT INTO {name}", data_format, data)
        except QueryError:
            self.query(f"DROP TEMPORARY TABLE IF EXISTS {name}")
            raise

    def _send(self, head: str, data_format: str, data: bytes) -> Answer:
        try:
            insert = self._raw.send_insert(head, data_format)
            try:
                if data:
                    self._raw.insert_append(insert, data)
                result = self._raw.insert_done(insert)
            except RuntimeError:
                self._raw.insert_cancel(insert)
                raise
        except RuntimeError as error:
            raise from_engine(str(error)) from None
        return Answer(
            body=b"",
            format="",
            read_rows=result.rows_written(),
            read_bytes=len(data),
            written_rows=result.rows_written(),
            written_bytes=result.bytes_written(),
            elapsed_ns=int(result.elapsed() * 1e9),
        )

    def _set_parameters(self, parameters: Iterable[tuple[str, str]]) -> None:
        for name, value in parameters:
            self.query(f"SET param_{name} = {_literal(value)}")

    def _fallback(self, name: str) -> str:
        value = self._profile.get(name)
        return "DEFAULT" if value is None else _literal(value)


def _name(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _literal(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
