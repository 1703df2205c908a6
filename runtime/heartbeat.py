"""A sign that the event loop runs, which a thread outside of it can read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

_BEAT_SECONDS: Final = 1.0


class Heartbeat:
    """When the event loop last ran; the time of its making counts as the first beat.

    Args:
        monotonic: Seconds of a monotonic clock.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._beat_at = monotonic()

    def beat(self) -> None:
        """The loop runs."""
        self._beat_at = self._monotonic()

    @property
    def silent_seconds(self) -> float:
        """How long ago the last beat was."""
        return self._monotonic() - self._beat_at

    async def keep(self) -> None:
        """Beat every second, until it is cancelled."""
        while True:
            self.beat()
            await asyncio.sleep(_BEAT_SECONDS)
