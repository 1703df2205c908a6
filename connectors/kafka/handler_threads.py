"""Threads on which handlers run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue


class HandlerThreads:
    """Runs calls in the order in which they come. The threads never keep the process from ending.

    The standard library's pool waits for its threads when the process ends, and a handler may hang for good.

    Args:
        count: How many calls run at one time.
        name: Of the threads.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        for number in range(count):
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True).start()

    def submit(self, call: Callable[[], None]) -> None:
        """Run a call, which must not raise."""
        self._calls.put(call)

    def close(self) -> None:
        """Let the threads end after what was submitted; does not wait for them."""
        for _ in range(self._count):
            self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
