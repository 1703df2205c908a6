"""64-bit keys in sorted runs, alone or with numbers: 8 bytes a key and those of its numbers, many looked up at once.

Adding merges small runs into larger ones, so a key is moved O(log n) times, and a batch costs by its own size and not
by that of what is held.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from flows.arrays.types import I32, I64, U64, Bools

_MAX_RUNS: Final = 6
_EMPTY: Final = np.empty(0, dtype=np.uint64)

_Run = TypeVar("_Run", bound=Sized)


def settle(runs: list[_Run], merge: Callable[[_Run, _Run], _Run]) -> None:
    """Merge the newest runs until each is more than twice as long as the next, and there are few."""
    while len(runs) > 1 and (len(runs) > _MAX_RUNS or len(runs[-2]) <= 2 * len(runs[-1])):
        last = runs.pop()
        runs.append(merge(runs.pop(), last))


def _merge_keys(left: U64, right: U64) -> U64:
    merged = np.concatenate((left, right))
    merged.sort(kind="stable")
    return merged


class KeySet:
    """Keys that were seen."""

    def __init__(self, keys: U64 = _EMPTY) -> None:
        self._runs: list[U64] = [np.sort(keys)] if len(keys) else []

    def __len__(self) -> int:
        return sum(len(run) for run in self._runs)

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return sum(run.nbytes for run in self._runs)

    def contains(self, keys: U64) -> Bools:
        """Which of ``keys`` were added before."""
        found = np.zeros(len(keys), dtype=np.bool_)
        for run in self._runs:
            at = np.minimum(np.searchsorted(run, keys), len(run) - 1)
            found |= run[at] == keys
        return found

    def add(self, keys: U64) -> None:
        """Add keys that are not in it."""
        if len(keys):
            self._runs.append(np.sort(keys))
            settle(self._runs, _merge_keys)


class _Pairs:
    """Keys in ascending order, and a number, or a row of numbers, for each."""

    def __init__(self, keys: U64, numbers: npt.NDArray[np.signedinteger[Any]]) -> None:
        order = np.argsort(keys, kind="stable")
        self.keys, self.numbers = keys[order], numbers[order]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self.keys.nbytes + self.numbers.nbytes

    def with_sums(self) -> _Pairs:
        """Each key once, with the sum of its numbers."""
        first = np.flatnonzero(np.concatenate((np.ones(1, dtype=np.bool_), self.keys[1:] != self.keys[:-1])))
        if len(first) < len(self.keys):
            self.keys, self.numbers = self.keys[first], np.add.reduceat(self.numbers, first, axis=0)
        return self


def _merge_pairs(left: _Pairs, right: _Pairs) -> _Pairs:
    return _Pairs(np.concatenate((left.keys, right.keys)), np.concatenate((left.numbers, right.numbers)))


class KeyNumbers:
    """Keys with an integer each; a key may be added several times, and few times in all."""

    def __init__(self) -> None:
        self._runs: list[_Pairs] = []

    def __len__(self) -> int:
        return sum(map(len, self._runs))

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return sum(run.nbytes for run in self._runs)

    def add(self, keys: U64, numbers: I64) -> None:
        """Add numbers under keys, in any order."""
        if len(keys):
            self._runs.append(_Pairs(keys, numbers))
            settle(self._runs, _merge_pairs)

    def any_near(self, keys: U64, numbers: I64, distance: int) -> Bools:
        """Whether a key has a number less than ``distance`` from the given one; each of its numbers is looked at."""
        near = np.zeros(len(keys), dtype=np.bool_)
        for run in self._runs:
            start = np.searchsorted(run.keys, keys, "left")
            count = np.searchsorted(run.keys, keys, "right") - start
            for step in range(int(count.max(initial=0))):
                has = count > step
                near[has] |= np.abs(run.numbers[start[has] + step] - numbers[has]) < distance
        return near


class KeyCounts:
    """A row of counters by key.

    Args:
        width: How many counters each key has.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._runs: list[_Pairs] = []

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return sum(run.nbytes for run in self._runs)

    def add(self, keys: U64, counts: I32) -> None:
        """Count keys, in any order and each as often as there is something to add; ``counts`` has a row for each."""
        if len(keys):
            self._runs.append(_Pairs(keys, counts).with_sums())
            settle(self._runs, lambda left, right: _merge_pairs(left, right).with_sums())

    def total(self, keys: U64) -> I64:
        """Each key's row of counts; zeros where it is unknown."""
        sums = np.zeros((len(keys), self._width), dtype=np.int64)
        for run in self._runs:
            at = np.minimum(np.searchsorted(run.keys, keys), len(run) - 1)
            known = np.flatnonzero(run.keys[at] == keys)
            sums[known] += run.numbers[at[known]]
        return sums
