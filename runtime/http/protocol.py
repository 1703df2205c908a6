"""HTTP/1.1 on one connection, with a limit on everything that a client decides.

Uvicorn's protocol parses in C, but it waits without a deadline, and collects and queues input without a limit. This
class only adds when to give up; uvicorn decides what a request means.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from runtime.http.connections import Connections

MAX_HEAD_BYTES: Final = 32 * 1024
"""The limit of header and trailer fields, each counted with an overhead."""

MAX_PIPELINED: Final = 8
"""The most pipelined requests that wait for the responses to earlier ones."""

_FREE_PIECES: Final = 1_000
_LEAST_PIECE_BYTES: Final = 64
"""Each chunk of a body costs work, however small: beyond some free ones, chunks must have this size on average."""

_FIELD_BYTES: Final = 32
"""Added to each field, as HTTP/2 does (RFC 9113, section 6.5.2)."""

_TOO_MANY: Final = b"HTTP/1.1 429 Too Many Requests\r\nconnection: close\r\nretry-after: 2\r\n"

_OFFERS: Final = frozenset({b"upgrade", b"http2-settings"})


class BoundedProtocol(HttpToolsProtocol):
    """One connection. The class attributes are the settings; see :func:`bounded_protocol`.

    While no response is due, the client must send a complete request head before the deadline, or the connection is
    closed, whatever else it sends: nothing, part of a head, or the rest of a body that was already answered. A client
    that does not read a response within the same time is disconnected.
    """

    head_timeout_seconds: float
    open_connections: Connections
    refusal: bytes

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None
        self._in_head = True
        self._ended = False
        self._handed_over = False
        self._fields_bytes = 0
        # Received since the last complete head or chunk: an upper bound of what the parser buffers.
        self._unread_bytes = 0
        self._pieces = self._body_bytes = 0

    @property
    def _owes(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def idle(self) -> bool:
        """Whether no response is due."""
        return not self._owes

    def close_idle(self) -> None:
        """Make room for another connection."""
        self._close()

    @property
    def _peer(self) -> str:
        return self.client[0] if self.client else ""

    def connection_made(self, transport: Any) -> None:
        """Start the first head's deadline, unless the client has too many connections."""
        super().connection_made(transport)
        if self.open_connections.admit(self, self._peer):
            self._watch()
        else:
            transport.write(self.refusal)
            self._close()

    def data_received(self, data: bytes) -> None:
        """Parse received bytes; closes the connection where they exceed a limit."""
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self._unread_bytes += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse("Invalid HTTP request received.")
        if self._handed_over or self.transport.is_closing():
            return
        if self._unread_bytes > MAX_HEAD_BYTES:
            self._refuse("The head is too large.")
        elif not self._owes:
            self._watch()

    def _feed(self, data: bytes) -> None:
        """Parse; an offer to upgrade to another protocol is ignored, and the request is handled like any other.

        Where the application has websockets, an offer of one is taken up, and the connection is bounded by them alone.
        The parser treats what follows such a head as the other protocol, so the head is parsed again without the offer.
        """
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if self._should_upgrade():
                    self._hand_over()
                    return
                data = self._head_without_offers() + data[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            else:
                return

    def _hand_over(self) -> None:
        if self._owes:
            # What is still to be sent of an earlier response would be taken for messages.
            self._close()
            return
        self._handed_over = True
        self._forget()
        self.handle_websocket_upgrade()

    def _forget(self) -> None:
        """Let go of the connection: its place and its timers."""
        self.open_connections.remove(self, self._peer)
        self._unwatch()
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

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
            # An error response now would be taken for the response to an earlier request.
            self._close()
        else:
            self.send_400_response(why)
            self._close()

    def _close(self) -> None:
        """Close once all is sent, or when the client does not read it in time."""
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
        """A request head begins."""
        super().on_message_begin()
        self._fields_bytes, self._in_head = 0, True

    def on_url(self, url: bytes) -> None:
        """A part of the request's URL."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header or trailer field."""
        self._count(len(name) + len(value) + _FIELD_BYTES)
        if self._in_head:
            super().on_header(name, value)
        elif name.lower() == b"connection":
            # Trailers are ignored, but the parser has seen this one and may accept no further request.
            self.cycle.keep_alive = False

    def _count(self, nbytes: int) -> None:
        self._fields_bytes += nbytes
        if self._fields_bytes > MAX_HEAD_BYTES:
            raise ValueError("too many fields")

    def on_headers_complete(self) -> None:
        """The request head is complete."""
        if self.parser.get_method() == b"CONNECT" or len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError("no such request is taken")
        if self.parser.should_upgrade():
            if self._should_upgrade():
                super().on_headers_complete()
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
        """A chunk of the body."""
        self._unread_bytes = 0
        self._pieces += 1
        self._body_bytes += len(body)
        if self._pieces > _FREE_PIECES and self._body_bytes < _LEAST_PIECE_BYTES * self._pieces:
            raise ValueError("the body comes in too many small pieces")
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        if not self.parser.should_upgrade():
            self._unread_bytes = 0
            super().on_message_complete()

    def pause_writing(self) -> None:
        """The client does not read the response; start its deadline."""
        super().pause_writing()
        if self._stuck is None:
            self._stuck = self.loop.call_later(self.head_timeout_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio asks whether to stay open
        """The client sends nothing more; requests that are complete are still answered."""
        self._ended = self._owes and not self.cycle.more_body
        return self._ended

    def on_response_complete(self) -> None:
        """A response was written; the client may not have read it yet."""
        super().on_response_complete()
        if self.transport.is_closing() or (self._ended and not self._owes):
            self._close()

    def timeout_keep_alive_handler(self) -> None:
        """No request came for the keep-alive time."""
        self._close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timers and remove the connection."""
        self._forget()
        super().connection_lost(exc)


def bounded_protocol(
    head_timeout_seconds: float, connections: Connections, media_type: str, body: bytes
) -> type[BoundedProtocol]:
    """The protocol class with its settings.

    Args:
        head_timeout_seconds: For a request's head to come, and for a client to read.
        connections: Counts them.
        media_type: Of the body below.
        body: What is written to a connection that is refused, without waiting for a request: a 429.
    """
    head = b"content-type: %s\r\ncontent-length: %d\r\n\r\n" % (media_type.encode(), len(body))
    settings = {
        "head_timeout_seconds": head_timeout_seconds,
        "open_connections": connections,
        "refusal": _TOO_MANY + head + body,
    }
    return type("Protocol", (BoundedProtocol,), settings)
