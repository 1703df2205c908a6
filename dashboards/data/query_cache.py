"""Results of queries, shared by all viewers for a few seconds; queries run concurrently."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

_Result = TypeVar("_Result")

MAX_ENTRIES: Final = 2_000
_THREADS: Final = 32
"""They only wait for databases."""


class QueryCache:
    """A cache of query results with a time to live; equal queries that run at the same time are run once.

    Thread-safe.

    Args:
        clock: A monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._pool = ThreadPoolExecutor(_THREADS, "queries")
        self._entries: OrderedDict[Hashable, tuple[float, Future[Any]]] = OrderedDict()

    def submit(self, key: Hashable, seconds: float, query: Callable[[], _Result]) -> Future[_Result]:
        """Run a query on a thread, unless its result is cached or it is running; does not wait.

        Args:
            key: Identifies the query: equal keys share a result.
            seconds: How long the result stays valid after it arrived.
            query: Returns the result. An error is raised to all callers that wait for it, and is not cached.
        """
        with self._lock:
            now = self._clock()
            until, future = self._entries.get(key, (now, None))
            if future is not None and (not future.done() or (until > now and future.exception() is None)):
                self._entries.move_to_end(key)
                return future
            started = self._pool.submit(query)
            self._entries[key] = (now + seconds, started)
            self._entries.move_to_end(key)
            self._evict(now)
        started.add_done_callback(lambda done: self._extend(key, done, seconds))
        return started

    def forget(self, key: Hashable) -> None:
        """Let the next query of that key run: neither what is cached nor what is running is its result any more."""
        with self._lock:
            self._entries.pop(key, None)

    def _extend(self, key: Hashable, done: Future[Any], seconds: float) -> None:
        with self._lock:
            if self._entries.get(key, (0.0, None))[1] is done:
                self._entries[key] = (self._clock() + seconds, done)

    def _evict(self, now: float) -> None:
        while self._entries:
            until, oldest = next(iter(self._entries.values()))
            if len(self._entries) <= MAX_ENTRIES and (until > now or not oldest.done()):
                break
            self._entries.popitem(last=False)

    def close(self) -> None:
        """Cancel queries that have not started; later ones are refused."""
        self._pool.shutdown(cancel_futures=True)
