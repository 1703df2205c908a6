"""What the in-memory twins share: they can be unavailable, crawl and hang, as what they stand for can."""

from __future__ import annotations

import threading


class Twin:
    """How a twin answers.

    Attributes:
        available: Set to False, it fails at once, as if connections were refused.
        latency_seconds: How long each answer takes.
    """

    def __init__(self) -> None:
        self.available = True
        self.latency_seconds = 0.0
        self._answering = threading.Event()
        self._answering.set()

    def hang(self) -> None:
        """Answer nothing until :meth:`release`, as a process that was stopped."""
        self._answering.clear()

    def release(self) -> None:
        """Answer what waits, and all that comes."""
        self._answering.set()

    @property
    def hangs(self) -> bool:
        """Whether it answers nothing."""
        return not self._answering.is_set()

    def _answers(self, deadline_seconds: float) -> bool:
        """Block until it answers, up to a deadline; returns False where it does not."""
        if not self._answering.wait(deadline_seconds):
            return False
        if self.latency_seconds:
            late = self.latency_seconds > deadline_seconds
            threading.Event().wait(min(self.latency_seconds, deadline_seconds))
            if late:
                return False
        return self.available
