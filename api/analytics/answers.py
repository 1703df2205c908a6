"""Answers of queries, kept until the data that they are of has changed.

A store's *revision* names all events of it that are counted: it changes with each batch that has one. An answer is kept
with the revision that was read before its query ran, so whatever was counted by then is in it.

Queries run on a few threads of their own. Equal ones that are asked for at the same time run once, and one whose caller
went away runs to its end for the others. Who waits too long gets 503, and finds the answer there the next time.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, TypeVar

from connectors.errors import Unavailable

_Result = TypeVar("_Result")

QUERY_THREADS: Final = 8
MAX_WAITING: Final = 64
"""Queries that wait for a thread; more than these could not be answered in time."""
WAIT_SECONDS: Final = 10.0
REVISION_SECONDS: Final = 0.5
"""How old a revision may be: so long after an event was counted an answer may still lack it."""
MAX_BYTES: Final = 64 << 20


@dataclass(frozen=True)
class Encoded:
    """An answer as it is sent.

    Attributes:
        body: Its bytes.
        etag: Names them.
    """

    body: bytes
    etag: str

    @staticmethod
    def of(body: bytes) -> Encoded:
        """An answer of these bytes."""
        return Encoded(body, f'"{blake2b(body, digest_size=16).hexdigest()}"')


class AnswerCache:
    """Runs queries and keeps their answers, for one event loop.

    Args:
        revision_of: From a store's slug to its revision; called on a thread.
        max_bytes: Of all answers that are kept.
        wait_seconds: How long a caller waits for a query.
        monotonic: Seconds of a monotonic clock.
    """

    def __init__(
        self,
        revision_of: Callable[[str], str],
        max_bytes: int = MAX_BYTES,
        wait_seconds: float = WAIT_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._revision_of, self._max_bytes, self._wait_seconds = revision_of, max_bytes, wait_seconds
        self._monotonic = monotonic
        self._threads = ThreadPoolExecutor(QUERY_THREADS, "api-queries")
        self._running: dict[Hashable, asyncio.Task[Any]] = {}
        self._revisions: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._answers: OrderedDict[Hashable, tuple[str, Encoded]] = OrderedDict()
        self._bytes = 0

    def close(self) -> None:
        """Start no further query; those that run end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def nbytes(self) -> int:
        """Bytes of all answers that are kept."""
        return self._bytes

    async def answer(self, store: str, question: Hashable, query: Callable[[], bytes]) -> Encoded:
        """The answer to a question about a store, as it is now.

        Args:
            store: The slug.
            question: What is asked; equal questions about a store have equal answers while its revision is the same.
            query: Gives the answer's bytes; called on a thread.

        Raises:
            Unavailable: There is no answer in time, or there are too many questions.
            InvalidQuery: What the query raises.
        """
        revision = await self._revision(store)
        key = (store, question)
        kept = self._answers.get(key)
        if kept is not None and kept[0] == revision:
            self._answers.move_to_end(key)
            return kept[1]
        found = Encoded.of(await self._once((key, revision), query))
        self._keep(key, revision, found)
        return found

    async def _revision(self, store: str) -> str:
        known = self._revisions.get(store)
        if known is not None and self._monotonic() < known[0]:
            return known[1]
        revision = await self._once(("revision", store), lambda: self._revision_of(store))
        self._revisions[store] = (self._monotonic() + REVISION_SECONDS, revision)
        self._revisions.move_to_end(store)
        while len(self._revisions) > 10_000:
            self._revisions.popitem(last=False)
        return revision

    async def _once(self, key: Hashable, query: Callable[[], _Result]) -> _Result:
        task: asyncio.Task[_Result] | None = self._running.get(key)
        if task is None:
            if len(self._running) >= QUERY_THREADS + MAX_WAITING:
                raise Unavailable("too many queries at the same time")
            task = asyncio.create_task(self._run(query))
            self._running[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        done, _ = await asyncio.wait([task], timeout=self._wait_seconds)
        if not done:
            raise Unavailable("the query takes longer than an answer may")
        return task.result()

    async def _run(self, query: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, query)

    def _forget(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        del self._running[key]
        # An error that nobody waits for any more has been raised to nobody.
        if not task.cancelled():
            task.exception()

    def _keep(self, key: Hashable, revision: str, found: Encoded) -> None:
        replaced = self._answers.pop(key, None)
        self._bytes += len(found.body) - (len(replaced[1].body) if replaced else 0)
        self._answers[key] = (revision, found)
        while self._bytes > self._max_bytes:
            _, (_, dropped) = self._answers.popitem(last=False)
            self._bytes -= len(dropped.body)
