"""Why a flow's process leaves, noted where it is raised: an engine with several workers forgets it on the way.

What that means for the set of processes, its supervisor reads here too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from connectors.errors import Fenced, Refused, Unavailable
from runtime.progress import Ending, ProgressReport
from runtime.settings import InvalidSettings
from runtime.supervision import ProcessState

EXIT_FAILED: Final = 1
EXIT_SETTINGS: Final = 2
EXIT_FENCED: Final = 3
EXIT_REFUSED: Final = 4
EXIT_UNAVAILABLE: Final = 5

EXIT_CODES: Final[dict[Ending, int]] = {
    "fenced": EXIT_FENCED,
    "refused": EXIT_REFUSED,
    "unavailable": EXIT_UNAVAILABLE,
}

FINAL_EXITS: Final[Mapping[int, ProcessState]] = {
    EXIT_FENCED: ProcessState.FENCED,
    EXIT_REFUSED: ProcessState.REFUSED,
    EXIT_SETTINGS: ProcessState.REFUSED,
}
"""After these the set is not started again: two that were would fence each other by turns."""
UNAVAILABLE_EXITS: Final = frozenset({EXIT_UNAVAILABLE})
MEANINGS: Final[Mapping[int, str]] = {
    EXIT_FENCED: "stopped, a newer start of the flow has taken over",
    EXIT_REFUSED: "stopped, it was refused",
    EXIT_SETTINGS: "stopped: its settings cannot be used",
}
_DECISIVE_EXITS: Final = (EXIT_FENCED, EXIT_REFUSED, EXIT_SETTINGS, EXIT_UNAVAILABLE)
"""Where processes of a set left with several codes, the first of these is that of the set."""


def ending_of(error: BaseException) -> tuple[Ending, str]:
    """What an error means for the process, and its text; an empty ending where it means nothing special.

    Causes count too: what a step raises may come wrapped.
    """
    cause: BaseException | None = error
    seen = set[int]()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, Fenced):
            return "fenced", str(cause)
        if isinstance(cause, Refused | InvalidSettings):
            return "refused", str(cause)
        if isinstance(cause, Unavailable):
            return "unavailable", str(cause)
        cause = cause.__cause__ or cause.__context__
    return "", ""


@contextmanager
def report_ending(report: ProgressReport) -> Iterator[None]:
    """Note what the body raises, before the engine takes it."""
    try:
        yield
    except BaseException as error:
        ending, reason = ending_of(error)
        if ending:
            report.end(ending, reason)
        raise


def ending_of_set(endings: Sequence[tuple[int | None, str]]) -> tuple[int, str]:
    """What the endings of processes mean for their set: an exit code, and the reason where one was given.

    Args:
        endings: Exit codes and reasons, the code None of a process that runs; at least one process left.
    """
    for decisive in _DECISIVE_EXITS:
        reasons = [reason for code, reason in endings if code == decisive]
        if reasons:
            return decisive, max(reasons, key=len)
    return next(code for code, _ in endings if code is not None), ""
