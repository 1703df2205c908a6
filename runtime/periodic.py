"""A function that is called again and again by a thread of its own, so that nobody waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from connectors.errors import Unavailable

_EVERY_SECONDS: Final = 0.1


class PeriodicThread:
    """Calls a function again and again. What it raises comes out where :meth:`check` is called.

    Args:
        action: Returns soon where there is nothing to do. ``Unavailable`` means: again later.
        every_seconds: The pause between two calls.
    """

    def __init__(self, action: Callable[[], None], every_seconds: float = _EVERY_SECONDS) -> None:
        self._action, self._every = action, every_seconds
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    def check(self) -> None:
        """Raise what ended the thread, if anything did."""
        if self._error is not None:
            raise self._error

    def end(self) -> None:
        """Let the thread end, and wait for it."""
        self._ended.set()
        self.wait()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the thread has ended, or so long."""
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        try:
            while not self._ended.wait(self._every):
                with suppress(Unavailable):
                    self._action()
        except BaseException as error:  # it is not lost: whoever is served by this thread ends by it
            self._error = error
