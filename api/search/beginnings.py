"""Words in alphabetical order, for those that begin in the same way."""

from __future__ import annotations

from bisect import bisect_left
from itertools import islice
from typing import Final

_END: Final = "\U0010ffff"
_MOST_FRESH: Final = 1_000


class SortedWords:
    """Different words that come and go.

    New ones wait until there are some: putting each one into its place would move half of all the others.
    """

    def __init__(self) -> None:
        self._sorted: list[str] = []
        self._fresh: dict[str, None] = {}

    def add(self, word: str) -> None:
        """Add a word that is not there."""
        self._fresh[word] = None
        if len(self._fresh) > _MOST_FRESH + len(self._sorted) // 16:
            # The sort finds what is in order already.
            self._sorted += sorted(self._fresh)
            self._sorted.sort()
            self._fresh = {}

    def remove(self, word: str) -> None:
        """Remove a word that is there."""
        if word in self._fresh:
            del self._fresh[word]
        else:
            del self._sorted[bisect_left(self._sorted, word)]

    def beginning_with(self, beginning: str, most: int) -> list[str]:
        """Words that begin so, at most so many, and which these are is not said."""
        first = bisect_left(self._sorted, beginning)
        end = bisect_left(self._sorted, beginning + _END)
        found = self._sorted[first : min(end, first + most)]
        found += islice((word for word in self._fresh if word.startswith(beginning)), most - len(found))
        return found
