"""Answers of queries, kept until the data that they are of has changed.

A store's *revision* names all events of it that are counted: it changes with each batch that has one. An answer is kept
with the revision that was read before its query ran, so whatever was counted by then is in it.

Queries run on a few threads of their own. Equal ones that are asked for at the same time run once, and one whose caller
went away runs to its end for the others. Who waits too long gets 503, and finds the answer there the next time.

No store takes all threads or all places of those who wait: while its queries are slow, or very many, other stores have
their answers. Revisions have threads of their own: what is kept is answered however many stores have slow queries.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, TypeVar

from connectors.errors import Unavailable
from runtime.worker_pool import PoolFull, WorkerPool

_Result = TypeVar("_Result")

QUERY_THREADS: Final = 8
REVISION_THREADS: Final = 4
MAX_WAITING: Final = 64
"""Queries, and revisions, that wait for a thread; more than these could not be answered in time."""
THREADS_OF_STORE: Final = 4
"""Queries of one store that run at one time."""
MAX_OF_STORE: Final = 24
"""Queries of one store that run or wait."""
WAIT_SECONDS: Final = 10.0
REVISION_SECONDS: Final = 0.5
"""How old a revision may be, from when it was asked for: so long after an event was counted an answer may still lack
it, and where ClickHouse takes longer for the revision, as long as that."""
MAX_BYTES: Final = 64 << 20
_ENTRY_BYTES: Final = 1_500
"""What an answer takes beside its bytes and the text of its question."""


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
        max_bytes: Of all answers that are kept, with what it takes to keep them.
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
        # Threads that hang in a query keep no process from ending.
        self._threads = WorkerPool(QUERY_THREADS, MAX_WAITING, "api-queries")
        self._revision_threads = WorkerPool(REVISION_THREADS, MAX_WAITING, "api-revisions")
        self._running: dict[Hashable, asyncio.Task[Any]] = {}
        self._of_store: Counter[str] = Counter()
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._revisions: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._answers: OrderedDict[Hashable, tuple[str, Encoded]] = OrderedDict()
        self._bytes = 0

    def close(self) -> None:
        """Start no further query; those that run end by themselves."""
        self._threads.close()
        self._revision_threads.close()

    @property
    def nbytes(self) -> int:
        """What all answers that are kept take."""
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
        found = Encoded.of(await self._once((key, revision), query, of_store=store))
        self._keep(key, revision, found)
        return found

    async def _revision(self, store: str) -> str:
        known = self._revisions.get(store)
        if known is not None and self._monotonic() < known[0]:
            return known[1]
        # The time is read before the question is sent: however long its answer takes, it is not older than that.
        asked_at, revision = await self._once(
            ("revision", store), lambda: (self._monotonic(), self._revision_of(store))
        )
        self._revisions[store] = (asked_at + REVISION_SECONDS, revision)
        self._revisions.move_to_end(store)
        while len(self._revisions) > 10_000:
            self._revisions.popitem(last=False)
        return revision

    async def _once(self, key: Hashable, query: Callable[[], _Result], of_store: str = "") -> _Result:
        """The result of a query, which is shared by all who ask for it at one time.

        Args:
            key: Names the query.
            query: Called on a thread.
            of_store: The store whose share of the threads it takes; empty for a revision.
        """
        task: asyncio.Task[_Result] | None = self._running.get(key)
        if task is None:
            revisions = self._of_store[""]
            same, threads = (
                (len(self._running) - revisions, QUERY_THREADS) if of_store else (revisions, REVISION_THREADS)
            )
            if same >= threads + MAX_WAITING or (of_store and self._of_store[of_store] >= MAX_OF_STORE):
                raise Unavailable("too many queries at the same time")
            task = asyncio.create_task(
                self._run_in_turn(query, of_store) if of_store else self._run(query, self._revision_threads)
            )
            self._running[key] = task
            self._of_store[of_store] += 1
            task.add_done_callback(lambda done: self._forget(key, of_store, done))
        done, _ = await asyncio.wait([task], timeout=self._wait_seconds)
        if not done:
            raise Unavailable("the query takes longer than an answer may")
        return task.result()

    async def _run_in_turn(self, query: Callable[[], _Result], store: str) -> _Result:
        async with self._turns.setdefault(store, asyncio.Semaphore(THREADS_OF_STORE)):
            return await self._run(query, self._threads)

    async def _run(self, query: Callable[[], _Result], threads: WorkerPool) -> _Result:
        try:
            return await asyncio.wrap_future(threads.submit(query))
        except PoolFull as error:
            raise Unavailable("the process ends") from error

    def _forget(self, key: Hashable, store: str, task: asyncio.Task[Any]) -> None:
        del self._running[key]
        self._of_store[store] -= 1
        if not self._of_store[store]:
            del self._of_store[store]
            self._turns.pop(store, None)
        # An error that nobody waits for any more has been raised to nobody.
        if not task.cancelled():
            task.exception()

    def _keep(self, key: Hashable, revision: str, found: Encoded) -> None:
        replaced = self._answers.pop(key, None)
        self._bytes += _size(key, found) - (_size(key, replaced[1]) if replaced else 0)
        self._answers[key] = (revision, found)
        while self._bytes > self._max_bytes:
            dropped, (_, answer) = self._answers.popitem(last=False)
            self._bytes -= _size(dropped, answer)


def _size(key: Hashable, found: Encoded) -> int:
    """What keeping an answer takes: many small ones with long questions take more than their bytes."""
    # A character of a text takes four bytes at most.
    return len(found.body) + 4 * len(repr(key)) + _ENTRY_BYTES
