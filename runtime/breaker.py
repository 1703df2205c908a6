"""Asking a dependency again after it failed: soon at first, then less often, and by one caller at a time."""

from __future__ import annotations

import threading
from typing import Final

from runtime.backoff import Backoff

BACKOFF: Final = Backoff(0.5, 1.0, 2.0, 5.0, 10.0)
PROBE_SECONDS: Final = 10.0


class CircuitBreaker:
    """Lets calls fail fast while a dependency fails. Safe to share between threads; the time is passed in.

    Closed, it admits every call. A failure opens it: calls fail fast until a pause is over. Then one call is admitted
    as a probe, and the others still fail fast until it has reported. A probe that fails makes the next pause longer; a
    success closes the breaker. Each admitted call gets a ticket, by which failures of calls that were admitted before
    the last change are known and change nothing.

    Args:
        backoff: The pauses after failures in a row.
        probe_seconds: A probe that has not reported after so long no longer keeps others from probing.
    """

    def __init__(self, backoff: Backoff = BACKOFF, probe_seconds: float = PROBE_SECONDS) -> None:
        self._backoff, self._probe_seconds = backoff, probe_seconds
        self._lock = threading.Lock()
        self._failures = 0
        self._retry_at = float("-inf")
        self._probe_until: float | None = None
        self._ticket = 1

    @property
    def open(self) -> bool:
        """Whether the dependency failed and has not succeeded since."""
        return self._failures > 0

    def retry_after(self, now: float) -> float:
        """Seconds until the next probe may begin; 0 where one may begin now, or none is needed.

        Args:
            now: Seconds of a monotonic clock, as for all methods.
        """
        with self._lock:
            until = self._retry_at if self._probe_until is None else max(self._retry_at, self._probe_until)
            return max(0.0, until - now) if self._failures else 0.0

    def admit(self, now: float) -> int:
        """A ticket for a call, which then has to report; 0 where the call must not be made."""
        with self._lock:
            if not self._failures:
                return self._ticket
            if now < self._retry_at or (self._probe_until is not None and now < self._probe_until):
                return 0
            self._probe_until = now + self._probe_seconds
            self._ticket += 1
            return self._ticket

    def failed(self, now: float, ticket: int) -> None:
        """The dependency did not answer a call, or not in time."""
        with self._lock:
            if ticket != self._ticket:
                return
            self._failures += 1
            self._retry_at = now + self._backoff.pause_seconds(self._failures)
            self._probe_until = None
            self._ticket += 1

    def succeeded(self) -> None:
        """The dependency answered, whomever."""
        if not self._failures:
            return
        with self._lock:
            self._failures = 0
            self._retry_at, self._probe_until = float("-inf"), None
            self._ticket += 1
