"""Lines of JSON: Caddy, Traefik, nginx with ``escape=json``, and others by the names that they give to fields.

Which name has what is decided for a file by its first lines, and said. A name with dots is a path into the document.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import tzinfo
from typing import Any, Final

import msgspec

from marketplace.access_logs.clients import logged_client
from marketplace.access_logs.requests import (
    MAX_LINE_BYTES,
    LoggedRequest,
    UnparseableLine,
    host_of_target,
    plain_text,
    request_words,
    without_dash,
)
from marketplace.access_logs.times import any_time_ms
from marketplace.hosts import canonical_host

# For each part of a request the names that have it, those first that say it best. Names are compared in lower case.
NAMES: Final[dict[str, tuple[str, ...]]] = {
    "client": (
        "request.client_ip", "request.remote_ip", "request.remote_addr", "clienthost", "clientaddr", "remote_addr",
        "remote_ip", "client_ip", "clientip", "client", "remote_host", "remoteaddr", "remoteip", "ip", "client.ip",
        "client.address",
        "remoteaddress", "true_client_ip", "source.ip", "downstream_remote_address", "httprequest.remoteip",
    ),
    "time": (
        "ts", "startutc", "time_iso8601", "time_local", "msec", "timestamp", "@timestamp", "time", "start_time",
        "edgestarttimestamp", "timestamp_iso8601", "datetime", "date", "request_time_local",
    ),
    "request": ("request", "request_line", "requestline"),
    "method": (
        "request.method", "requestmethod", "request_method", "method", "http_method", "clientrequestmethod",
        "httprequest.requestmethod", "http.request.method", "verb", "request_type",
    ),
    "target": (
        "request.uri", "requestpath", "request_uri", "uri", "clientrequesturi", "httprequest.requesturl",
        "url.original", "path", "url", "request_path", "url.path", "request_url", "requesturi",
    ),
    "query": ("args", "query_string", "request_query", "query"),
    "status": (
        "status", "downstreamstatus", "originstatus", "status_code", "response_code", "edgeresponsestatus",
        "httprequest.status", "http.response.status_code", "response", "code",
    ),
    "referrer": (
        "request.headers.referer", "request_referer", "http_referer", "http_referrer", "referer", "referrer",
        "clientrequestreferer", "httprequest.referer", "http.request.referrer",
    ),
    "agent": (
        "request.headers.user-agent", "request_user-agent", "http_user_agent", "user_agent", "useragent", "agent",
        "clientrequestuseragent", "httprequest.useragent", "user_agent.original", "ua",
    ),
    "host": (
        "request.host", "requesthost", "http_host", "vhost", "virtual_host", "host", "authority", "clientrequesthost",
        "server_name", "url.domain", "domain",
    ),
    "forwarded": (
        "request.headers.x-forwarded-for", "request_x-forwarded-for", "http_x_forwarded_for", "x_forwarded_for",
        "x-forwarded-for", "xff", "forwarded_for", "http_forwarded_for",
    ),
}  # fmt: skip
_REQUIRED: Final = ("client", "time")
_NAMED_SERVERS: Final = {"request.uri": "Caddy", "clienthost": "Traefik", "clientaddr": "Traefik"}
_HEX_ESCAPE: Final = re.compile(rb"\\x([0-9A-Fa-f]{2})")
_MAX_DEPTH: Final = 4
_decoder: Final = msgspec.json.Decoder(dict[str, Any])


class JsonFormat:
    """One file of this format.

    Args:
        names: For each part of a request the name that has it.
        zone: The zone of a time that names no offset.
    """

    name = "json"

    def __init__(self, names: Mapping[str, str], zone: tzinfo) -> None:
        self._names = dict(names)
        self._zone = zone

    @classmethod
    def seen_in(cls, lines: Iterable[bytes], zone: tzinfo) -> JsonFormat | None:
        """The format of these lines, by the names that are in them; None if what a request needs is not among them."""
        seen: set[str] = set()
        for line in lines:
            try:
                seen.update(_flat(_document(line)))
            except UnparseableLine:
                continue
        names = {
            part: next(name for name in known if name in seen)
            for part, known in NAMES.items()
            if seen.intersection(known)
        }
        enough = all(part in names for part in _REQUIRED) and ("request" in names or "target" in names)
        return cls(names, zone) if enough else None

    @property
    def fields(self) -> str:
        """Which name has what."""
        server = next((found for name, found in _NAMED_SERVERS.items() if name in self._names.values()), "")
        described = ", ".join(f"{part} from {name}" for part, name in self._names.items())
        return f"{server}: {described}" if server else described

    def parse(self, line: bytes) -> LoggedRequest:
        """Read one line; see :class:`LineFormat`."""
        if len(line) > MAX_LINE_BYTES:
            raise UnparseableLine(f"longer than {MAX_LINE_BYTES:,} bytes")
        flat = _flat(_document(line))
        texts = {part: flat.get(name) for part, name in self._names.items()}
        client, time = texts.get("client"), texts.get("time")
        if not isinstance(client, str) or not client:
            raise UnparseableLine(f"{self._names['client']} is not there")
        if time is None:
            raise UnparseableLine(f"{self._names['time']} is not there")
        agent = _text(texts.get("agent")) or "-"
        method, target = self._request(texts)
        return LoggedRequest(
            client=logged_client(client.encode("utf-8", "replace")),
            occurred_at_ms=any_time_ms(time, self._zone),
            method=method,
            target=target,
            status=_status(texts["status"]) if "status" in texts else None,
            referrer=without_dash(_text(texts.get("referrer"))),
            user_agent=without_dash(agent),
            agent_as_logged=agent,
            host=canonical_host(_text(texts.get("host"))) or host_of_target(target),
            forwarded=without_dash(_text(texts.get("forwarded"))),
        )

    def _request(self, texts: Mapping[str, Any]) -> tuple[str, str]:
        request = _text(texts.get("request"))
        if request and not request.startswith("/"):
            return request_words(request.encode("utf-8", "replace"))
        # Some give the name "request" to the path alone.
        target, query = request or _text(texts.get("target")), without_dash(_text(texts.get("query")))
        if query and "?" not in target:
            target = f"{target}?{query.removeprefix('?')}"
        return without_dash(_text(texts.get("method"))).upper(), without_dash(target)


def _document(line: bytes) -> dict[str, Any]:
    if not line.lstrip().startswith(b"{"):
        raise UnparseableLine("not a JSON object")
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        # nginx writes \x22 without escape=json, and bytes that are not UTF-8 as they came.
        corrected = _HEX_ESCAPE.sub(rb"\\u00\1", line)
        try:
            return _decoder.decode(plain_text(corrected).encode())
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise UnparseableLine("not a JSON object, or cut short") from None


def _flat(document: Mapping[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """All values by their path, in lower case; of a list (Caddy's headers) the members as one text."""
    found: dict[str, Any] = {}
    for key, value in document.items():
        name = f"{prefix}{key.lower()}"
        if isinstance(value, dict):
            if depth < _MAX_DEPTH:
                found.update(_flat(value, f"{name}.", depth + 1))
        elif isinstance(value, list):
            found[name] = ", ".join(item for item in value if isinstance(item, str))
        else:
            found[name] = value
    return found


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _status(value: object) -> int:
    text = str(value)
    if isinstance(value, int | str) and text.isdecimal() and len(text) <= 3:
        return int(text)
    if value in (None, "", "-"):
        return 0
    raise UnparseableLine("the status is no number")
