"""Waiting for a part that is away: said once, bounded, and then an error."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from runtime.backoff import Backoff

_BACKOFF: Final = Backoff.doubling(0.5, 5.0)

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Patience:
    """How long to try again.

    Attributes:
        limit_seconds: Counted from the first failure of a call.
        say: Told the failure, once per failing call, and again when it went well.
        sleep: Pauses for some seconds.
        monotonic: Seconds of a monotonic clock.
    """

    limit_seconds: float
    say: Callable[[str], None]
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic

    def until_done(self, call: Callable[[], _Result], passing: type[Exception]) -> _Result:
        """Call until it returns.

        Args:
            call: Safe to repeat.
            passing: The error that may pass by itself; it is raised when it lasts longer than the limit.
        """
        failures = 0
        failed_at: float | None = None
        while True:
            try:
                result = call()
            except passing as error:
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
