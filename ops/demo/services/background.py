"""Work beside the main thread, which keeps the processes: they die with the thread that forked them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from connectors.errors import Unavailable

_Answer = TypeVar("_Answer")
_PATIENCE_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.2


class Background(threading.Thread, Generic[_Answer]):
    """Runs something; what it answers or raises is kept for :meth:`result`.

    Args:
        work: What to run.
        name: The thread's name.
    """

    def __init__(self, work: Callable[[], _Answer], name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._work = work
        self._answers: list[_Answer] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        """Work."""
        try:
            self._answers.append(self._work())
        except BaseException as error:
            self._error = error

    def result(self) -> _Answer:
        """Wait for the end; gives the answer.

        Raises:
            BaseException: What the work raised.
        """
        self.join()
        if self._error is not None:
            raise self._error
        return self._answers[0]


def again(ask: Callable[[], _Answer]) -> _Answer:
    """Ask again while a part is being started again; somebody else starts it.

    Raises:
        Unavailable: It stays away.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return ask()
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_SECONDS)
