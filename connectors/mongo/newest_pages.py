"""Pages of what is listed with the newest first: where one begins, and what it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

_HOUR_MS: Final = 3_600_000
_SPANS_MS: Final = (_HOUR_MS, 24 * _HOUR_MS, 8 * 24 * _HOUR_MS, 64 * 24 * _HOUR_MS)

T = TypeVar("T")


def beginnings(until_ms: int, since_ms: int = 0) -> tuple[int, ...]:
    """From when on the newest rows are looked for: of an hour, of more and more days, and of all time.

    SecantusDB reads and sorts all that match before it gives the first ones. So few are asked for at first, and more
    only where those do not fill the page.

    Args:
        until_ms: Before which the page begins, epoch milliseconds.
        since_ms: Older ones are not wanted.
    """
    spans = (until_ms - span for span in _SPANS_MS)
    return (*(begin for begin in spans if begin > since_ms), since_ms)


@dataclass(frozen=True)
class NewestPlace:
    """Behind which row a page begins.

    Attributes:
        at_ms: When that one was written, epoch milliseconds.
        id: Its id.
    """

    at_ms: int
    id: str


@dataclass(frozen=True)
class NewestPage(Generic[T]):
    """Some rows, the newest first.

    Attributes:
        rows: Those.
        next: Behind which the next page begins; None where there is none.
    """

    rows: tuple[T, ...]
    next: NewestPlace | None
