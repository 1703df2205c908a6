"""The supervisor's eye on the disk: what is free now, when it was logged, and when there is room again."""

import logging
from pathlib import Path
from typing import Final

from ops.stack.disk.space import Disk, look_at_disk, what_to_do

_LOOK_SECONDS: Final = 3.0
_REMIND_SECONDS: Final = 300.0
_LOG: Final = logging.getLogger("ops.stack.supervisor")


class DiskWatch:
    """Looks every few seconds, and logs that little is left once and then every few minutes.

    Args:
        data_dir: A folder on the disk.
        low_mb: Less than so much is little.
    """

    def __init__(self, data_dir: Path, low_mb: int) -> None:
        self._data_dir, self._low_mb = data_dir, low_mb
        self._next_look = self._next_reminder = float("-inf")
        self.disk: Disk | None = None

    def look(self, now: float) -> bool:
        """Look if it is time. Returns True when there is room again after little was left.

        Args:
            now: Seconds of a monotonic clock.
        """
        if now < self._next_look:
            return False
        self._next_look = now + _LOOK_SECONDS
        before = self.disk
        try:
            self.disk = look_at_disk(self._data_dir, self._low_mb)
        except OSError as error:
            # What was seen last stands: whether there was little is needed when there is room again.
            _LOG.warning("the disk cannot be looked at: %s", error)
            return False
        if self.disk.low and now >= self._next_reminder:
            self._next_reminder = now + _REMIND_SECONDS
            _LOG.warning("%s", what_to_do(self.disk))
        if before is not None and before.low and not self.disk.low:
            self._next_reminder = float("-inf")
            _LOG.info("the disk has room again: %s", self.disk)
            return True
        return False
