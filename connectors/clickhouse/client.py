"""ClickHouse over HTTP, by ``clickhouse-connect``, with errors that say what happens next."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError
from urllib3.exceptions import HTTPError

from connectors.errors import Refused, Unavailable

# The driver logs each failed request with all that it sent; the errors here say what is needed.
logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)

STATEMENT_DOES_NOT_HOLD: Final = frozenset(
    {6, 8, 9, 10, 15, 16, 20, 27, 35, 36, 41, 42, 43, 44, 46, 47, 50, 51, 53, 60, 62, 63, 70, 72, 73, 80, 81, 115, 117}
    | {130, 131, 158, 179, 181, 184, 192, 193, 194, 215, 321, 349, 395, 407, 457, 497, 516}
)
"""Codes of permanent errors: an invalid name, type or value, a missing right, a wrong password. All other errors of a
server may be temporary: time-outs, memory, disks, parts, Keeper, files."""

_BROKEN: Final = (pa.ArrowException, HTTPException, HTTPError, EOFError)
"""Errors of the reader for a response that is truncated, or ends with the text of an error."""

Parameters = Mapping[str, Any]


def _is_about_the_call(error: Exception) -> bool:
    """Whether the driver itself rejected its arguments, or the server gave no code with its error."""
    return isinstance(error, DatabaseError) and not isinstance(error, OperationalError)


def _code(error: BaseException) -> int | None:
    code = getattr(error, "code", None)
    if isinstance(code, int):
        return code
    _, found, rest = str(error).partition("Code: ")
    digits = rest.partition(".")[0].strip()
    return int(digits) if found and digits.isdigit() else None


_QUERY_BYTES: Final = 1 << 18
"""The server's own bound on a query's text; one that names many keys is longer."""


class ClickHouse:
    """A client for one database. Connects on first use and again after a failure; safe to share between threads.

    Args:
        url: ``http://[user:password@]host:port``.
        database: The database that unqualified names are in.
        timeout_seconds: How long one request may take.
        on_answer: Called after each response, to show a supervisor that a long task makes progress.
    """

    def __init__(
        self, url: str, database: str, timeout_seconds: float = 60, on_answer: Callable[[], None] = lambda: None
    ) -> None:
        self.url, self.database, self._timeout, self._on_answer = url, database, timeout_seconds, on_answer
        # A pool of idle clients. Not thread-local: a thread that Python did not create loses its thread-local data
        # between two calls into Python, and would connect again each time.
        self._idle: list[Client] = []

    def _connect(self) -> Client:
        parts = urlsplit(self.url)
        return clickhouse_connect.get_client(
            host=parts.hostname or "127.0.0.1",
            port=parts.port or (8443 if parts.scheme == "https" else 8123),
            secure=parts.scheme == "https",
            username=unquote(parts.username or "default"),
            password=unquote(parts.password or ""),
            connect_timeout=5,
            send_receive_timeout=int(self._timeout),
            query_retries=0,
            autogenerate_session_id=False,
        )

    def _call(self, method: str, *arguments: Any, **options: Any) -> Any:
        client: Client | None = None
        try:
            try:
                client = self._idle.pop()
            except IndexError:
                client = self._connect()
            answer = getattr(client, method)(*arguments, **options)
        except BaseException as error:
            # The client of a failed call is not used again.
            if client is not None:
                with suppress(ClickHouseError, OSError, *_BROKEN):
                    client.close()
            if isinstance(error, (ClickHouseError, OSError, *_BROKEN)):
                raise self._typed(error) from error
            raise
        self._idle.append(client)
        self._on_answer()
        return answer

    def close(self) -> None:
        """Disconnect; a later call connects again."""
        while self._idle:
            with suppress(ClickHouseError, OSError):
                self._idle.pop().close()

    def _typed(self, error: Exception) -> Exception:
        code = _code(error)
        text = " ".join(str(error).split())[:500]
        parts = urlsplit(self.url)
        if code in STATEMENT_DOES_NOT_HOLD or (
            isinstance(error, ClickHouseError) and code is None and _is_about_the_call(error)
        ):
            return Refused(f"ClickHouse refused: {text}")
        if isinstance(error, _BROKEN):
            return Unavailable(f"ClickHouse at {parts.hostname}:{parts.port} sent a broken answer: {text}")
        problem = f"is busy: {text}" if code else "is unavailable"
        return Unavailable(f"ClickHouse at {parts.hostname}:{parts.port} {problem}")

    def command(self, statement: str) -> None:
        """Run a statement without a result.

        Raises:
            Unavailable: ClickHouse is unavailable or overloaded.
            Refused: The statement is not valid.
        """
        self._call("command", statement)

    def rows(self, query: str, parameters: Parameters | None = None) -> list[tuple[Any, ...]]:
        """Rows of a small result; parameters bind as ``{name:Type}``.

        Raises:
            Unavailable: ClickHouse is unavailable or overloaded.
            Refused: The query is not valid.
        """
        result = self._call("query", query, parameters=dict(parameters or {}))
        return [tuple(row) for row in result.result_rows]

    def arrow(self, query: str, parameters: Parameters | None = None) -> pa.Table:
        """A result as columns; parameters bind as ``{name:Type}``.

        Raises:
            Unavailable: ClickHouse is unavailable or overloaded.
            Refused: The query is not valid.
        """
        settings = {
            "output_format_arrow_string_as_string": 1,
            "output_format_arrow_low_cardinality_as_dictionary": 0,
            "max_query_size": max(_QUERY_BYTES, 2 * len(query)),
        }
        return self._call("query_arrow", query, parameters=dict(parameters or {}), settings=settings, use_strings=True)

    def insert_where(
        self, table: str, structure: Sequence[tuple[str, str]], data: pa.Table, condition: str, token: str
    ) -> None:
        """Insert rows in one block if a condition is true on the server when they arrive.

        Args:
            table: Its name.
            structure: Names and plain types of the columns, in the order in which they are given.
            data: The rows; columns are found by name.
            condition: An expression over scalar subqueries.
            token: Equal tokens insert once, however often they are sent.

        Raises:
            Unavailable: ClickHouse is unavailable or overloaded; the insert may or may not have been applied.
            Refused: The rows do not fit the table.
        """
        names = [name for name, _ in structure]
        types = ", ".join(f"{name} {kind}" for name, kind in structure).replace("'", "\\'")
        columns = ", ".join(names)
        statement = (
            f"INSERT INTO {self.database}.{table} ({columns}) SELECT {columns} FROM input('{types}') "
            f"WHERE {condition} FORMAT ArrowStream"
        )
        settings = {
            "insert_deduplication_token": token,
            # Since 26.2 INSERT SELECT is deduplicated only where it is asked for.
            "insert_deduplicate": 1,
            "max_insert_threads": 1,
            "max_threads": 1,
            "async_insert": 0,
        }
        self._call("command", statement, data=insert_body(data, names), settings=settings)

    def ping(self) -> None:
        """Check that the server responds.

        Raises:
            Unavailable: It does not.
        """
        self.rows("SELECT 1")


class _Rows(bytes):
    """The body of an insert. It is never a query.

    The driver decodes the body of each command to see whether it only reads and may be sent twice, which took a tenth
    of the click flow's time. With nothing to read it decides by the statement: an insert may not.
    """

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """No text."""
        return ""


def insert_body(table: pa.Table, names: Sequence[str]) -> bytes:
    """The named columns as one Arrow record batch, in a form that the driver sends without looking into it.

    Raises:
        Refused: The rows cannot be written so.
    """
    sink = pa.BufferOutputStream()
    try:
        whole = table.select(names).combine_chunks()
        with pa.ipc.new_stream(sink, whole.schema) as writer:
            writer.write_table(whole)
    except (pa.ArrowException, KeyError) as error:
        raise Refused(f"rows that cannot be sent: {error}") from error
    return _Rows(sink.getvalue())
