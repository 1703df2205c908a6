"""When to ask a part again that was away: soon at first, then ever more seldom, so that its absence stops nothing."""

from __future__ import annotations

from typing import Final

_PAUSES_SECONDS: Final = (0.5, 1.0, 2.0, 5.0, 10.0)


class Patience:
    """The memory of one part's absence; all who ask that part share it."""

    def __init__(self) -> None:
        self._failures = 0
        self._again_at = float("-inf")

    @property
    def away(self) -> bool:
        """Whether the last question was not answered."""
        return self._failures > 0

    def may_ask(self, now: float) -> bool:
        """Whether the part is worth a question, which may take seconds if it is still away.

        Args:
            now: Seconds of a monotonic clock.
        """
        return now >= self._again_at

    def failed(self, now: float) -> None:
        """Remember that the part did not answer."""
        self._again_at = now + _PAUSES_SECONDS[min(self._failures, len(_PAUSES_SECONDS) - 1)]
        self._failures += 1

    def answered(self) -> None:
        """Forget the absence."""
        self._failures = 0
        self._again_at = float("-inf")
