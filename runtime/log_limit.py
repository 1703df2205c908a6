"""A bound on log lines of one kind: what a client can cause a million times is written a few times and counted."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_MOST_KINDS: Final = 1_000

Kind = tuple[str, int, str]
"""Logger, level and message before its arguments are put in."""


class RepeatLimit(logging.Filter):
    """Limits log lines of a kind in each interval; the first line of the next interval says how many were left out.

    Add it to a handler, so that lines of all loggers pass it.

    Args:
        most: Lines of a kind in an interval.
        interval_seconds: How long an interval is.
        monotonic: Seconds of a monotonic clock.
    """

    def __init__(
        self, most: int = 10, interval_seconds: float = 60.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._most, self._interval_seconds, self._monotonic = most, interval_seconds, monotonic
        self._lock = threading.Lock()
        self._seen: OrderedDict[Kind, tuple[float, int]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written; adds to it how many of its kind were not."""
        kind, now = (record.name, record.levelno, str(record.msg)), self._monotonic()
        with self._lock:
            began, count = self._seen.get(kind, (now, 0))
            suppressed = 0
            if now - began >= self._interval_seconds:
                suppressed, began, count = max(0, count - self._most), now, 0
            self._seen[kind] = (began, count + 1)
            self._seen.move_to_end(kind)
            while len(self._seen) > _MOST_KINDS:
                self._seen.popitem(last=False)
        if count >= self._most:
            return False
        if suppressed:
            record.msg = f"{record.getMessage()} ({suppressed:,} more like it were not written)"
            record.args = None
        return True
