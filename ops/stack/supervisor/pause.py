"""The supervisor's pause: all its processes stand still for whoever holds the lock of a backup, and no longer.

The lock is the kernel's, so that however its holder ends, everything goes on within a tick; a holder that hangs is
outlasted by the time that it asked for. While it lasts, nothing is checked, started or ended.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from ops.stack.state.backup_lock import backup_is_under_way
from ops.stack.state.model import Pause
from ops.stack.state.requests import PauseRequest
from ops.stack.supervisor.standstill import DoesNotStandStill, Process, Standstill
from ops.stack.supervisor.watched import Watched

_STAND_SECONDS: Final = 5.0
_LOG: Final = logging.getLogger("ops.stack.supervisor")


class PauseKeeper:
    """Keeps the one pause that there may be.

    Args:
        data_dir: The stack's data folder.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._standstill = Standstill()
        self._most_seconds = 0.0
        self.pause: Pause | None = None

    def begin(self, request: PauseRequest, everyone: Iterable[Watched], now: float) -> None:
        """Let everybody stand still, unless whoever asked is gone by now.

        Services stop first and the log last, as at a stop: who is stopped later finds nobody who writes to it.
        """
        if self.pause is not None or not backup_is_under_way(self._data_dir):
            return
        self._most_seconds = request.most_seconds
        groups: dict[int, list[Process]] = defaultdict(list)
        for watched in everyone:
            if watched.spec is not None and watched.child is not None and watched.child.start is not None:
                groups[watched.spec.stop_rank].append(Process(watched.child.pid, watched.child.start))
        self.pause = Pause(request.token, now)
        try:
            self._standstill.begin([groups[rank] for rank in sorted(groups)], _STAND_SECONDS)
        except DoesNotStandStill as error:
            self._refuse(str(error))

    @property
    def stands_still(self) -> bool:
        """Whether nobody works now."""
        return self.pause is not None and not self.pause.problem

    def look(self, now: float) -> float:
        """Whether it is over; returns how long everything stood still, if it goes on since just now, else 0."""
        pause = self.pause
        if pause is None:
            return 0.0
        if not backup_is_under_way(self._data_dir):
            return self.end(now)
        if self.stands_still and now - pause.since > self._most_seconds:
            self._refuse(f"it took longer than {self._most_seconds:.0f} s")
            return now - pause.since
        return 0.0

    def end(self, now: float) -> float:
        """Let everybody go on; returns how long nobody did."""
        pause, self.pause = self.pause, None
        self._standstill.end()
        if pause is None or pause.problem:
            return 0.0
        _LOG.info("everything stood still for a backup, and goes on after %.1f s", now - pause.since)
        return now - pause.since

    def _refuse(self, problem: str) -> None:
        """Everything goes on, and whoever asked reads why."""
        self._standstill.end()
        assert self.pause is not None
        self.pause = replace(self.pause, problem=problem)
        _LOG.warning("a backup does not get its pause: %s; everything goes on", problem)
