"""Shared by the in-memory twins: they can be unavailable, slow or hang, like the real parts."""

from __future__ import annotations

import threading


class Twin:
    """How a twin responds.

    Attributes:
        available: Set to False, it fails at once, as if connections were refused.
        latency_seconds: How long each response takes.
    """

    def __init__(self) -> None:
        self.available = True
        self.latency_seconds = 0.0
        self._answering = threading.Event()
        self._answering.set()

    def hang(self) -> None:
        """Stop responding until :meth:`release`, like a process that was stopped."""
        self._answering.clear()

    def release(self) -> None:
        """Respond again, also to calls that are waiting."""
        self._answering.set()

    @property
    def hangs(self) -> bool:
        """Whether it does not respond."""
        return not self._answering.is_set()

    def _answers(self, deadline_seconds: float) -> bool:
        """Block until it responds; returns False if it does not within the deadline."""
        if not self._answering.wait(deadline_seconds):
            return False
        if self.latency_seconds:
            late = self.latency_seconds > deadline_seconds
            threading.Event().wait(min(self.latency_seconds, deadline_seconds))
            if late:
                return False
        return self.available
