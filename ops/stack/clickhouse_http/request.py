"""One HTTP request as ClickHouse reads it: URL parameters, form fields, headers and a body become a query to run."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from ops.stack.clickhouse_http.compression import decode
from ops.stack.clickhouse_http.errors import BAD_ARGUMENTS, QueryError

#: Parameters of the HTTP interface itself; every other one is a setting of the query.
_RESERVED: Final = frozenset(
    (
        *("query", "query_id", "database", "default_format", "user", "password", "quota_key", "role"),
        *("session_id", "session_timeout", "session_check", "close_session", "stacktrace", "buffer_size"),
        *("compress", "decompress", "wait_end_of_query", "client_protocol_version"),
    )
)
_TABLE_PARTS: Final = ("_format", "_structure", "_types")
DEFAULT_FORMAT: Final = "TabSeparated"


@dataclass(frozen=True, slots=True)
class ExternalTable:
    """A table that comes along with a query, in a form's file field."""

    name: str
    format: str
    structure: str
    data: bytes


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
    external_tables: tuple[ExternalTable, ...] = ()
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
    files: dict[str, bytes] = {}
    content_type = headers.get("content-type", "")
    if content_type.startswith("multipart/form-data"):
        fields, files = _form(body, content_type)
        arguments.update(fields)
        body = b""
    query = arguments.get("query", "").encode("utf-8", "surrogateescape")
    return QueryRequest(
        query=b"\n".join(part for part in (query, body) if part),
        database=arguments.get("database") or headers.get("x-clickhouse-database") or "default",
        default_format=arguments.get("default_format") or headers.get("x-clickhouse-format") or DEFAULT_FORMAT,
        query_id=arguments.get("query_id", ""),
        session_id=arguments.get("session_id", ""),
        settings=_settings(arguments, files),
        parameters={name[6:]: value for name, value in arguments.items() if name.startswith("param_")},
        external_tables=tuple(_external_table(name, data, arguments) for name, data in files.items()),
        read_only=method != "POST",
    )


def _settings(arguments: Mapping[str, str], files: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The arguments that are neither the interface's own, nor a parameter, nor part of an external table."""
    described = {name + part for name in files for part in _TABLE_PARTS}
    names = sorted(arguments.keys() - _RESERVED - described)
    return tuple((name, arguments[name]) for name in names if not name.startswith("param_"))


def _external_table(name: str, data: bytes, arguments: Mapping[str, str]) -> ExternalTable:
    structure = arguments.get(f"{name}_structure", "")
    types = arguments.get(f"{name}_types", "")
    if not structure and types:
        structure = ", ".join(f"_{place} {kind}" for place, kind in enumerate(_split_types(types), start=1))
    if not structure:
        raise QueryError(BAD_ARGUMENTS, f"External table {name!r} has neither _structure nor _types", "BAD_ARGUMENTS")
    return ExternalTable(name, arguments.get(f"{name}_format", DEFAULT_FORMAT), structure, data)


def _split_types(types: str) -> list[str]:
    parts, depth = [""], 0
    for character in types:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def _form(body: bytes, content_type: str) -> tuple[dict[str, str], dict[str, bytes]]:
    """The text fields and the files of a multipart form."""
    boundary = re.search(r'boundary="?([^";]+)"?', content_type)
    if boundary is None:
        raise QueryError(BAD_ARGUMENTS, "The multipart form has no boundary", "BAD_ARGUMENTS")
    fields: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary.group(1).encode("latin-1"))[1:]:
        head, separator, content = part.partition(b"\r\n\r\n")
        name = re.search(rb'(?<![a-z])name="([^"]*)"', head)
        if not separator or name is None:
            continue
        key = name.group(1).decode("utf-8", "surrogateescape")
        if b'filename="' in head:
            files[key] = content
        else:
            fields[key] = content.decode("utf-8", "surrogateescape")
    return fields, files
