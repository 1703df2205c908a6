"""Work on background threads.

The main thread watches child processes, and must start them: they die with the thread that forked them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from connectors.errors import Unavailable

_Result = TypeVar("_Result")
_RETRY_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.2


class Background(threading.Thread, Generic[_Result]):
    """A thread that keeps its function's result or error for :meth:`result`.

    Args:
        work: The function.
        name: The thread's name.
    """

    def __init__(self, work: Callable[[], _Result], name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._work = work
        self._results: list[_Result] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        """Call the function."""
        try:
            self._results.append(self._work())
        except BaseException as error:
            self._error = error

    def result(self) -> _Result:
        """Wait for the function to return, and return its result.

        Raises:
            BaseException: What the function raised.
        """
        self.join()
        if self._error is not None:
            raise self._error
        return self._results[0]


def retry_unavailable(call: Callable[[], _Result], meanwhile: Callable[[], None] = lambda: None) -> _Result:
    """Call a function until it does not raise ``Unavailable``: the supervisor restarts parts meanwhile.

    Args:
        call: The function.
        meanwhile: Called after each attempt that failed.

    Raises:
        Unavailable: The part was unavailable for too long.
    """
    deadline = time.monotonic() + _RETRY_SECONDS
    while True:
        try:
            return call()
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            meanwhile()
            time.sleep(_PAUSE_SECONDS)
