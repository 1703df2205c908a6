"""What is filtered and sorted by, one number of each product after the other, in arrays that grow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_FIRST: Final = 1_024

Flags = NDArray[np.bool_]
Numbers = NDArray[Any]


class Columns:
    """Columns of one length, by name; a row is a slot.

    Args:
        types: Of the columns.
    """

    def __init__(self, **types: Any) -> None:
        self._columns = {name: np.zeros(_FIRST, dtype=kind) for name, kind in types.items()}
        self.length = 0

    def __getitem__(self, name: str) -> Numbers:
        """A column, as far as there are rows."""
        return self._columns[name][: self.length]

    def set(self, row: int, **values: Any) -> None:
        """Write a row, which may be the first one after the last."""
        self._grow(row + 1)
        for name, value in values.items():
            self._columns[name][row] = value

    def append(self, **values: Sequence[Any]) -> int:
        """Append rows; returns where they begin."""
        start, more = self.length, len(next(iter(values.values())))
        self._grow(start + more)
        for name, several in values.items():
            self._columns[name][start : start + more] = several
        return start

    def keep(self, rows: Flags) -> None:
        """Drop all rows but these, which keep their order."""
        for name, column in self._columns.items():
            kept = column[: self.length][rows]
            self._columns[name] = np.concatenate([kept, np.zeros(_FIRST + len(kept) // 4, dtype=column.dtype)])
        self.length = int(np.count_nonzero(rows))

    def _grow(self, length: int) -> None:
        room = len(next(iter(self._columns.values())))
        if length > room:
            more = max(length, room + room // 2) - room
            for name, column in self._columns.items():
                self._columns[name] = np.concatenate([column, np.zeros(more, dtype=column.dtype)])
        self.length = max(self.length, length)
