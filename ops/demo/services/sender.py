"""Sends traffic to the collector's HTTP endpoints, over a few persistent connections.

It retries as a good client should: a request that was not answered, or answered with 429 or 5xx, is sent again with the
same event ids, not sooner than ``Retry-After`` says, and not for ever.
"""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from backports import zstd

from ops.demo.traffic.requests import Post
from runtime.backoff import Backoff

_ANSWER_SECONDS: Final = 30.0
_BACKOFF: Final = Backoff(0.1, 0.25, 0.5, 1.0, 2.0)
_TRY_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class SendFailed(Exception):
    """The collector refused a valid request, or was unavailable for too long; the message says which."""


class _Answer(msgspec.Struct):
    accepted: int = 0
    rejected: int = 0


@dataclass
class Sent:
    """Counts of what was sent, and of the collector's responses.

    Attributes:
        events: Events in requests that were answered.
        accepted, rejected: Events, from the collector's responses.
        requests: Answered requests.
        retries: Attempts that had no response, or one after which to try again.
    """

    events: int = 0
    accepted: int = 0
    rejected: int = 0
    requests: int = 0
    retries: int = 0


@dataclass
class Target:
    """The collector and its keys.

    Attributes:
        host, port: The collector's address.
        write_keys: Write keys by the shop's name.
        import_keys: Import keys by the shop's name.
        retry_seconds: How long one request is retried.
        on_accepted: Called with each request whose events were all accepted, and the time (monotonic seconds).
    """

    host: str
    port: int
    write_keys: Mapping[str, str]
    retry_seconds: float = 120.0
    on_accepted: Callable[[Post, float], None] = field(default=lambda post, at: None)
    import_keys: Mapping[str, str] = field(default_factory=dict)


class Pace:
    """Spreads events over time.

    Args:
        events_per_second: The rate; 0 is unlimited.
    """

    def __init__(self, events_per_second: float) -> None:
        self._gap_seconds = 1 / events_per_second if events_per_second > 0 else 0.0
        self._free_at = 0.0

    def wait_seconds(self, events: int, now: float) -> float:
        """How long these events must wait; counts them as sent."""
        at = max(self._free_at, now)
        self._free_at = at + events * self._gap_seconds
        return at - now


class Sender:
    """Sends requests over several connections.

    Args:
        target: Where to send.
        connections: How many requests are in flight at a time.
    """

    def __init__(self, target: Target, connections: int = 24) -> None:
        self._target, self._connections = target, connections
        self._stopped = False
        self.sent = Sent()

    def stop(self) -> None:
        """Send no new requests; those in flight are completed. May be called from another thread."""
        self._stopped = True

    def send_all(self, posts: Iterator[Post], events_per_second: float = 0) -> None:
        """Send all requests; returns when all are answered.

        Args:
            posts: The requests, in order.
            events_per_second: The rate; 0 is as fast as possible.

        Raises:
            SendFailed: A request was refused, or could not be delivered in time.
        """
        with first_error():
            asyncio.run(self._send_all(posts, Pace(events_per_second)))

    async def _send_all(self, posts: Iterator[Post], pace: Pace) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self._connections):
                group.create_task(self._work(posts, pace))

    async def _work(self, posts: Iterator[Post], pace: Pace) -> None:
        connection = Connection(self._target)
        try:
            while not self._stopped and (post := next(posts, None)) is not None:
                await asyncio.sleep(pace.wait_seconds(post.size, time.monotonic()))
                await self.deliver(connection, post)
        finally:
            connection.close()

    async def deliver(self, connection: Connection, post: Post) -> None:
        """Send one request, with retries.

        Raises:
            SendFailed: It was refused, or could not be delivered in time.
        """
        give_up = time.monotonic() + self._target.retry_seconds
        attempt = 0
        while True:
            try:
                status, headers, body = await connection.ask(post)
            except (OSError, EOFError, TimeoutError, ValueError) as error:
                status, headers, body = 0, {}, f"{type(error).__name__}: {error}".encode()
                connection.close()
            if status not in _TRY_AGAIN and status != 0:
                return self._answered(post, status, body)
            if time.monotonic() > give_up or self._stopped:
                patience = self._target.retry_seconds
                raise SendFailed(f"the collector did not take events for {patience:g} s: {_say(body)}")
            self.sent.retries += 1
            pause = _BACKOFF.pause_seconds(attempt + 1)
            await asyncio.sleep(max(pause, _seconds(headers.get("retry-after", ""))))
            attempt += 1

    def _answered(self, post: Post, status: int, body: bytes) -> None:
        if status not in (202, 400):
            raise SendFailed(f"the collector answered {status}: {_say(body)}")
        answer = msgspec.json.decode(body, type=_Answer)
        if answer.accepted + answer.rejected == 0:
            answer.rejected = post.size
        self.sent.requests += 1
        self.sent.events += post.size
        self.sent.accepted += answer.accepted
        self.sent.rejected += answer.rejected
        if not answer.rejected:
            self._target.on_accepted(post, time.monotonic())


class Connection:
    """One HTTP/1.1 connection, opened when needed and kept open.

    Args:
        target: Where to send.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, post: Post) -> tuple[int, dict[str, str], bytes]:
        """Send a request and read its response: status, headers (lower case) and body.

        Raises:
            OSError, EOFError, TimeoutError, ValueError: There is no response; the connection must be closed.
        """
        async with asyncio.timeout(_ANSWER_SECONDS):
            if self._streams is None:
                self._streams = await asyncio.open_connection(self._target.host, self._target.port)
            reader, writer = self._streams
            writer.write(self._request(post))
            await writer.drain()
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            fields = (line.partition(":") for line in head[1:])
            headers = {name.strip().lower(): value.strip() for name, _, value in fields}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return int(head[0].split(" ", 2)[1]), headers, body

    def close(self) -> None:
        """Close it; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    def _request(self, post: Post) -> bytes:
        body = encode_body(post, time.time_ns() // 1_000_000)
        if post.encoding == "gzip":
            body = gzip.compress(body, compresslevel=1)
        elif post.encoding == "zstd":
            body = zstd.compress(body)
        lines = [
            f"POST /v1/{'import' if post.history else 'collect'} HTTP/1.1",
            f"host: {self._target.host}:{self._target.port}",
            "content-type: application/json",
            f"content-length: {len(body)}",
            f"x-forwarded-for: {post.address}",
        ]
        if post.history:
            lines.append(f"authorization: Bearer {self._target.import_keys[post.shop.name]}")
        else:
            lines.append(f"x-write-key: {self._target.write_keys[post.shop.name]}")
            lines.append(f"origin: https://{post.shop.domain}")
        lines += [f"user-agent: {post.user_agent}"] if post.user_agent else []
        lines += [f"content-encoding: {post.encoding}"] if post.encoding else []
        lines += ["dnt: 1", "sec-gpc: 1"] if post.opted_out else []
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@contextmanager
def first_error() -> Iterator[None]:
    """Raise only the first of several errors of concurrent connections."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None


def encode_body(post: Post, now_ms: int) -> bytes:
    """The body of a request that is sent at ``now_ms`` (epoch ms, true time)."""
    if post.raw is not None:
        return post.raw
    if post.ahead_ms is None:
        events: Any = post.events[0] if len(post.events) == 1 else post.events
        return msgspec.json.encode(events)
    return msgspec.json.encode({"sent_at": max(0, now_ms + post.ahead_ms), "events": post.events})


def _seconds(text: str) -> float:
    return min(float(text), 30.0) if text.isdecimal() else 0.0


def _say(body: bytes) -> str:
    return " ".join(body[:200].decode("utf-8", "replace").split())
