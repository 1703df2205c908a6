r"""Lines as Apache and nginx write them: common, combined, and what people put before and behind these.

A line can be parsed when client, time, request and status are there; size, referrer and user agent may be missing (the
common format), times and sizes may stand beside the size, and more may follow. A quoted field that is opened must be
closed: a line cut short in the middle of its user agent is not a line with a short user agent. A request that is not
HTTP (``"-"``, the bytes of a TLS handshake) has no page, but it was a request.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

from marketplace.access_logs.clients import addresses_in, is_address, logged_client, nearest_public, parse_address
from marketplace.access_logs.requests import (
    MAX_LINE_BYTES,
    LoggedRequest,
    UnparseableLine,
    field_text,
    plain_text,
    request_words,
    without_dash,
)
from marketplace.access_logs.times import log_time_ms
from marketplace.hosts import canonical_host

_QUOTED: Final = rb'"((?:[^"\\]|\\.)*+)"'
# Identity, user (who may have blanks in the name, but no colon) and time. An identity with dots or colons would be an
# address or a host, and colons behind it a time: then the first word is something else than the client.
_WHEN: Final = rb" [^\s.:]{1,256} [^:]{1,256}? \[([^\]]{1,40})\] "
_TAIL: Final = _QUOTED + rb" (\d{3})(?: [-\d. ]{1,90})?(?: " + _QUOTED + rb"(?: " + _QUOTED + rb"(?: (.*))?)?)?"
# Each has the groups host, list, client; then time, request, status, referrer, agent, rest.
_CLIENT: Final = re.compile(rb"()()(\S{1,256})" + _WHEN + _TAIL, re.DOTALL)
_HOST_CLIENT: Final = re.compile(rb"(\S{1,300})() (\S{1,256})" + _WHEN + _TAIL, re.DOTALL)
_LIST_CLIENT: Final = re.compile(
    rb'()"?((?:[0-9A-Za-z.:\[\]]{1,50}, ?)*(?:[0-9A-Za-z.:\[\]]{2,50}|-))"? (\S{1,256})' + _WHEN + _TAIL, re.DOTALL
)
_LIST: Final = re.compile(
    rb'()"?((?:[0-9A-Za-z.:\[\]]{1,50}, ?)*(?:[0-9A-Za-z.:\[\]]{2,50}|-))"?()' + _WHEN + _TAIL, re.DOTALL
)
_ANY_QUOTED: Final = re.compile(_QUOTED)
_MAX_LIST_CHARS: Final = 2_048


class Layout(NamedTuple):
    """What stands before the time.

    Attributes:
        name: What people call a log of this layout that has referrers.
        pattern: Of a whole line.
        fields: Where the client comes from, in words.
    """

    name: str
    pattern: re.Pattern[bytes]
    fields: str


PLAIN: Final = Layout("combined", _CLIENT, "client from the first field")
VIRTUAL_HOST: Final = Layout("vhost_combined", _HOST_CLIENT, "host from the first field, client from the second")
LIST_AND_PEER: Final = Layout(
    "forwarded_combined", _LIST_CLIENT, "client from the list of addresses in the first field, proxy from the second"
)
LIST_ALONE: Final = Layout("forwarded_combined", _LIST, "client from the list of addresses in the first field")

LAYOUTS: Final = (VIRTUAL_HOST, PLAIN, LIST_AND_PEER, LIST_ALONE)
"""In the order in which they are tried: of two that fit equally well, the first is meant."""

NGINX_MAIN: Final = "nginx_main"
COMMON: Final = "common"


class CombinedFormat:
    """One layout.

    Args:
        layout: The layout.
        forwarded_at: Which quoted field behind the user agent is a list of addresses, from 0; None for none.
        referrers: Whether the log has referrers and user agents; without them it is the common format.
    """

    def __init__(self, layout: Layout = PLAIN, *, forwarded_at: int | None = None, referrers: bool = True) -> None:
        self._layout = layout
        self._fullmatch = layout.pattern.fullmatch
        self._forwarded_at = forwarded_at
        self._referrers = referrers

    @classmethod
    def seen_in(cls, layout: Layout, lines: Iterable[bytes]) -> CombinedFormat:
        """The format of these lines of a layout: with a list of addresses behind the user agent, or without."""
        rests, referrers = Counter[int](), False
        for line in lines:
            match = layout.pattern.fullmatch(line[:MAX_LINE_BYTES])
            if match is None:
                continue
            referrers = referrers or match[7] is not None
            for position, field in enumerate(_ANY_QUOTED.findall(match[9] or b"")):
                rests[position] += bool(addresses_in(plain_text(field)))
        best = max(rests, key=lambda position: rests[position], default=None)
        return cls(layout, forwarded_at=best if best is not None and rests[best] else None, referrers=referrers)

    @property
    def name(self) -> str:
        """What people call it."""
        if self._layout is not PLAIN:
            return self._layout.name
        if self._forwarded_at is not None:
            return NGINX_MAIN
        return self._layout.name if self._referrers else COMMON

    @property
    def fields(self) -> str:
        """Where the client comes from."""
        if self._forwarded_at is None:
            return self._layout.fields
        return f"{self._layout.fields}, addresses before it from quoted field {self._forwarded_at + 1} behind the agent"

    def parse(self, line: bytes) -> LoggedRequest:
        """Read one line; see :class:`LineFormat`."""
        if len(line) > MAX_LINE_BYTES:
            raise UnparseableLine(f"longer than {MAX_LINE_BYTES:,} bytes")
        match = self._fullmatch(line)
        if match is None:
            raise UnparseableLine(_what_is_missing(line))
        host, addresses, client, time, request, status, referrer, agent, rest = match.groups()
        method, target = request_words(request)
        agent_as_logged = field_text(agent) if agent else ""
        if self._layout is PLAIN and self._forwarded_at is None:
            named, peer, forwarded = logged_client(client), "", ""
        else:
            named, peer, forwarded = self._who(addresses, client, rest)
        return LoggedRequest(
            client=named,
            occurred_at_ms=log_time_ms(time),
            method=method,
            target=target,
            status=int(status),
            referrer="" if referrer is None or referrer == b"-" else field_text(referrer),
            user_agent=without_dash(agent_as_logged),
            agent_as_logged=agent_as_logged,
            host=_host(host, client) if host else "",
            peer=peer,
            forwarded=forwarded,
        )

    def _who(self, addresses: bytes, client: bytes, rest: bytes | None) -> tuple[str, str, str]:
        if not addresses:
            return logged_client(client), "", self._forwarded(rest)
        found = addresses_in(plain_text(addresses))
        if not found and addresses != b"-":
            raise UnparseableLine("the first field is no list of addresses")
        if client:
            peer = logged_client(client)
            return (nearest_public([*found, peer]) if found else peer), peer, ",".join(found)
        if not found:
            raise UnparseableLine("the client is neither an address nor a host name")
        return nearest_public(found), found[-1], ",".join(found[:-1])

    def _forwarded(self, rest: bytes | None) -> str:
        if self._forwarded_at is None or rest is None:
            return ""
        quoted = _ANY_QUOTED.findall(rest)
        if len(quoted) <= self._forwarded_at:
            return ""
        return without_dash(plain_text(quoted[self._forwarded_at])[:_MAX_LIST_CHARS])


def _host(host: bytes, client: bytes) -> str:
    text = plain_text(host)
    if not is_address(client) or (parse_address(text) is not None and ":" not in text):
        raise UnparseableLine("host and client are not there")
    found = canonical_host(text)
    if not found:
        raise UnparseableLine("the first field is no host")
    return found


def _what_is_missing(line: bytes) -> str:
    if not line.strip():
        return "the line is empty"
    if not re.match(rb"\S{1,256} .{1,600}? \[[^\]]{1,40}\] ", line):
        return "client and time are not there"
    opened = re.sub(rb"\\.", b"", line).count(b'"')
    if opened % 2:
        return "a quoted field is not closed"
    return "request and status are not there"
