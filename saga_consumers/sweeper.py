"""What a consumer does by itself, on a thread of its own: events never wait for it, and it never waits for events."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from connectors.errors import Unavailable
from saga_consumers.consumer import SagaConsumer
from saga_consumers.sweeps import SomeFailed

_log = logging.getLogger(__name__)

BACKOFF_SECONDS: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses after the first, second, ... sweep in a row that failed; the last one repeats."""

OVERDUE_SECONDS: Final = 60.0
"""A sweep that takes longer is a problem: what it calls has timeouts far below that."""


@dataclass
class SweepCounts:
    """Since the start.

    Attributes:
        acted: Rows that were due and were acted on.
        errors: Sweeps that failed, in whole or for some rows.
    """

    acted: int = 0
    errors: int = 0


class Sweeper:
    """Sweeps until it is stopped.

    Args:
        consumer: Whose sweep.
        clock: The time that is passed to it.
        monotonic: Seconds of a monotonic clock.
        backoff_seconds: Pauses after failures in a row.
    """

    def __init__(
        self,
        consumer: SagaConsumer,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        backoff_seconds: tuple[float, ...] = BACKOFF_SECONDS,
    ) -> None:
        self._consumer, self._clock, self._monotonic = consumer, clock, monotonic
        self._backoff_seconds = backoff_seconds
        self._stopping = threading.Event()
        self._began: float | None = None
        self._failures, self._failure = 0, ""
        self._thread: threading.Thread | None = None
        self.counts = SweepCounts()

    def start(self) -> None:
        """Begin, on a thread."""
        self._thread = threading.Thread(target=self._run, name=f"sweep-{self._consumer.service}", daemon=True)
        self._thread.start()

    def stop(self, timeout_seconds: float) -> bool:
        """End after the sweep that is running; returns whether that was in time. One that was cut off does no harm."""
        self._stopping.set()
        if self._thread is None:
            return True
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def overdue_seconds(self) -> float:
        """For how long the running sweep is overdue; 0 where it is not."""
        began = self._began
        return 0.0 if began is None else max(0.0, self._monotonic() - began - OVERDUE_SECONDS)

    def problem(self) -> str:
        """Why it does not work; empty where it does."""
        if self.overdue_seconds():
            return f"a sweep has been running for {self.overdue_seconds() + OVERDUE_SECONDS:.0f} s"
        return f"sweeps fail: {self._failure}" if self._failures >= 2 else ""

    def step(self) -> float:
        """Sweep once; returns after how many seconds to do it again, which is 0 where there may be more to do."""
        self._began = self._monotonic()
        try:
            acted = self._consumer.sweep(self._clock())
        except Exception as error:
            if not isinstance(error, (Unavailable, SomeFailed)):
                _log.exception("%s: a sweep failed", self._consumer.service)
            self.counts.acted += error.acted if isinstance(error, SomeFailed) else 0
            self.counts.errors += 1
            self._failures, self._failure = self._failures + 1, f"{type(error).__name__}: {error}"
            return self._backoff_seconds[min(self._failures, len(self._backoff_seconds)) - 1]
        finally:
            self._began = None
        self._failures, self._failure = 0, ""
        self.counts.acted += acted
        return 0.0 if acted else self._consumer.sweep_seconds

    def _run(self) -> None:
        while not self._stopping.is_set():
            pause = self.step()
            if pause:
                self._stopping.wait(pause)
