"""How long a process has not answered, and when that is a hang: a state machine without a clock.

Times are seconds of a clock that never goes back.
"""

from dataclasses import dataclass
from typing import Final

HANG_SECONDS: Final = 40.0
HANG_VARIABLE: Final = "MARKETPLACE_HANG_SECONDS"
LEAST_MISSES: Final = 3
"""So many checks in a row have to find no answer, however long each of them takes."""

_CHECK_EVERY_SECONDS: Final = 5.0
_CHECK_TIMEOUT_SECONDS: Final = 5.0
_ASK_AGAIN_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Timing:
    """How often a process is asked, and how long it may take to answer.

    Attributes:
        hang_seconds: a process that gives no answer for so long stands still.
        every_seconds: the pause after an answer.
        again_seconds: the pause after a check that found no answer.
        timeout_seconds: a check that takes longer found no answer.
    """

    hang_seconds: float
    every_seconds: float
    again_seconds: float
    timeout_seconds: float

    @staticmethod
    def of(hang_seconds: float) -> "Timing":
        """Several checks fit into a hang, and a hang is over within half as long again as it may last."""
        return Timing(
            hang_seconds,
            min(_CHECK_EVERY_SECONDS, hang_seconds / 8),
            min(_ASK_AGAIN_SECONDS, hang_seconds / 16),
            min(_CHECK_TIMEOUT_SECONDS, hang_seconds / 5),
        )


@dataclass(frozen=True, slots=True)
class Silence:
    """The checks since the last answer.

    Attributes:
        since: when the first of them began; None where the last check was answered.
        misses: how many have ended without an answer.
    """

    since: float | None = None
    misses: int = 0


ANSWERED: Final = Silence()


def missed(silence: Silence, began: float) -> Silence:
    """A check that began at that time found no answer."""
    return Silence(began if silence.since is None else silence.since, silence.misses + 1)


def lasts(silence: Silence, now: float) -> float:
    """Seconds without an answer."""
    return 0.0 if silence.since is None else max(0.0, now - silence.since)


def is_hang(silence: Silence, now: float, patience_seconds: float) -> bool:
    """Whether the process stands still: enough checks over the whole span found no answer."""
    return silence.misses >= LEAST_MISSES and lasts(silence, now) >= patience_seconds


def paused(silence: Silence, seconds: float) -> Silence:
    """Nobody was looking for so long, so that this time does not count."""
    return silence if silence.since is None else Silence(silence.since + seconds, silence.misses)
