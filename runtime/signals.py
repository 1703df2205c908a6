"""Stopping a process: the first signal asks, the second one ends it."""

from __future__ import annotations

import signal
import threading
from typing import Final

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Whether a process was asked to stop. Safe to share between threads.

    Work looks at :meth:`asked` between steps, finishes what it has begun and returns. Where that takes too long for
    whoever waits, a second signal ends the process at once: everything here survives a kill.
    """

    def __init__(self) -> None:
        self._event = threading.Event()

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
        self._event.set()

    def asked(self) -> bool:
        """Whether to stop."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for a stop request, at most ``seconds``; returns whether to stop."""
        return self._event.wait(seconds)


def stop_on_signals() -> StopRequest:
    """A request that SIGTERM and SIGINT make; see :meth:`StopRequest.install`."""
    stop = StopRequest()
    stop.install()
    return stop
