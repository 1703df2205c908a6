"""Pages of one kind in memory, by hour: which are whole, which may go."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from typing import Final, Generic, Protocol, TypeVar

PAGE_BYTES: Final = 600
"""What an empty page takes, about."""


class Page(Protocol):
    """Anything that knows its size."""

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""


_Page = TypeVar("_Page", bound=Page)


class LruPages(Generic[_Page]):
    """Pages by hour, the least recently used first.

    A page is *whole*, or it lacks what the store has of its hour below some offset.
    """

    def __init__(self, make: Callable[[], _Page]) -> None:
        self._make = make
        self._pages: OrderedDict[int, _Page] = OrderedDict()
        self._lacks_below: dict[int, int] = {}
        self._touched: dict[int, int] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of memory of all pages."""
        return sum(page.nbytes for page in self._pages.values()) + PAGE_BYTES * len(self._pages)

    def hours(self) -> set[int]:
        """Hours that have a page, whole or not."""
        return set(self._pages)

    def get(self, hour: int) -> _Page | None:
        """The hour's page, if it is in memory."""
        if hour not in self._pages:
            return None
        self._pages.move_to_end(hour)
        return self._pages[hour]

    def lacking(self, hours: Iterable[int], before: int) -> dict[int, list[int]]:
        """What the store must be asked for: by the offset below which rows are missing, the hours, ascending."""
        asked: dict[int, list[int]] = {}
        for hour in sorted(hours):
            below = self._lacks_below.get(hour) if hour in self._pages else before
            if below is not None:
                asked.setdefault(below, []).append(hour)
        return asked

    def complete(self, hour: int) -> _Page:
        """The hour's page, to which the caller adds what it lacks: from now on it is whole."""
        self._lacks_below.pop(hour, None)
        return self._at(hour)

    def use(self, hour: int, first: int, last: int) -> _Page:
        """The hour's page, to which the caller adds rows of a batch; without one, a page that lacks the rest.

        Args:
            hour: The hour.
            first: The batch's first offset.
            last: Its last: until every table holds it, the page stays.
        """
        if hour not in self._pages:
            self._lacks_below[hour] = first
        self._touched[hour] = last
        return self._at(hour)

    def drop(self, applied: int, excess: int, spared: Collection[int] = ()) -> None:
        """Drop pages until ``excess`` bytes are free, but none that is spared or could not be read back."""
        for hour in [hour for hour in self._pages if hour not in spared]:
            if excess <= 0:
                break
            if self._touched.get(hour, -1) <= applied:
                excess -= self._pages.pop(hour).nbytes + PAGE_BYTES
                self._touched.pop(hour, None)
                self._lacks_below.pop(hour, None)

    def _at(self, hour: int) -> _Page:
        if hour not in self._pages:
            self._pages[hour] = self._make()
        self._pages.move_to_end(hour)
        return self._pages[hour]
