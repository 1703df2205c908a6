"""Checks that run beside the supervisor's loop, each with a deadline that no client library can overrun."""

import threading
import time
from collections.abc import Callable
from typing import Final

from ops.stack.health.checks import Health, no_answer
from ops.stack.health.silence import ANSWERED, Silence, Timing, is_hang, lasts, missed, paused

MOST_CHECKS: Final = 64
"""Threads that may look at the same time. More are there only where clients hang for ever."""

_slots: Final = threading.BoundedSemaphore(MOST_CHECKS)
Ask = Callable[[float], Health]
"""Looks once; takes the seconds that it may take, and may take longer all the same."""


class RunningCheck:
    """One look on a thread of its own, which ends with the process at the latest.

    Raises:
        RuntimeError: too many looks have not returned yet.
    """

    def __init__(self, ask: Ask, timeout_seconds: float, now: float) -> None:
        self.began = now
        self._ask, self._timeout_seconds = ask, timeout_seconds
        self._found: Health | None = None
        if not _slots.acquire(blocking=False):
            raise RuntimeError(f"{MOST_CHECKS} checks have not returned yet")
        try:
            threading.Thread(target=self._look, name="check", daemon=True).start()
        except BaseException:
            _slots.release()
            raise

    @property
    def found(self) -> Health | None:
        """What it found, None while it looks."""
        return self._found

    def _look(self) -> None:
        try:
            self._found = self._ask(self._timeout_seconds)
        except Exception as error:
            self._found = no_answer(repr(error))
        finally:
            _slots.release()


class HealthWatch:
    """Asks one process again and again, one look at a time, and knows since when it does not answer.

    Args:
        ask: Looks at the process.
        timing: How often, and how long a look may take.
    """

    def __init__(self, ask: Ask, timing: Timing) -> None:
        self._ask, self._timing = ask, timing
        self._running: RunningCheck | None = None
        self._waited_since = 0.0
        self._next = float("-inf")
        self._silence: Silence = ANSWERED
        self.health: Health | None = None

    @property
    def healthy(self) -> bool:
        """Whether the latest look found it fine."""
        return self.health is not None and self.health.outcome == "fine"

    def start_over(self) -> None:
        """The process is another one from now on; a look at the one before it is not waited for."""
        self._running, self._next, self._silence, self.health = None, float("-inf"), ANSWERED, None

    def stood_still(self, seconds: float) -> None:
        """Nobody looked for so long: the process cannot be blamed for the time."""
        self._silence = paused(self._silence, seconds)
        self._waited_since += seconds

    def silent_seconds(self, now: float) -> float:
        """How long it has not answered."""
        return lasts(self._silence, now)

    def hangs(self, now: float, patience_seconds: float) -> bool:
        """Whether it stands still."""
        return is_hang(self._silence, now, patience_seconds)

    def look(self, now: float, every_seconds: float | None = None) -> Health | None:
        """Go on looking; call it a few times a second. Returns what was found since the last call.

        Args:
            now: Seconds of a monotonic clock.
            every_seconds: The pause after an answer, where it is not the usual one.
        """
        found = None if self._running is None else self._result(self._running, now)
        if found is not None:
            self.health = found
            pause = self._timing.every_seconds if every_seconds is None else every_seconds
            if found.outcome == "no answer":
                pause = min(pause, self._timing.again_seconds)
            self._next = now + pause
        if self._running is None and now >= self._next:
            try:
                self._running = RunningCheck(self._ask, self._timing.timeout_seconds, now)
                self._waited_since = now
            except RuntimeError:
                self._next = now + self._timing.again_seconds
        return found

    def _result(self, running: RunningCheck, now: float) -> Health | None:
        found = running.found
        if found is not None:
            self._running = None
            self._silence = missed(self._silence, self._waited_since) if found.outcome == "no answer" else ANSWERED
            return found
        # A look that does not return is not begun a second time: each further timeout is one more without an answer.
        if now - self._waited_since < self._timing.timeout_seconds:
            return None
        self._silence = missed(self._silence, self._waited_since)
        self._waited_since = now
        return no_answer(f"no answer within {self._timing.timeout_seconds:.0f} s")


def look_at_all(asks: dict[str, Ask], timeout_seconds: float) -> dict[str, Health]:
    """Look at several processes side by side, once; returns within the timeout what was found by then."""
    deadline = time.monotonic() + timeout_seconds
    running = {name: RunningCheck(ask, timeout_seconds, time.monotonic()) for name, ask in asks.items()}
    while any(check.found is None for check in running.values()) and time.monotonic() < deadline:
        time.sleep(0.02)
    late = no_answer(f"no answer within {timeout_seconds:.0f} s")
    return {name: check.found or late for name, check in running.items()}
