r"""Lines of an access log in the combined format of Apache and nginx.

A line can be parsed when client, time, request and status are there; size, referrer and user agent may be missing (the
common format), and more may follow. A quoted field that is opened must be closed: a line cut short in the middle of its
user agent is not a line with a short user agent. A request that is not HTTP (``"-"``, the bytes of a TLS handshake) has
no page, but it was a request and counts as one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from hashlib import blake2b
from typing import Final

MAX_LINE_BYTES: Final = 256 * 1024
"""A longer line is not parsed."""

ASSET_EXTENSIONS: Final = frozenset(
    extension
    for kind in (
        "css js mjs map wasm webmanifest",
        "png jpg jpeg jpe gif svg svgz webp avif bmp ico cur tif tiff heic",
        "woff woff2 ttf otf eot",
        "mp3 m4a ogg oga opus wav flac aac",
        "mp4 m4v webm ogv avi mov mpg mpeg m3u8 ts vtt",
    )
    for extension in kind.split()
)
"""File types that browsers load along with a page; a request for one is not a page view."""

_QUOTED: Final = rb'"((?:[^"\\]|\\.)*+)"'
_LINE: Final = re.compile(
    rb"(\S{1,256}) \S{1,256} .{1,256}? \[([^\]]{1,40})\] " + _QUOTED + rb" (\d{3})"
    rb"(?: (?:\d+|-)(?: " + _QUOTED + rb"(?: " + _QUOTED + rb"(?: .*)?)?)?)?",
    re.DOTALL,
)
_TIME: Final = re.compile(rb"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)")
_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"), start=1
    )
}
_ESCAPE: Final = re.compile(rb"\\(x[0-9A-Fa-f]{2}|.)", re.DOTALL)
_CONTROL: Final = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f", b"b": b"\b"}
_METHOD: Final = re.compile(rb"[A-Za-z]{1,32}")
_SCHEME: Final = re.compile(r"https?://", re.IGNORECASE)


class UnparseableLine(ValueError):
    """The line does not have the format; it becomes a dead letter with this reason, and the import goes on."""


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request as a server logged it.

    Attributes:
        client: The client's address or host name, in full.
        occurred_at_ms: The time of the log, epoch milliseconds.
        target: The request's target, such as ``/page?x=1``; empty when the request was not HTTP.
        status: The HTTP status.
        referrer: Empty when there was none.
        user_agent: Empty when there was none.
        agent_as_logged: The same, with ``-`` where the log has it.
    """

    client: str
    occurred_at_ms: int
    target: str
    status: int
    referrer: str
    user_agent: str
    agent_as_logged: str


def parse_line(line: bytes) -> LoggedRequest:
    r"""Read one line.

    Args:
        line: Its bytes without the line's end. A field that is not UTF-8 is read as Latin-1, so that no byte is lost;
            the servers' escapes (``\"``, ``\x16``) are undone.

    Raises:
        UnparseableLine: It does not have the format; the message says what is missing.
    """
    if len(line) > MAX_LINE_BYTES:
        raise UnparseableLine(f"longer than {MAX_LINE_BYTES:,} bytes")
    match = _LINE.fullmatch(line)
    if match is None:
        raise UnparseableLine(_what_is_missing(line))
    client, time, request, status, referrer, agent = match.groups()
    agent_as_logged = _text(agent or b"")
    return LoggedRequest(
        client=_text(client),
        occurred_at_ms=parse_log_time_ms(time),
        target=_target(request),
        status=int(status),
        referrer="" if referrer in (None, b"-") else _text(referrer),
        user_agent="" if agent_as_logged == "-" else agent_as_logged,
        agent_as_logged=agent_as_logged,
    )


@lru_cache(maxsize=1_024)
def parse_log_time_ms(text: bytes) -> int:
    """Epoch milliseconds of ``17/May/2015:10:05:03 +0000``.

    Raises:
        UnparseableLine: Not of that form, not a date, or before 1970.
    """
    match = _TIME.fullmatch(text)
    if match is None or match[2] not in _MONTHS:
        raise UnparseableLine("the time is not of the form 17/May/2015:10:05:03 +0000")
    day, year, hour, minute, second = (int(match[group]) for group in (1, 3, 4, 5, 6))
    offset = timedelta(hours=int(match[8]), minutes=int(match[9]))
    try:
        zone = timezone(offset if match[7] == b"+" else -offset)
        # A leap second is logged as :60; it is the last moment of its minute for every clock after it.
        instant = datetime(year, _MONTHS[match[2]], day, hour, minute, min(second, 59), tzinfo=zone)
        seconds = int(instant.astimezone(UTC).timestamp())
    except (ValueError, OverflowError) as error:
        raise UnparseableLine(f"the time is not a date: {error}") from None
    if seconds < 0:
        raise UnparseableLine("the time is before 1970")
    return seconds * 1000


def is_asset(target: str) -> bool:
    """Whether a request's target is a file that browsers load along with a page; see ``ASSET_EXTENSIONS``."""
    path = target.partition("?")[0].partition("#")[0]
    _, dot, extension = path.rpartition(".")
    return bool(dot) and extension.lower() in ASSET_EXTENSIONS


def page_url(target: str, domain: str) -> str:
    """The page's absolute URL.

    Args:
        target: A path, or an absolute URL as proxies get it; anything else, and an empty one, gives an empty string.
        domain: The store's own host.
    """
    if target.startswith("/"):
        return f"https://{domain}{target}"
    return target if _SCHEME.match(target) else ""


class LineIds:
    """Gives every line an id that is the same in every import.

    The id covers the store, the line and how many equal lines came before it in the files of one import: importing a
    file again, or a longer version of it, gives the same ids, and two equal lines give two. It is keyed by the store's
    secret: a line has an address, and a plain hash of one could be reversed by trying all of them.

    Equal lines are counted among the last ``max_lines`` to ``2 * max_lines`` distinct ones (about 100 bytes each).
    Since equal lines carry the same second, more than that between two of them does not happen in a log.

    Args:
        store: The store's slug.
        secret: The store's visitor secret, 64 hex digits.
        max_lines: The bound.
    """

    def __init__(self, store: str, secret: str, *, max_lines: int = 1_000_000) -> None:
        self._key = bytes.fromhex(secret)
        self._prefix = store.encode() + b"\x00"
        self._max_lines = max_lines
        self._recent: dict[int, int] = {}
        self._older: dict[int, int] = {}

    def next_id(self, line: bytes) -> str:
        """32 hex digits for the next line, given without its line end."""
        digest = blake2b(self._prefix + line, digest_size=16, key=self._key).digest()
        ordinal = self._count(int.from_bytes(digest[:8], "big"))
        return blake2b(digest + ordinal.to_bytes(8, "big"), digest_size=16, key=self._key).hexdigest()

    def remembered(self) -> int:
        """The number of distinct lines in memory, at most ``2 * max_lines``."""
        return len(self._recent) + len(self._older)

    def _count(self, name: int) -> int:
        seen = self._recent.get(name)
        if seen is None:
            seen = self._older.get(name, 0)
            if len(self._recent) >= self._max_lines:
                self._older, self._recent = self._recent, {}
        self._recent[name] = seen + 1
        return seen


def _target(request: bytes) -> str:
    words = request.split(b" ")
    if len(words) < 2 or not _METHOD.fullmatch(words[0]):
        return ""
    if len(words) > 2 and words[-1].startswith(b"HTTP/"):
        words.pop()
    return _text(b" ".join(words[1:]))


def _text(field: bytes) -> str:
    if b"\\" in field:
        field = _ESCAPE.sub(_unescape, field)
    try:
        return field.decode()
    except UnicodeDecodeError:
        return field.decode("latin-1")


def _unescape(match: re.Match[bytes]) -> bytes:
    escaped = match[1]
    if len(escaped) == 3:
        return bytes.fromhex(escaped[1:].decode())
    return _CONTROL.get(escaped, escaped)


def _what_is_missing(line: bytes) -> str:
    if not line.strip():
        return "the line is empty"
    if not re.match(rb"\S{1,256} \S{1,256} .{1,256}? \[[^\]]{1,40}\] ", line):
        return "client and time are not there"
    opened = re.sub(rb"\\.", b"", line).count(b'"')
    if opened % 2:
        return "a quoted field is not closed"
    return "request and status are not there"
