"""How many records a batch may hold, so that none takes so long that it looks like a hang or delays everybody else."""

from __future__ import annotations

from typing import Final

FIRST_RECORDS: Final = 5_000
LEAST_RECORDS: Final = 500
TARGET_SECONDS: Final = 4.0
"""A batch of ordinary events takes a sixth of this; one in which every value is new can take thirty seconds."""


class BatchLimit:
    """Follows the cost of batches: an expensive one makes the next ones smaller, cheap ones let them grow again.

    Where a log is cut changes no number, so this may depend on the clock.

    Args:
        most_records: The upper bound.
        target_seconds: What a batch should not take longer than.
    """

    def __init__(self, most_records: int, target_seconds: float = TARGET_SECONDS) -> None:
        self._most, self._target_seconds = most_records, target_seconds
        self.records = min(FIRST_RECORDS, most_records)

    def observe(self, records: int, seconds: float) -> None:
        """Adjust the limit to a batch's duration."""
        if seconds > self._target_seconds:
            fitting = int(records * self._target_seconds / seconds)
            self.records = min(self.records, max(min(LEAST_RECORDS, self._most), fitting))
        elif 2 * records >= self.records and 4 * seconds < self._target_seconds:
            self.records = min(self._most, 2 * self.records)
