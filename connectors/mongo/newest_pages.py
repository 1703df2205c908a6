"""Pages of what is listed with the newest first: where one begins, and what it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


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
