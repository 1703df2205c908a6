"""A set of 64-bit keys with a number each, in sorted arrays: 8 or 16 bytes a key, looked up a batch at a time."""

from __future__ import annotations

from typing import Final

import numpy as np

from flows.clicks.batch import I64, U64, Bools

_MAX_RUNS: Final = 6
_EMPTY: Final = np.empty(0, dtype=np.uint64)


class KeySet:
    """Keys that were seen. Adding merges small sorted runs into larger ones, so a key is moved O(log n) times."""

    def __init__(self, keys: U64 = _EMPTY) -> None:
        self._runs: list[U64] = [np.sort(keys)] if len(keys) else []

    def __len__(self) -> int:
        return sum(len(run) for run in self._runs)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
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
        if not len(keys):
            return
        self._runs.append(np.sort(keys))
        while len(self._runs) > 1 and (len(self._runs) > _MAX_RUNS or len(self._runs[-2]) <= 2 * len(self._runs[-1])):
            last = self._runs.pop()
            merged = np.concatenate((self._runs.pop(), last))
            merged.sort(kind="stable")
            self._runs.append(merged)


class KeyNumbers:
    """Keys with an integer each; a key may be added several times.

    ``total`` adds a key's numbers up (counters); ``any_near`` asks whether one of them is near a given one (times).
    """

    def __init__(self) -> None:
        self._runs: list[tuple[U64, I64]] = []

    def __len__(self) -> int:
        return sum(len(keys) for keys, _ in self._runs)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(keys.nbytes + numbers.nbytes for keys, numbers in self._runs)

    def add(self, keys: U64, numbers: I64) -> None:
        """Add numbers under keys, in any order."""
        if not len(keys):
            return
        order = np.argsort(keys, kind="stable")
        self._runs.append((keys[order], numbers[order]))
        while len(self._runs) > 1 and (
            len(self._runs) > _MAX_RUNS or len(self._runs[-2][0]) <= 2 * len(self._runs[-1][0])
        ):
            right_keys, right_numbers = self._runs.pop()
            left_keys, left_numbers = self._runs.pop()
            merged = np.concatenate((left_keys, right_keys))
            order = np.argsort(merged, kind="stable")
            self._runs.append((merged[order], np.concatenate((left_numbers, right_numbers))[order]))

    def total(self, keys: U64) -> I64:
        """The sum of each key's numbers; 0 where the key is unknown."""
        sums = np.zeros(len(keys), dtype=np.int64)
        for run, numbers in self._runs:
            upto = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(numbers)))
            sums += upto[np.searchsorted(run, keys, "right")] - upto[np.searchsorted(run, keys, "left")]
        return sums

    def any_near(self, keys: U64, numbers: I64, distance: int) -> Bools:
        """Whether a key has a number less than ``distance`` from the given one.

        A key has few numbers here (the caller's keys hold a time bucket), so each is looked at.
        """
        near = np.zeros(len(keys), dtype=np.bool_)
        for run, held in self._runs:
            start = np.searchsorted(run, keys, "left")
            count = np.searchsorted(run, keys, "right") - start
            for step in range(int(count.max(initial=0))):
                has = count > step
                near[has] |= np.abs(held[start[has] + step] - numbers[has]) < distance
        return near
