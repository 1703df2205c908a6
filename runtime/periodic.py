"""A thread that calls a function periodically, so that no caller waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from connectors.errors import Unavailable

_EVERY_SECONDS: Final = 0.1


class PeriodicThread:
    """Calls a function with pauses between. What the function raises, :meth:`check` raises on the caller's thread.

    Args:
        action: Returns soon where there is nothing to do. After ``Unavailable`` it is called again like after a return;
            any other error ends the thread.
        every_seconds: The pause between two calls.
    """

    def __init__(self, action: Callable[[], None], every_seconds: float = _EVERY_SECONDS) -> None:
        self._action, self._every_seconds = action, every_seconds
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="periodic", daemon=True)

    def start(self) -> None:
        """Start the thread; once."""
        self._thread.start()

    def check(self) -> None:
        """Raise what ended the thread, if an error did."""
        if self._error is not None:
            raise self._error

    def end(self) -> None:
        """Let the thread end after the call that is under way, and wait for it."""
        self._ended.set()
        self.wait()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the thread has ended, at most ``seconds``."""
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        try:
            while not self._ended.wait(self._every_seconds):
                with suppress(Unavailable):
                    self._action()
        except BaseException as error:  # not lost: :meth:`check` raises it
            self._error = error
