"""Logs of load balancers and stores of files: AWS ALB and classic ELB, S3, HAProxy."""

from __future__ import annotations

import re
from datetime import tzinfo
from typing import Final

from marketplace.access_logs.clients import addresses_in, logged_client
from marketplace.access_logs.requests import (
    MAX_LINE_BYTES,
    LoggedRequest,
    UnparseableLine,
    field_text,
    host_of_target,
    plain_text,
    request_words,
    without_dash,
)
from marketplace.access_logs.times import iso_time_ms, log_time_ms
from marketplace.hosts import canonical_host

_QUOTED: Final = rb'"((?:[^"\\]|\\.)*+)"'
_WORD: Final = rb"\S{1,512}"
_NUMBERS: Final = rb"(?: -?[\d.]{1,24}){3}"
_STATUS: Final = rb"(\d{3}|-)"

_ALB: Final = re.compile(
    rb"(?:https?|h2|wss?|grpcs?) (\S{1,40}) " + _WORD + rb" (\S{1,64}) " + _WORD + _NUMBERS + rb" " + _STATUS
    + rb" \S{1,5} -?\d{1,20} -?\d{1,20} " + _QUOTED + rb" " + _QUOTED + rb" \S+ \S+ \S+ " + _QUOTED
    + rb'(?: "([^"]{0,300})".*)?',
    re.DOTALL,
)  # fmt: skip
_ELB: Final = re.compile(
    rb"(\S{1,40}) " + _WORD + rb" (\S{1,64}) " + _WORD + _NUMBERS + rb" " + _STATUS
    + rb" \S{1,5} -?\d{1,20} -?\d{1,20} " + _QUOTED + rb"(?: " + _QUOTED + rb".*)?",
    re.DOTALL,
)  # fmt: skip
# AWS does not escape quotes inside a user agent here: it ends where a version id follows.
_S3: Final = re.compile(
    rb"[0-9a-f-]{1,128} " + _WORD + rb" \[([^\]]{1,40})\] (\S{1,64}) \S+ \S+ ([A-Z.]{3,60}) \S+ "
    rb'(?:"([^"]*)"|-) ' + _STATUS + rb' \S+ \S+ \S+ \S+ \S+ (?:"([^"]*)"|-) (?:"(.*?)"|-) '
    rb"[\w.-]{1,1024}(?: \S+ \S+ \S+ \S+ (\S{1,300}).*)?",
    re.DOTALL,
)
_HAPROXY: Final = re.compile(
    rb"(\S{1,64}) \[([^\]]{1,40})\] " + _WORD + rb" " + _WORD + rb" [+\d/-]{5,60} (-?\d{1,3}) \+?\d{1,20} \S+ \S+ \S{4}"
    rb" [+\d/]{9,60} \d+/\d+ (?:\{([^}]{0,4096})\} )?(?:\{[^}]{0,4096}\} )?" + rb'"([^"]*)"?',
    re.DOTALL,
)
_OBJECT_READS: Final = (b"WEBSITE.GET.OBJECT", b"REST.GET.OBJECT", b"CLOUDFRONT.GET.OBJECT")


class AlbFormat:
    """AWS Application Load Balancer; it has no referrers."""

    name = "alb"
    fields = "client from the fourth field, host from the domain name; there are no referrers"

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone

    def parse(self, line: bytes) -> LoggedRequest:
        """Read one line; see :class:`LineFormat`."""
        match = _fullmatch(_ALB, line, "an ALB's entry")
        time, client, status, request, agent, _trace, domain = match.groups()
        return _balanced(self._zone, time, client, status, request, agent, domain)


class ElbFormat:
    """AWS classic load balancer; it has no referrers."""

    name = "elb"
    fields = "client from the third field; there are no referrers"

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone

    def parse(self, line: bytes) -> LoggedRequest:
        """Read one line; see :class:`LineFormat`."""
        match = _fullmatch(_ELB, line, "a classic load balancer's entry")
        time, client, status, request, agent = match.groups()
        return _balanced(self._zone, time, client, status, request, agent, None)


class S3Format:
    """AWS S3 server access logs; only reads of objects are pages."""

    name = "s3"
    fields = "client from the remote IP, host from the host header"

    def parse(self, line: bytes) -> LoggedRequest:
        """Read one line; see :class:`LineFormat`."""
        match = _fullmatch(_S3, line, "an entry of S3")
        time, client, operation, request, status, referrer, agent, host = match.groups()
        method, target = request_words(request or b"")
        agent_as_logged = plain_text(agent or b"-")
        return LoggedRequest(
            client=logged_client(client),
            occurred_at_ms=log_time_ms(time),
            method=method if operation in _OBJECT_READS or method != "GET" else operation.decode(),
            target=target,
            status=_status(status),
            referrer=without_dash(plain_text(referrer or b"")),
            user_agent=without_dash(agent_as_logged),
            agent_as_logged=agent_as_logged,
            host=canonical_host(plain_text(host or b"")),
        )


class HaproxyFormat:
    """HAProxy's HTTP log; its time names no zone, and headers are there if the configuration captures them."""

    name = "haproxy"
    fields = "client from the first field; agent, referrer, host and addresses from captured headers where they are"

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone

    def parse(self, line: bytes) -> LoggedRequest:
        """Read one line; see :class:`LineFormat`."""
        match = _fullmatch(_HAPROXY, line, "an HTTP entry of HAProxy")
        client, time, status, captured, request = match.groups()
        method, target = request_words(request)
        headers = _captured(field_text(captured or b""))
        return LoggedRequest(
            client=logged_client(client),
            occurred_at_ms=log_time_ms(time, self._zone),
            method=method,
            target=target,
            status=max(0, int(status)),
            referrer=headers.get("referrer", ""),
            user_agent=headers.get("agent", ""),
            agent_as_logged=headers.get("agent", "-"),
            host=headers.get("host", ""),
            forwarded=headers.get("forwarded", ""),
        )


def _balanced(
    zone: tzinfo, time: bytes, client: bytes, status: bytes, request: bytes, agent: bytes | None, domain: bytes | None
) -> LoggedRequest:
    method, target = request_words(request)
    agent_as_logged = field_text(agent or b"-")
    return LoggedRequest(
        client=logged_client(client),
        occurred_at_ms=iso_time_ms(time.decode("ascii", "replace"), zone),
        method=method,
        target=target,
        status=_status(status),
        user_agent=without_dash(agent_as_logged),
        agent_as_logged=agent_as_logged,
        host=canonical_host(plain_text(domain or b"")) or host_of_target(target),
    )


def _captured(text: str) -> dict[str, str]:
    """Captured headers by what they look like: the configuration that names them is not in the log."""
    found: dict[str, str] = {}
    for value in text.split("|") if text else ():
        if not value:
            continue
        if value.startswith(("http://", "https://")):
            found.setdefault("referrer", value)
        elif addresses_in(value):
            found.setdefault("forwarded", value)
        elif "." in value and "/" not in value and canonical_host(value):
            found.setdefault("host", canonical_host(value))
        elif "/" in value and not value.startswith(("/", "text/", "application/", "*/")):
            found.setdefault("agent", value)
    return found


def _status(status: bytes) -> int:
    return 0 if status == b"-" else int(status)


def _fullmatch(pattern: re.Pattern[bytes], line: bytes, what: str) -> re.Match[bytes]:
    if len(line) > MAX_LINE_BYTES:
        raise UnparseableLine(f"longer than {MAX_LINE_BYTES:,} bytes")
    match = pattern.fullmatch(line)
    if match is None:
        raise UnparseableLine(f"not of the form of {what}")
    return match
