"""Why a flow's process leaves, noted where it is raised: an engine with several workers forgets it on the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from connectors.errors import Fenced, Refused, Unavailable
from connectors.lookups.geoip_file import UnusableDatabase
from runtime.progress import Ending, ProgressReport
from runtime.settings import InvalidSettings

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
        if isinstance(cause, Refused | UnusableDatabase | InvalidSettings):
            return "refused", str(cause)
        if isinstance(cause, Unavailable):
            return "unavailable", str(cause)
        cause = cause.__cause__ or cause.__context__
    return "", ""


@contextmanager
def noted(report: ProgressReport) -> Iterator[None]:
    """Note what the body raises, before the engine takes it."""
    try:
        yield
    except BaseException as error:
        ending, reason = ending_of(error)
        if ending:
            report.end(ending, reason)
        raise
