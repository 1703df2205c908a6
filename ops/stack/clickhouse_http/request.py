"""One HTTP request as ClickHouse reads it: URL parameters, form fields, headers and a body become a query to run."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from ops.stack.clickhouse_http.compression import decode
from ops.stack.clickhouse_http.errors import BAD_ARGUMENTS, NOT_IMPLEMENTED, QueryError

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
    content_type = headers.get("content-type", "")
    if content_type.startswith("multipart/form-data"):
        arguments.update(_form(body, content_type))
        body = b""
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


def _form(body: bytes, content_type: str) -> dict[str, str]:
    """The fields of a multipart form: the driver sends a long query with parameters as one."""
    boundary = re.search(r'boundary="?([^";]+)"?', content_type)
    if boundary is None:
        raise QueryError(BAD_ARGUMENTS, "The multipart form has no boundary", "BAD_ARGUMENTS")
    fields: dict[str, str] = {}
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary.group(1).encode("latin-1"))[1:]:
        head, separator, content = part.partition(b"\r\n\r\n")
        name = re.search(rb'(?<![a-z])name="([^"]*)"', head)
        if not separator or name is None:
            continue
        key = name.group(1).decode("utf-8", "surrogateescape")
        if b'filename="' in head:
            # No client of this project sends one; a real server takes it.
            raise QueryError(NOT_IMPLEMENTED, f"External tables are not taken here: {key}", "NOT_IMPLEMENTED")
        fields[key] = content.decode("utf-8", "surrogateescape")
    return fields
