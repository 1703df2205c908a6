"""The W3C extended log format, whose fields are named in the file: IIS, CloudFront and others.

A line ``#Fields:`` says what stands in the lines after it; it may come again, with other fields. CloudFront separates
by tabs and writes values percent-encoded; IIS separates by blanks and writes ``+`` for a blank in a value.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import Final
from urllib.parse import unquote

from marketplace.access_logs.clients import logged_client
from marketplace.access_logs.requests import MAX_LINE_BYTES, LoggedRequest, UnparseableLine, plain_text, without_dash
from marketplace.access_logs.times import iso_time_ms
from marketplace.hosts import canonical_host

_FIELDS: Final = b"#Fields:"
_HOSTS: Final = ("x-host-header", "cs-host", "cs(host)")
_FORWARDED: Final = ("x-forwarded-for", "cs(x-forwarded-for)", "cs-x-forwarded-for")
_MAX_FIELDS: Final = 256


class W3cFormat:
    """One file of this format.

    Args:
        zone: The zone of its times; the format's own is UTC.
    """

    name = "w3c"

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._places: dict[str, int] = {}
        self._encoded = False

    @property
    def fields(self) -> str:
        """Where the client comes from, and what is missing."""
        missing = [name for name in ("cs(user-agent)", "cs(referer)") if name not in self._places]
        return "client from c-ip" + (f", without {' and '.join(missing)}" if missing and self._places else "")

    def parse(self, line: bytes) -> LoggedRequest | None:
        """Read one line; see :class:`LineFormat`."""
        if len(line) > MAX_LINE_BYTES:
            raise UnparseableLine(f"longer than {MAX_LINE_BYTES:,} bytes")
        if line.startswith(b"#"):
            if line.startswith(_FIELDS):
                names = plain_text(line[len(_FIELDS) :]).lower().split()[:_MAX_FIELDS]
                self._places = {name: place for place, name in enumerate(names)}
            return None
        if not self._places:
            raise UnparseableLine("no line #Fields: is before it")
        self._encoded = b"\t" in line
        values = plain_text(line).split("\t" if self._encoded else " ")
        if len(values) != len(self._places):
            raise UnparseableLine(f"{len(values)} fields where #Fields: names {len(self._places)}")
        return self._request(values)

    def _request(self, values: list[str]) -> LoggedRequest:
        def value(*names: str) -> str:
            return next((values[self._places[name]] for name in names if name in self._places), "-")

        path, query = value("cs-uri-stem", "cs-uri"), value("cs-uri-query")
        time, status = value("time"), value("sc-status")
        if value("c-ip") == "-" or time == "-" or path == "-":
            raise UnparseableLine("c-ip, time or cs-uri-stem is not there")
        if not status.isdecimal() and status != "-":
            raise UnparseableLine("sc-status is no number")
        agent = self._text(value("cs(user-agent)"))
        date = value("date")
        return LoggedRequest(
            client=logged_client(value("c-ip").encode()),
            occurred_at_ms=iso_time_ms(time if date == "-" else f"{date} {time}", self._zone),
            method=without_dash(value("cs-method")).upper(),
            target=path if query in ("-", "") else f"{path}?{query}",
            status=None if "sc-status" not in self._places else int(without_dash(status) or 0),
            referrer=without_dash(unquote(value("cs(referer)", "cs(referrer)"))),
            user_agent=without_dash(agent),
            agent_as_logged=agent,
            host=next(filter(None, (canonical_host(value(name)) for name in _HOSTS)), ""),
            forwarded=without_dash(unquote(value(*_FORWARDED)).replace("+", " ")),
        )

    def _text(self, logged: str) -> str:
        if not self._encoded:
            return logged.replace("+", " ")
        # CloudFront encodes the percent sign of what it has encoded, in logs of some years.
        return unquote(unquote(logged))
