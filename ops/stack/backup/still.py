"""A running stack that stands still for a backup, as the backup sees it."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ops.stack.errors import StackError
from ops.stack.state.backup_lock import backup_lock
from ops.stack.state.inspection import latest_state
from ops.stack.state.model import Pause
from ops.stack.state.requests import PauseRequest, request_pause

LONGEST_PAUSE_SECONDS: Final = 120.0
_BEGIN_SECONDS: Final = 15.0
_END_SECONDS: Final = 15.0
_POLL_SECONDS: Final = 0.01


class Still:
    """A pause of the stack of a data folder.

    Attributes:
        seconds: How long everything stood still, once it is over.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._since: float | None = None
        self.token = uuid.uuid4().hex
        self.seconds = 0.0

    def wait_for_begin(self) -> None:
        """Return when everything stands still.

        Raises:
            StackError: It does not.
        """
        deadline = time.monotonic() + _BEGIN_SECONDS
        while (pause := self._pause()) is None:
            state = latest_state(self._data_dir)
            if state is None or state.phase != "running":
                raise StackError("the stack was stopped before it stood still")
            if time.monotonic() > deadline:
                text = "the supervisor does not let its processes stand still"
                raise StackError(f"{text}: is it of an earlier version? Back up after 'marketplace down'")
            time.sleep(_POLL_SECONDS)
        self._since = pause.since
        self.check()

    def check(self) -> None:
        """Make sure that nobody has worked since the begin.

        Raises:
            StackError: Somebody has.
        """
        pause = self._pause()
        if pause is None:
            raise StackError("the stack was stopped or went on while it was copied")
        if pause.problem:
            raise StackError(f"the stack does not stand still: {pause.problem}")

    def wait_for_end(self) -> None:
        """Return when everything goes on, or its supervisor has had time enough for it."""
        if self._since is None:
            return
        deadline = time.monotonic() + _END_SECONDS
        while self._pause() is not None and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        self.seconds = time.monotonic() - self._since

    def _pause(self) -> Pause | None:
        state = latest_state(self._data_dir)
        pause = state.pause if state is not None and state.phase == "running" else None
        return pause if pause is not None and pause.token == self.token else None


@contextmanager
def standing_still(data_dir: Path, most_seconds: float = LONGEST_PAUSE_SECONDS) -> Iterator[Still]:
    """Let a running stack stand still meanwhile. However this process ends, it goes on.

    Args:
        data_dir: The stack's data folder.
        most_seconds: For no longer than this.

    Raises:
        StackError: It does not stand still, or did not until the end, so that what was copied is worth nothing.
    """
    still = Still(data_dir)
    try:
        with backup_lock(data_dir):
            request_pause(data_dir, PauseRequest(still.token, most_seconds))
            still.wait_for_begin()
            yield still
            still.check()
    finally:
        still.wait_for_end()
