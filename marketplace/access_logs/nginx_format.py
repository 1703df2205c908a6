r"""A ``log_format`` of nginx as the pattern of its lines.

No library for these strings is kept up, so this is a small one: each variable becomes a field that ends where the text
after it in the format begins.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import tzinfo
from typing import Final

from marketplace.access_logs.clients import addresses_in, logged_client, nearest_public
from marketplace.access_logs.requests import (
    MAX_LINE_BYTES,
    LoggedRequest,
    UnparseableLine,
    field_text,
    request_words,
    without_dash,
)
from marketplace.access_logs.times import any_time_ms
from marketplace.hosts import canonical_host

_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_STATEMENT: Final = re.compile(r"^\s*log_format\s+\S+\s+(?:escape=\w+\s+)?(.*?);?\s*$", re.DOTALL)
_STRING: Final = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")

# What a request is made of, by variable; of several that are in a format, the first here wins.
PARTS: Final[dict[str, tuple[str, ...]]] = {
    "client": ("remote_addr", "realip_remote_addr", "http_x_real_ip", "http_cf_connecting_ip"),
    "time": ("msec", "time_iso8601", "time_local"),
    "request": ("request",),
    "method": ("request_method",),
    "target": ("request_uri", "uri", "document_uri"),
    "query": ("args", "query_string"),
    "status": ("status",),
    "referrer": ("http_referer",),
    "agent": ("http_user_agent",),
    "host": ("http_host", "host", "server_name"),
    "forwarded": ("http_x_forwarded_for", "proxy_add_x_forwarded_for"),
}
_WITH_BLANKS: Final = {
    "time_local": dict.fromkeys((" ", "", "|", ","), rb"(\d\d/[A-Z][a-z]{2}/\d{4}:[\d:]{8} [+-]\d{4})"),
    "request": {" ": rb"(-|[A-Za-z]{1,32} \S+(?: HTTP/[\d.]+)?)"},
}
"""Fields with blanks in them, by what follows them, where that does not end them."""


class InvalidFormat(ValueError):
    """A format's string cannot be used; the message says why."""


class NginxFormat:
    """Lines of one ``log_format``.

    Args:
        text: The string of the format, or the whole statement as the configuration has it.
        zone: The zone of a time that names no offset.

    Raises:
        InvalidFormat: It has no client, time or request.
    """

    name = "nginx log_format"

    def __init__(self, text: str, zone: tzinfo) -> None:
        source, variables = _compiled(_string_of(text))
        self._pattern = re.compile(source, re.DOTALL)
        self._zone = zone
        self._groups = {
            part: next(variables[name] for name in names if name in variables)
            for part, names in PARTS.items()
            if any(name in variables for name in names)
        }
        named = {group: name for name, group in variables.items()}
        missing = [part for part in ("time",) if part not in self._groups]
        if "client" not in self._groups and "forwarded" not in self._groups:
            missing.append("client ($remote_addr)")
        if "request" not in self._groups and "target" not in self._groups:
            missing.append("request ($request)")
        if missing:
            raise InvalidFormat(f"the log_format has no {', no '.join(missing)}")
        self.fields = ", ".join(f"{part} from ${named[group]}" for part, group in self._groups.items())

    def parse(self, line: bytes) -> LoggedRequest:
        """Read one line; see :class:`LineFormat`."""
        if len(line) > MAX_LINE_BYTES:
            raise UnparseableLine(f"longer than {MAX_LINE_BYTES:,} bytes")
        match = self._pattern.fullmatch(line)
        if match is None:
            raise UnparseableLine("not of the form of the log_format")
        raw = {part: match[group] for part, group in self._groups.items()}
        return request_of_fields(raw, self._zone)


def request_of_fields(raw: Mapping[str, bytes], zone: tzinfo) -> LoggedRequest:
    """A request from its parts, as :data:`PARTS` names them.

    Raises:
        UnparseableLine: One of them is not what it should be.
    """
    method, target = _request(raw)
    agent = field_text(raw.get("agent", b"-"))
    forwarded = without_dash(field_text(raw.get("forwarded", b"")))
    status = raw.get("status")
    if status is not None and not re.fullmatch(rb"\d{3}|-?", status):
        raise UnparseableLine("the status is no number")
    return LoggedRequest(
        client=_client(raw.get("client"), forwarded),
        occurred_at_ms=any_time_ms(field_text(raw["time"]), zone),
        method=method,
        target=target,
        status=None if status is None else int(status) if status.isdigit() else 0,
        referrer=without_dash(field_text(raw.get("referrer", b""))),
        user_agent=without_dash(agent),
        agent_as_logged=agent,
        host=canonical_host(field_text(raw.get("host", b""))),
        forwarded=forwarded,
    )


def _client(client: bytes | None, forwarded: str) -> str:
    if client is not None:
        return logged_client(client)
    found = addresses_in(forwarded)
    if not found:
        raise UnparseableLine("the client is neither an address nor a host name")
    return nearest_public(found)


def _request(raw: Mapping[str, bytes]) -> tuple[str, str]:
    if "request" in raw:
        return request_words(raw["request"])
    target, query = field_text(raw["target"]), without_dash(field_text(raw.get("query", b"")))
    if query and "?" not in target:
        target = f"{target}?{query}"
    return without_dash(field_text(raw.get("method", b""))).upper(), without_dash(target)


def _string_of(text: str) -> str:
    statement = _STATEMENT.match(text)
    if statement is None:
        return text.strip()
    strings = _STRING.findall(statement[1])
    return "".join(re.sub(r"\\(.)", r"\1", single or double) for single, double in strings)


def _compiled(text: str) -> tuple[bytes, dict[str, int]]:
    """The pattern, and the number of each variable's group; of one that comes twice, the first."""
    parts, variables, end = [], dict[str, int](), 0
    found = list(_VARIABLE.finditer(text))
    for number, variable in enumerate(found, start=1):
        parts.append(re.escape(text[end : variable.start()].encode()))
        end = variable.end()
        following = text[end : end + 1]
        if number < len(found) and found[number].start() == end:
            raise InvalidFormat(f"{variable[0]} and {found[number][0]} have nothing between them")
        variables.setdefault(variable[1] or variable[2], number)
        parts.append(_WITH_BLANKS.get(variable[1] or variable[2], {}).get(following) or _field(following))
    if text.count("$") > len(found):
        raise InvalidFormat("a $ names no variable")
    parts.append(re.escape(text[end:].encode()))
    return b"".join(parts), variables


def _field(following: str) -> bytes:
    if following == '"':
        return rb'((?:[^"\\]|\\.)*+)'
    if following == "]":
        return rb"([^\]]*+)"
    if following == "":
        return rb"(.*+)"
    # A field that blanks end has none, but for lists ("a, b"), which have them behind commas.
    return rb"((?:[^ ,]|, ?)*+)" if following == " " else b"([^" + re.escape(following.encode()) + b"]*+)"
