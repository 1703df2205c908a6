"""HTTP/1.1 on one connection, with a bound on everything that a client decides.

Uvicorn's protocol parses in C, and waits for ever, collects without end and queues whatever it is sent. What is added
here is only when to give up; what a request means stays uvicorn's.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ingest.http.connections import Connections

MAX_HEAD_BYTES: Final = 32 * 1024
"""Of the fields before and after a body, each counted with what it takes to hold it."""

MAX_PIPELINED: Final = 8
"""Requests that may wait for the answers of those before them."""

_FREE_PIECES: Final = 1_000
_LEAST_PIECE_BYTES: Final = 64
"""Each piece of a body is work, however small: after some, they have to hold so much on average."""

_FIELD_BYTES: Final = 32
"""Added to each field, as HTTP/2 does (RFC 9113, section 6.5.2)."""

_TOO_MANY: Final = (
    b"HTTP/1.1 429 Too Many Requests\r\nconnection: close\r\nretry-after: 2\r\ncontent-type: application/json\r\n"
    b'content-length: 108\r\n\r\n{"error": {"code": "too_many_connections", "message": "too many connections from this '
    b'address", "path": ""}}'
)
"""Written to a connection before it has asked anything, and then it is closed."""

_OFFERS: Final = frozenset({b"upgrade", b"http2-settings"})


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Attributes of the class are the settings; see :func:`bounded_protocol`.

    A connection on which no answer is owed must bring the whole of its next head before the deadline, or is closed,
    whatever it brings instead: nothing, a part of a head, or a body that was answered before it was read. Who does not
    take an answer in as much time is cut off.
    """

    head_timeout_seconds: float
    open_connections: Connections

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None
        self._in_head = True
        self._ended = False
        self._fields_bytes = 0
        # Received since a head or a piece of a body was last whole: what the parser holds is no more.
        self._unread_bytes = 0
        self._pieces = self._body_bytes = 0

    @property
    def _owes(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def idle(self) -> bool:
        """Whether no answer is owed."""
        return not self._owes

    def close_idle(self) -> None:
        """Make room for another connection."""
        self._close()

    @property
    def _peer(self) -> str:
        return self.client[0] if self.client else ""

    def connection_made(self, transport: Any) -> None:
        """Start the first head's time, unless the client has too many connections."""
        super().connection_made(transport)
        if self.open_connections.admit(self, self._peer):
            self._watch()
        else:
            transport.write(_TOO_MANY)
            self._close()

    def data_received(self, data: bytes) -> None:
        """Parse what has come; closes the connection where it goes beyond a bound."""
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self._unread_bytes += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse("Invalid HTTP request received.")
        if self.transport.is_closing():
            return
        if self._unread_bytes > MAX_HEAD_BYTES:
            self._refuse("The head is too large.")
        elif not self._owes:
            self._watch()

    def _feed(self, data: bytes) -> None:
        """Parse; an offer to speak another protocol is not taken up, and the request is one like any other.

        The parser takes what follows such a head for the other protocol, so it is given the head again without it.
        """
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._head_without_offers() + data[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            else:
                return

    def _head_without_offers(self) -> bytes:
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                kept = [token for token in value.split(b",") if token.strip().lower() not in _OFFERS]
                value = b",".join(kept)
            if name not in _OFFERS:
                lines.append(b"%s: %s" % (name, value))
        return b"\r\n".join([*lines, b"", b""])

    def _refuse(self, why: str) -> None:
        if self._owes:
            # An answer out of turn would be taken for the one that is owed.
            self._close()
        else:
            self.send_400_response(why)
            self._close()

    def _close(self) -> None:
        """Close once all is sent, or when nobody takes it."""
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self.pause_writing()

    def _watch(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.head_timeout_seconds, self._close)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._fields_bytes, self._in_head = 0, True

    def on_url(self, url: bytes) -> None:
        """A part of the address."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field, of the head or behind the body."""
        self._count(len(name) + len(value) + _FIELD_BYTES)
        if self._in_head:
            super().on_header(name, value)
        elif name.lower() == b"connection":
            # Behind a body no field means anything, but the parser has heard this one and may listen no more.
            self.cycle.keep_alive = False

    def _count(self, nbytes: int) -> None:
        self._fields_bytes += nbytes
        if self._fields_bytes > MAX_HEAD_BYTES:
            raise ValueError("too many fields")

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if self.parser.get_method() == b"CONNECT" or len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError("no such request is taken")
        if self.parser.should_upgrade():
            return
        if any(name == b"transfer-encoding" and value.lower() != b"chunked" for name, value in self.headers):
            raise ValueError("the body is sent in a way that is not known")
        if self.parser.get_http_version() == "1.0":
            self.expect_100_continue = False
        self._unwatch()
        self._unread_bytes, self._in_head = 0, False
        self._pieces = self._body_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._unread_bytes = 0
        self._pieces += 1
        self._body_bytes += len(body)
        if self._pieces > _FREE_PIECES and self._body_bytes < _LEAST_PIECE_BYTES * self._pieces:
            raise ValueError("the body comes in too many small pieces")
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if not self.parser.should_upgrade():
            self._unread_bytes = 0
            super().on_message_complete()

    def pause_writing(self) -> None:
        """The client does not take what it asked for."""
        super().pause_writing()
        if self._stuck is None:
            self._stuck = self.loop.call_later(self.head_timeout_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """It goes on."""
        super().resume_writing()
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio asks whether to stay open
        """Nothing more will be asked; what was asked for wholly is answered."""
        self._ended = self._owes and not self.cycle.more_body
        return self._ended

    def on_response_complete(self) -> None:
        """An answer was written, though perhaps not taken."""
        super().on_response_complete()
        if self.transport.is_closing() or (self._ended and not self._owes):
            self._close()

    def timeout_keep_alive_handler(self) -> None:
        """Nothing was asked for long."""
        self._close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is left to wait for."""
        self.open_connections.remove(self, self._peer)
        self._unwatch()
        if self._stuck is not None:
            self._stuck.cancel()
        super().connection_lost(exc)


def bounded_protocol(head_timeout_seconds: float, connections: Connections) -> type[BoundedProtocol]:
    """The protocol with a time for heads, and where its connections are counted."""
    settings = {"head_timeout_seconds": head_timeout_seconds, "open_connections": connections}
    return type("Protocol", (BoundedProtocol,), settings)
