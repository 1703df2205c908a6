"""A column that more is added to at its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from flows.arrays.types import I32

_Number = TypeVar("_Number", bound=np.generic)

_LEAST_ROOM: Final = 256


class GrowableColumn(Generic[_Number]):
    """Numbers by position. Room is doubled when it is used up: adding a few costs nothing of what is there already.

    Args:
        dtype: Of the numbers.
    """

    def __init__(self, dtype: type[_Number]) -> None:
        self._dtype = dtype
        self._room: npt.NDArray[_Number] = np.empty(0, dtype=dtype)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self._room.nbytes

    def extend(self, numbers: Sequence[Any]) -> None:
        """Add numbers at the end."""
        end = self._count + len(numbers)
        if end > len(self._room):
            room = np.empty(max(2 * len(self._room), end, _LEAST_ROOM), dtype=self._dtype)
            room[: self._count] = self._room[: self._count]
            self._room = room
        self._room[self._count : end] = numbers
        self._count = end

    def at(self, positions: I32) -> npt.NDArray[_Number]:
        """The numbers at some positions."""
        return self._room[positions]
