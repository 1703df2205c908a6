"""How long to pause after failures in a row."""

from __future__ import annotations

from typing import Final


class Backoff:
    """A schedule of pauses. Immutable; the caller counts the failures.

    Args:
        pauses_seconds: The pause after the first failure, after the second in a row, and so on; the last one repeats.

    Raises:
        ValueError: There is no pause, or a negative one.
    """

    def __init__(self, *pauses_seconds: float) -> None:
        if not pauses_seconds or min(pauses_seconds) < 0:
            raise ValueError(f"a backoff needs pauses of 0 s or more, not {pauses_seconds}")
        self._pauses_seconds: Final = pauses_seconds

    @staticmethod
    def doubling(first_seconds: float, longest_seconds: float) -> Backoff:
        """Each pause twice as long as the one before, up to the longest."""
        pauses = [first_seconds]
        while 0 < pauses[-1] < longest_seconds:
            pauses.append(min(2 * pauses[-1], longest_seconds))
        return Backoff(*pauses)

    @property
    def steps(self) -> int:
        """The number of failures in a row after which the pause is the longest."""
        return len(self._pauses_seconds)

    def pause_seconds(self, failures: int) -> float:
        """The pause after a number of failures in a row.

        Raises:
            ValueError: Less than one.
        """
        if failures < 1:
            raise ValueError(f"no pause follows {failures} failures")
        return self._pauses_seconds[min(failures, self.steps) - 1]
