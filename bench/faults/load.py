"""An open-loop load: every event is sent when it is due, whatever happened to those before, and its result is kept."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Final
from urllib.parse import urlsplit

ANSWER_SECONDS: Final = 15.0
"""The timeout of a request."""

_VISITORS: Final = 50
_PAGES: Final = 20


@dataclass(frozen=True)
class EventResult:
    """The result of one event.

    Attributes:
        event_id: Its id.
        due: When it was due, seconds of the monotonic clock.
        seconds: From then to the response, or to the timeout.
        status: The status of the response; 0 if there was none.
        retry_after: Whether the response had ``Retry-After``.
    """

    event_id: str
    due: float
    seconds: float
    status: int
    retry_after: bool


@dataclass
class Load:
    """Sends events of several stores, one per request, over persistent connections.

    Args:
        url: The collector's.
        keys: Write keys; each event takes the next one.
        per_second: Events per second.
        seed: The seed of random numbers.
    """

    url: str
    keys: Sequence[str]
    per_second: float
    seed: int = 1
    results: list[EventResult] = field(default_factory=list)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        self._idle: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()
        self._chance = random.Random(self.seed)
        # In turn, so that every store has events from the first second on.
        self._in_turn = cycle(self.keys)
        self._ended = threading.Event()

    @contextmanager
    def running(self) -> Iterator[Load]:
        """Send inside the context; its end waits for requests in flight."""
        thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            thread.join(2 * ANSWER_SECONDS)

    async def _run(self) -> None:
        under_way: set[asyncio.Task[None]] = set()
        due = time.monotonic()
        while not self._ended.is_set():
            task = asyncio.create_task(self._send(due))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            due += 1 / self.per_second
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        if under_way:
            await asyncio.wait(under_way, timeout=ANSWER_SECONDS)
        for _, writer in self._idle:
            writer.close()

    async def _send(self, due: float) -> None:
        event_id = uuid.uuid4().hex
        status, retry_after = 0, False
        with contextlib.suppress(OSError, EOFError, ValueError, TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                status, retry_after = await self._ask(self._request(event_id))
        self.results.append(EventResult(event_id, due, time.monotonic() - due, status, retry_after))

    def _request(self, event_id: str) -> bytes:
        event = {
            "event_id": event_id,
            "url": f"https://shop.example/{self._chance.randrange(_PAGES)}",
            "visitor_id": f"visitor-{self._chance.randrange(_VISITORS)}",
            "occurred_at": time.time_ns() // 1_000_000,
        }
        body = json.dumps(event).encode()
        key = next(self._in_turn)
        head = f"POST /v1/collect?key={key} HTTP/1.1\r\nhost: {self._host}\r\ncontent-length: {len(body)}\r\n\r\n"
        return head.encode() + body

    async def _ask(self, request: bytes) -> tuple[int, bool]:
        connection = self._idle.popleft() if self._idle else await asyncio.open_connection(self._host, self._port)
        reader, writer = connection
        done = False
        try:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = int(head.partition("content-length:")[2].partition("\r\n")[0] or 0)
            await reader.readexactly(length)
            done = "connection: close" not in head
            return int(head[9:12]), "retry-after:" in head
        finally:
            if done:
                self._idle.append(connection)
            else:
                writer.close()

    def acknowledged(self) -> set[str]:
        """Ids of accepted events."""
        return {result.event_id for result in self.results if result.status == 202}


def between(results: Sequence[EventResult], since: float, until: float) -> list[EventResult]:
    """The results that were due between two times of the monotonic clock."""
    return [result for result in results if since <= result.due < until]
