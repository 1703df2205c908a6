"""Calls again while a part is unavailable: a flow pauses and keeps its place, and nothing is lost."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final, TypeVar

from connectors.errors import Unavailable
from runtime.backoff import Backoff
from runtime.progress import ProgressReport

log = logging.getLogger(__name__)

_BACKOFF: Final = Backoff(0.1, 0.2, 0.5, 1.0, 2.0)
_Answer = TypeVar("_Answer")


class UnavailableRetry:
    """Calls an action until it succeeds or the process is asked to leave.

    Args:
        report: Beats while a part is waited for, so that the supervisor knows that waiting is no hang.
        give_up: Whether to stop waiting, because the process is asked to leave.
        backoff: The pauses between attempts.
    """

    def __init__(self, report: ProgressReport, give_up: Callable[[], bool], backoff: Backoff = _BACKOFF) -> None:
        self._report, self._give_up, self._backoff = report, give_up, backoff

    def __call__(self, action: Callable[[], _Answer]) -> _Answer:
        """What the action returns.

        Raises:
            Unavailable: A part does not answer and the process is asked to leave.
        """
        attempt, last_error = 0, ""
        while True:
            try:
                answer = action()
            except Unavailable as error:
                if self._give_up():
                    raise
                if attempt in (1, 10) or attempt % 60 == 59:
                    log.warning("waiting, nothing is lost: %s", error)
                self._report.beat(waiting=str(error))
                attempt, last_error = attempt + 1, str(error)
                time.sleep(self._backoff.pause_seconds(attempt))
            else:
                if attempt > 1:
                    log.warning("resumed after %d attempts; last error: %s", attempt, last_error)
                return answer
