"""What sweeps have in common: many rows that are due, of which none keeps the others waiting."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from connectors.errors import Fenced, Refused, Unavailable
from marketplace.errors import Stop

_log = logging.getLogger(__name__)


class SomeFailed(Exception):
    """Of several rows that are due some cannot be acted on; the others were.

    Args:
        text: How many, and why the first of them.
        acted: How many were acted on.
    """

    def __init__(self, text: str, acted: int) -> None:
        super().__init__(text)
        self.acted = acted


def each_of(kind: str, ids: Iterable[str], act: Callable[[str], bool]) -> int:
    """Act on each row, and return on how many there was something to do.

    Args:
        kind: What they are, for messages.
        ids: The rows.
        act: Acts on one; returns whether there was something to do.

    Raises:
        SomeFailed: Rows that cannot be acted on, after all others were.
        Unavailable: Mongo does not answer; the rest waits.
    """
    acted, failed, first = 0, 0, ""
    for each in ids:
        try:
            acted += act(each)
        except (Unavailable, Refused, Fenced, Stop):
            raise
        except Exception as error:
            failed += 1
            first = first or f"{kind} {each}: {type(error).__name__}: {error}"
            _log.exception("%s %s is due and cannot be acted on", kind, each)
    if failed:
        raise SomeFailed(f"{failed} of those that are due cannot be acted on: {first}", acted)
    return acted
