"""A few threads of their own for calls that may block, with a bound on how many calls wait for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Generic, TypeVar

_Result = TypeVar("_Result")


class PoolFull(Exception):
    """As many calls wait as may; this one was not taken."""


class WorkerPool:
    """Runs blocking calls on threads that never keep the process from ending. Safe to share between threads.

    The standard library's pool takes any number of calls and waits for all of them when the process ends.

    Args:
        threads: How many calls run at one time; a thread is started when it is first needed.
        max_waiting: How many more may wait.
        name: Of the threads.
    """

    def __init__(self, threads: int, max_waiting: int, name: str) -> None:
        self._threads, self._max_waiting, self._name = threads, max_waiting, name
        self._calls: SimpleQueue[_Call[object] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._started = 0
        self._unfinished = 0
        self._closed = False

    def submit(self, call: Callable[[], _Result]) -> Future[_Result]:
        """Run a call on one of the threads; a future that is cancelled before its turn is not run.

        Raises:
            PoolFull: Too many wait, or the pool is closed.
        """
        with self._lock:
            if self._closed or self._unfinished >= self._threads + self._max_waiting:
                raise PoolFull(f"{self._name}: {self._unfinished} calls are not done")
            self._unfinished += 1
            start = self._started < min(self._threads, self._unfinished)
            self._started += start
        taken = _Call(call)
        self._calls.put(taken)  # type: ignore[arg-type]  # the queue only runs it
        if start:
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
        return taken.future

    def close(self) -> None:
        """Take no more calls and let the threads end when they are done; does not wait for them."""
        with self._lock:
            self._closed = True
            started = self._started
        for _ in range(started):
            self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call.run(self._finished)
            # A call that is done must not live on in this frame while the thread waits for the next.
            del call

    def _finished(self) -> None:
        with self._lock:
            self._unfinished -= 1


class _Call(Generic[_Result]):
    __slots__ = ("_run", "future")

    def __init__(self, run: Callable[[], _Result]) -> None:
        self._run = run
        self.future: Future[_Result] = Future()

    def run(self, finished: Callable[[], None]) -> None:
        if not self.future.set_running_or_notify_cancel():
            finished()
            return
        # The place is free before the result is seen: whoever waits for it may submit the next call at once.
        try:
            result = self._run()
        except BaseException as error:
            finished()
            self.future.set_exception(error)
        else:
            finished()
            self.future.set_result(result)
