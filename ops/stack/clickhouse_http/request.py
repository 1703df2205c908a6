"""One HTTP request as ClickHouse reads it: URL parameters, headers and a body become a query to run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from ops.stack.clickhouse_http.compression import decode
from ops.stack.clickhouse_http.errors import NOT_IMPLEMENTED, QueryError

#: Parameters of the HTTP interface itself; every other one is a setting of the query.
_RESERVED: Final = frozenset(
    (
        *("query", "query_id", "database", "default_format", "user", "password", "quota_key", "role"),
        *("session_id", "session_timeout", "session_check", "close_session", "stacktrace", "buffer_size"),
        *("compress", "decompress", "wait_end_of_query", "client_protocol_version"),
    )
)
DEFAULT_FORMAT: Final = "TabSeparated"


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """What to run and how to answer. `settings` and `parameters` hold ClickHouse's own spelling of values."""

    query: bytes
    database: str = "default"
    default_format: str = DEFAULT_FORMAT
    query_id: str = ""
    session_id: str = ""
    settings: tuple[tuple[str, str], ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    read_only: bool = False


def parse_request(
    method: str, query_string: bytes, headers: Mapping[str, str], body: bytes, max_bytes: int
) -> QueryRequest:
    """Read a request.

    Args:
        method: as in ClickHouse, only a `POST` can write.
        query_string: the URL's, undecoded.
        headers: by lower-case name.
        body: as it arrived.
        max_bytes: the limit of the body once it is decompressed.

    Raises:
        QueryError: the body or a field cannot be read.
    """
    arguments = dict(parse_qsl(query_string.decode("latin-1"), keep_blank_values=True, encoding="utf-8"))
    body = decode(body, headers.get("content-encoding", "").strip().lower(), max_bytes)
    if headers.get("content-type", "").startswith("multipart/form-data"):
        # External tables come so. No client of this project sends them; a real server takes them.
        raise QueryError(NOT_IMPLEMENTED, "Forms are not taken here: send the query as the body", "NOT_IMPLEMENTED")
    query = arguments.get("query", "").encode("utf-8", "surrogateescape")
    return QueryRequest(
        query=b"\n".join(part for part in (query, body) if part),
        database=arguments.get("database") or headers.get("x-clickhouse-database") or "default",
        default_format=arguments.get("default_format") or headers.get("x-clickhouse-format") or DEFAULT_FORMAT,
        query_id=arguments.get("query_id", ""),
        session_id=arguments.get("session_id", ""),
        settings=_settings(arguments),
        parameters={name[6:]: value for name, value in arguments.items() if name.startswith("param_")},
        read_only=method != "POST",
    )


def _settings(arguments: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The arguments that are neither the interface's own nor a parameter."""
    names = sorted(arguments.keys() - _RESERVED)
    return tuple((name, arguments[name]) for name in names if not name.startswith("param_"))
