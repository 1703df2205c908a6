"""The HTTP interface: ASGI in, ClickHouse's answers out.

Nothing of a request is run before its body is there whole, so that a client that goes away inserts nothing.
"""

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from ops.stack.clickhouse_http.compression import choose, encode
from ops.stack.clickhouse_http.connection import Answer
from ops.stack.clickhouse_http.engine import Engine
from ops.stack.clickhouse_http.errors import (
    QUERY_IS_TOO_LARGE,
    SYNTAX_ERROR,
    TOO_MANY_SIMULTANEOUS_QUERIES,
    QueryError,
)
from ops.stack.clickhouse_http.request import QueryRequest, parse_request
from ops.stack.clickhouse_http.web_pages import refusal
from ops.stack.state.model import OLDEST_QUERY_HEADER

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_SMALL_BODY_BYTES: Final = 512
_CHUNK_BYTES: Final = 1 << 20
_TEXT: Final = (b"content-type", b"text/plain; charset=UTF-8")
_CONTENT_TYPES: Final = {
    "Native": b"application/octet-stream",
    "RowBinary": b"application/octet-stream",
    "Arrow": b"application/octet-stream",
    "ArrowStream": b"application/octet-stream",
    "Parquet": b"application/octet-stream",
    "JSON": b"application/json; charset=UTF-8",
    "JSONCompact": b"application/json; charset=UTF-8",
    "JSONEachRow": b"application/x-ndjson; charset=UTF-8",
    "CSV": b"text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": b"text/csv; charset=UTF-8; header=present",
    "TabSeparated": b"text/tab-separated-values; charset=UTF-8",
}


class ClickHouseHttp:
    """The application. `workers` queries run at once and `queue` more may wait; the next one is refused with 503."""

    def __init__(self, engine: Engine, *, workers: int = 4, queue: int = 64, max_body_bytes: int = 1 << 30) -> None:
        self._engine = engine
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="query")
        self._limit = workers + queue
        self._running: dict[object, float] = {}
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refused = refusal(headers)
        if refused:
            await _respond(send, 403, [_TEXT], f"{refused}\n".encode())
        elif path == "/":
            await self._query(scope, headers, receive, send)
        elif path in ("/ping", "/replicas_status"):
            await _respond(send, 200, [_TEXT, *self._oldest_query()], b"Ok.\n")
        else:
            await _respond(send, 404, [_TEXT], f"There is no handle {path}\n".encode())

    def close(self) -> None:
        """Wait for the queries that run and refuse the ones that wait."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _oldest_query(self) -> Headers:
        """How long the oldest query has been running or waiting, where there is one."""
        began = min(self._running.values(), default=None)
        if began is None:
            return []
        return [(OLDEST_QUERY_HEADER.lower().encode(), f"{time.monotonic() - began:.1f}".encode())]

    async def _query(self, scope: Scope, headers: dict[str, str], receive: Receive, send: Send) -> None:
        query_id = str(uuid.uuid4())
        common: Headers = [
            (b"x-clickhouse-server-display-name", b"chdb"),
            (b"x-clickhouse-timezone", self._engine.timezone.encode()),
        ]
        try:
            body = await self._body(receive)
            request = parse_request(scope["method"], scope["query_string"], headers, body, self._max_body_bytes)
            query_id = request.query_id or query_id
            if not request.query.strip():
                await _respond(send, *_greeting(scope["method"]))
                return
            answer = await self._run(request)
        except QueryError as error:
            common += [(b"x-clickhouse-query-id", query_id.encode("latin-1", "replace")), _TEXT]
            common.append((b"x-clickhouse-exception-code", str(error.code).encode()))
            await _respond(send, error.status, common, error.body(self._engine.version))
            return
        common += _answer_headers(answer, query_id)
        accepted = headers.get("accept-encoding", "")
        compress = dict(request.settings).get("enable_http_compression") in ("1", "true")
        encoding = choose(accepted) if compress and len(answer.body) > _SMALL_BODY_BYTES else None
        if encoding:
            common.append((b"content-encoding", encoding.encode()))
            body = await asyncio.get_running_loop().run_in_executor(self._pool, encode, answer.body, encoding)
        else:
            body = answer.body
        await _respond(send, 200, common, body)

    async def _run(self, request: QueryRequest) -> Answer:
        """Raises `QueryError` when the queue is full or the query fails."""
        if len(self._running) >= self._limit:
            text = f"Too many simultaneous queries. Maximum: {self._limit}"
            raise QueryError(TOO_MANY_SIMULTANEOUS_QUERIES, text, "TOO_MANY_SIMULTANEOUS_QUERIES")
        query = object()
        self._running[query] = time.monotonic()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._engine.run, request)
        finally:
            del self._running[query]

    async def _body(self, receive: Receive) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise QueryError(SYNTAX_ERROR, "The client went away before its request was complete")
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self._max_body_bytes:
                text = f"The body is larger than {self._max_body_bytes} bytes"
                raise QueryError(QUERY_IS_TOO_LARGE, text, "QUERY_IS_TOO_LARGE")
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks) if len(chunks) > 1 else chunk


def _greeting(method: str) -> tuple[int, Headers, bytes]:
    if method == "GET":
        return 200, [_TEXT], b"Ok.\n"
    error = QueryError(SYNTAX_ERROR, "Syntax error: Empty query", "SYNTAX_ERROR")
    return error.status, [_TEXT, (b"x-clickhouse-exception-code", b"62")], error.body("chDB")


def _answer_headers(answer: Answer, query_id: str) -> Headers:
    summary = {
        "read_rows": str(answer.read_rows),
        "read_bytes": str(answer.read_bytes),
        "written_rows": str(answer.written_rows),
        "written_bytes": str(answer.written_bytes),
        "total_rows_to_read": "0",
        "result_rows": str(answer.written_rows),
        "result_bytes": str(len(answer.body)),
        "elapsed_ns": str(answer.elapsed_ns),
    }
    headers: Headers = [
        (b"x-clickhouse-query-id", query_id.encode("latin-1", "replace")),
        (b"x-clickhouse-summary", json.dumps(summary, separators=(",", ":")).encode()),
        (b"content-type", _CONTENT_TYPES.get(answer.format, b"text/plain; charset=UTF-8")),
    ]
    if answer.format:
        headers.append((b"x-clickhouse-format", answer.format.encode("latin-1", "replace")))
    return headers


async def _respond(send: Send, status: int, headers: Headers, body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    for start in range(0, len(body), _CHUNK_BYTES):
        await send({"type": "http.response.body", "body": body[start : start + _CHUNK_BYTES], "more_body": True})
    await send({"type": "http.response.body", "body": b""})
