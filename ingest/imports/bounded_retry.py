"""Retries a call while a part is unavailable, up to a time limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from runtime.backoff import Backoff

_BACKOFF: Final = Backoff.doubling(0.5, 5.0)

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class BoundedRetry:
    """Retries with growing pauses for a limited time.

    Attributes:
        limit_seconds: The limit, counted from the first failure of a call.
        say: Called with a message on the first failure of a call, and when the call succeeds after all.
        sleep: Pauses for some seconds.
        monotonic: Seconds of a monotonic clock.
    """

    limit_seconds: float
    say: Callable[[str], None]
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic

    def until_done(self, call: Callable[[], _Result], transient: type[Exception]) -> _Result:
        """The result of the call, retried until it succeeds.

        Args:
            call: Safe to repeat.
            transient: The transient error that is retried; it is raised once it lasts longer than the limit.
        """
        failures = 0
        failed_at: float | None = None
        while True:
            try:
                result = call()
            except transient as error:
                now = self.monotonic()
                if failed_at is None:
                    failed_at = now
                    self.say(f"{error}; trying again for up to {self.limit_seconds:g} s")
                if now - failed_at >= self.limit_seconds:
                    raise
                failures += 1
                self.sleep(min(_BACKOFF.pause_seconds(failures), self.limit_seconds))
            else:
                if failed_at is not None:
                    self.say("it answers again: going on")
                return result
