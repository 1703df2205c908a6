"""How much of the past one partition may hold, and what is known not to fit."""

from __future__ import annotations

from typing import Final

_LARGE_SHARE: Final = 8
"""An hour that takes more than this part of the memory is worth knowing; a smaller one finds its room."""
_MOST_LARGE: Final = 1_000


class MemoryBudget:
    """Counts what pages take.

    Args:
        max_bytes: How much memory pages, and what is held beside them, may take before some are dropped.

    Attributes:
        used: Bytes by the last count and what was read back since.
        cramped: Whether something found no room that it would find after dropping.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.used = 0
        self.cramped = False
        self._grown = 0
        self._large: dict[tuple[str, int], int] = {}

    def grow(self, nbytes: int) -> None:
        """So much was remembered, at most."""
        self._grown += nbytes

    @property
    def due(self) -> bool:
        """Whether it is time to count: counting takes longer than a small batch, and is left until it matters."""
        return self.cramped or self._grown >= self.max_bytes // 64

    def count(self, used: int) -> bool:
        """Note what is used; returns whether some of it must go."""
        self.used, self._grown = used, 0
        return self.cramped or used > self.max_bytes

    def fits(self, nbytes: int) -> bool:
        """Whether there is room for what was read back, which is then taken."""
        if self.used + nbytes > self.max_bytes:
            self.cramped = self.cramped or nbytes <= self.max_bytes // 2
            return False
        self.used += nbytes
        return True

    def found_large(self, kind: str, hour: int, nbytes: int) -> None:
        """An hour found no room: next time only what a batch can meet of it is read."""
        if nbytes > self.max_bytes // _LARGE_SHARE:
            if len(self._large) >= _MOST_LARGE:
                self._large.clear()
            self._large[kind, hour] = nbytes

    def is_large(self, kind: str, hour: int) -> bool:
        """Whether an hour is known to find no room now."""
        nbytes = self._large.get((kind, hour))
        return nbytes is not None and self.used + nbytes > self.max_bytes
