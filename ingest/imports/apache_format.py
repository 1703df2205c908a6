"""A ``LogFormat`` of Apache, read by the library ``apachelogs``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from typing import Final

from apachelogs import InvalidDirectiveError, InvalidEntryError, LogEntry, LogParser, UnknownDirectiveError

from marketplace.access_logs.clients import addresses_in, logged_client, nearest_public
from marketplace.access_logs.nginx_format import InvalidFormat
from marketplace.access_logs.requests import LoggedRequest, UnparseableLine, plain_text, request_words
from marketplace.hosts import canonical_host

_MAX_LINE_BYTES: Final = 64 * 1024
"""Apache takes requests and headers of 8 KiB each; the library's patterns are not made for lines of any length."""

_STATEMENT: Final = re.compile(r'^\s*LogFormat\s+"((?:[^"\\]|\\.)*)"(?:\s+\S+)?\s*$', re.IGNORECASE)
_FORWARDED: Final = "X-Forwarded-For"
_CLIENTS: Final = ("remote_address", "remote_client_address", "remote_host", "remote_underlying_host")
_HOSTS: Final = ("virtual_host", "server_name")


class ApacheFormat:
    """Lines of one ``LogFormat``.

    Args:
        text: The format's string, or the whole directive as the configuration has it.
        zone: The zone of a time that names no offset.

    Raises:
        InvalidFormat: A directive is not known, or it has no client, time or request.
    """

    name = "Apache LogFormat"

    def __init__(self, text: str, zone: tzinfo) -> None:
        statement = _STATEMENT.match(text)
        string = re.sub(r"\\(.)", r"\1", statement[1]) if statement else text.strip().replace(r"\"", '"')
        try:
            # As bytes: the library's own text is Latin-1, and user agents are mostly UTF-8 where they are not ASCII.
            self._parser = LogParser(string, encoding="bytes")
        except (InvalidDirectiveError, UnknownDirectiveError, ValueError, re.error) as error:
            raise InvalidFormat(f"the LogFormat cannot be used: {error}") from error
        self._zone = zone
        missing = [
            what
            for what, directives in {
                "client (%h or %a)": r"%[<>]?(?:\{c\})?[ha]|X-Forwarded-For\}",
                "time (%t)": r"%[<>]?(?:\{[^}]*\})?t",
                "request (%r)": r"%[<>]?[rU]",
            }.items()
            if not re.search(directives, string, re.IGNORECASE)
        ]
        if missing:
            raise InvalidFormat(f"the LogFormat has no {', no '.join(missing)}")
        self.fields = "client from %h or %a"

    def parse(self, line: bytes) -> LoggedRequest:
        """Read one line; see :class:`LineFormat`."""
        if len(line) > _MAX_LINE_BYTES:
            raise UnparseableLine(f"longer than {_MAX_LINE_BYTES:,} bytes")
        try:
            entry = self._parser.parse(line.decode("latin-1"))
        except (InvalidEntryError, ValueError, OverflowError):
            raise UnparseableLine("not of the form of the LogFormat") from None
        return self._request(entry)

    def _request(self, entry: LogEntry) -> LoggedRequest:
        headers = getattr(entry, "headers_in", {})
        agent = _text(headers.get("User-Agent")) or "-"
        forwarded = _text(headers.get(_FORWARDED))
        method, target = self._what(entry)
        status = _first(entry, ("final_status", "status"))
        return LoggedRequest(
            client=_client(entry, forwarded),
            occurred_at_ms=self._time_ms(entry),
            method=method,
            target=target,
            status=status if isinstance(status, int) else 0 if hasattr(entry, "final_status") else None,
            referrer=_text(headers.get("Referer")),
            user_agent="" if agent == "-" else agent,
            agent_as_logged=agent,
            host=canonical_host(_text(headers.get("Host")) or _text(_first(entry, _HOSTS))),
            forwarded=forwarded,
        )

    @staticmethod
    def _what(entry: LogEntry) -> tuple[str, str]:
        line = getattr(entry, "request_line", None)
        if line is not None:
            return request_words(line if isinstance(line, bytes) else str(line).encode())
        path, query = _text(getattr(entry, "request_uri", "")), _text(getattr(entry, "request_query", ""))
        return _text(getattr(entry, "request_method", "")).upper(), path + query

    def _time_ms(self, entry: LogEntry) -> int:
        instant = _first(entry, ("request_time", "begin_request_time", "end_request_time"))
        if not isinstance(instant, datetime):
            raise UnparseableLine("the time is not there")
        if instant.tzinfo is None:
            instant = instant.replace(tzinfo=self._zone)
        seconds = instant.astimezone(UTC).timestamp()
        if seconds < 0:
            raise UnparseableLine("the time is before 1970")
        return int(seconds * 1_000)


def _client(entry: LogEntry, forwarded: str) -> str:
    logged = _text(_first(entry, _CLIENTS))
    if logged:
        return logged_client(logged.encode())
    found = addresses_in(forwarded)
    if not found:
        raise UnparseableLine("the client is neither an address nor a host name")
    return nearest_public(found)


def _first(entry: LogEntry, names: tuple[str, ...]) -> object:
    return next((value for name in names if (value := getattr(entry, name, None)) is not None), None)


def _text(value: object) -> str:
    return plain_text(value) if isinstance(value, bytes) else str(value) if value is not None else ""
