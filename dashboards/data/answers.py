"""Answers that viewers share for a moment, asked for side by side."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

_Answer = TypeVar("_Answer")

MAX_HELD: Final = 2_000
_THREADS: Final = 32
"""They only wait for answers."""


class Answers:
    """Remembers answers for seconds. Who asks for what is being asked already waits for the same answer.

    Safe to share between threads.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._pool = ThreadPoolExecutor(_THREADS, "answers")
        self._held: OrderedDict[Hashable, tuple[float, Future[Any]]] = OrderedDict()

    def begin(self, key: Hashable, seconds: float, ask: Callable[[], _Answer]) -> Future[_Answer]:
        """Ask, unless an answer is at hand; do not wait.

        Args:
            key: Equal keys have equal answers.
            seconds: How long an answer stays good, from when it came.
            ask: Gives the answer. An error is told to all who wait for it, and to nobody later.
        """
        with self._lock:
            now = self._clock()
            until, future = self._held.get(key, (now, None))
            if future is not None and (not future.done() or (until > now and future.exception() is None)):
                self._held.move_to_end(key)
                return future
            begun = self._pool.submit(ask)
            self._held[key] = (now + seconds, begun)
            self._held.move_to_end(key)
            self._forget(now)
        begun.add_done_callback(lambda done: self._came(key, done, seconds))
        return begun

    def _came(self, key: Hashable, done: Future[Any], seconds: float) -> None:
        with self._lock:
            if self._held.get(key, (0.0, None))[1] is done:
                self._held[key] = (self._clock() + seconds, done)

    def _forget(self, now: float) -> None:
        while self._held:
            until, oldest = next(iter(self._held.values()))
            if len(self._held) <= MAX_HELD and (until > now or not oldest.done()):
                break
            self._held.popitem(last=False)

    def close(self) -> None:
        """Ask nothing more."""
        self._pool.shutdown(cancel_futures=True)
