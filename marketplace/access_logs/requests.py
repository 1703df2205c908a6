"""One request as a server logged it, whatever the format, and how fields of a log become text."""

from __future__ import annotations

import re
from typing import Final, Protocol

import msgspec

from marketplace.hosts import canonical_host

MAX_LINE_BYTES: Final = 256 * 1024
"""A longer line is not parsed."""

_ESCAPE: Final = re.compile(rb"\\(x[0-9A-Fa-f]{2}|.)", re.DOTALL)
_CONTROL: Final = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f", b"b": b"\b"}
_AFTER_HOST: Final = re.compile(r"[/?#]")
_METHODS: Final = {name.encode(): name for name in ("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH")}
_METHOD: Final = re.compile(rb"[A-Za-z]{1,32}")


class UnparseableLine(ValueError):
    """The line does not have the format; it becomes a dead letter with this reason, and the import goes on."""


class LoggedRequest(msgspec.Struct, frozen=True, gc=False):
    """One request.

    Attributes:
        client: The client's address in its canonical form, or a host name; never empty.
        occurred_at_ms: The time of the log, epoch milliseconds.
        method: Upper case; empty where the request was not HTTP.
        target: The request's target, such as ``/page?x=1``, or an absolute URL; empty when the request was not HTTP.
        status: The HTTP status; 0 where there was no answer, None where the format has none.
        referrer: Empty when there was none.
        user_agent: Empty when there was none.
        agent_as_logged: The same, with ``-`` where the log has it.
        host: The virtual host in its one form (``canonical_host``); empty where the format has none.
        peer: Who made the connection, where that may be another than the client; else empty.
        forwarded: A list of addresses as ``X-Forwarded-For`` has it; empty where the format has none.
    """

    client: str
    occurred_at_ms: int
    method: str
    target: str
    status: int | None
    referrer: str = ""
    user_agent: str = ""
    agent_as_logged: str = ""
    host: str = ""
    peer: str = ""
    forwarded: str = ""


class LineFormat(Protocol):
    """A format of lines. Made for one file: a format may learn from the lines that it has read."""

    @property
    def name(self) -> str:
        """What people call it, such as ``combined``."""

    @property
    def fields(self) -> str:
        """Where the client and whatever else is not fixed by the name come from, in words; or empty."""

    def parse(self, line: bytes) -> LoggedRequest | None:
        """Read one line, given without its end; None for a line of the format that is no request (a heading).

        Raises:
            UnparseableLine: It does not have the format; the message says what is missing.
        """


def field_text(field: bytes) -> str:
    r"""A field as text: the servers' escapes (``\"``, ``\x16``) are undone; what is not UTF-8 is read as Latin-1."""
    if b"\\" in field:
        field = _ESCAPE.sub(_unescape, field)
    return plain_text(field)


def plain_text(field: bytes) -> str:
    """A field without escapes as text; what is not UTF-8 is read as Latin-1, so that no byte is lost."""
    try:
        return field.decode()
    except UnicodeDecodeError:
        return field.decode("latin-1")


def request_words(request: bytes) -> tuple[str, str]:
    """Method and target of a request line; both empty when it is not HTTP (``-``, the bytes of a TLS handshake)."""
    words = request.split(b" ")
    method = _METHODS.get(words[0])
    if len(words) < 2 or (method is None and not _METHOD.fullmatch(words[0])):
        return "", ""
    if len(words) > 2 and words[-1].startswith(b"HTTP/"):
        words.pop()
    return method or words[0].decode().upper(), field_text(words[1] if len(words) == 2 else b" ".join(words[1:]))


def host_of_target(target: str) -> str:
    """The host of a target that is an absolute URL, in its one form; empty for a path."""
    return (
        "" if target.startswith("/") else canonical_host(_AFTER_HOST.split(target.partition("://")[2], maxsplit=1)[0])
    )


def without_dash(text: str) -> str:
    """Empty for ``-``, which is how logs write that there was nothing."""
    return "" if text == "-" else text


def _unescape(match: re.Match[bytes]) -> bytes:
    escaped = match[1]
    if len(escaped) == 3:
        return bytes.fromhex(escaped[1:].decode())
    return _CONTROL.get(escaped, escaped)
