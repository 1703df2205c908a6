"""Stopping a process: the first signal asks, the second one ends it."""

from __future__ import annotations

import queue
import signal
from typing import Final

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Whether a process was asked to stop. Safe to share between threads.

    Work looks at :meth:`asked` between steps, finishes what it has begun and returns. Where that takes too long for
    whoever waits, a second signal ends the process at once: everything here survives a kill.
    """

    def __init__(self) -> None:
        self._asked = False
        # A handler runs on the main thread between any two instructions, those of its own wait included. The lock of
        # an event or a condition may be taken there already, and would be waited for without end; a simple queue is
        # made for that.
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()

    def install(self) -> None:
        """Take SIGTERM and SIGINT from now on; on the main thread, by an entrypoint.

        From the first of them on both have the system's own effect, which needs no thread of Python to be free.
        """

        def take(_number: int, _frame: object) -> None:
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            self.ask()

        for number in _SIGNALS:
            signal.signal(number, take)

    def ask(self) -> None:
        """Ask to stop, without a signal."""
        if not self._asked:
            self._asked = True
            self._wakes.put(None)

    def asked(self) -> bool:
        """Whether to stop."""
        return self._asked

    def wait(self, seconds: float) -> bool:
        """Wait for a stop request, at most ``seconds``; returns whether to stop."""
        try:
            self._wakes.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return self._asked
        # For whoever waits as well, or will.
        self._wakes.put(None)
        return True


def stop_on_signals() -> StopRequest:
    """A request that SIGTERM and SIGINT make; see :meth:`StopRequest.install`."""
    stop = StopRequest()
    stop.install()
    return stop
