"""64-bit keys: stable across processes, versions of Python and machines, since they are stored in tables."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from flows.arrays.types import I32, I64, U64

_Number = TypeVar("_Number", np.int64, np.uint64)

_ODD_A: Final = np.uint64(0x9E3779B97F4A7C15)
_ODD_B: Final = np.uint64(0xBF58476D1CE4E5B9)
_SHIFT: Final = np.uint64(29)


def hash_text(text: str) -> int:
    """A 64-bit hash of a text; for distinct values, not for every event."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def mix(left: U64, right: U64 | I64) -> U64:
    """Combine two columns to one of well spread 64-bit keys (multiply, xor and shift, as in splitmix64)."""
    mixed = (left ^ (right.astype(np.uint64) * _ODD_A)) * _ODD_B
    return np.asarray(mixed ^ (mixed >> _SHIFT), dtype=np.uint64)


def distinct(values: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """Distinct values in ascending order.

    ``np.unique`` without an inverse hashes, which costs three times as much where most values are distinct.
    """
    ordered = np.sort(values)
    new = np.ones(len(ordered), dtype=np.bool_)
    new[1:] = ordered[1:] != ordered[:-1]
    return ordered[new]


def dense_rank(codes: I32 | I64, size: int) -> tuple[I64, I64]:
    """Distinct codes in ascending order, and the position of each element among them.

    Args:
        codes: Integers from 0 to below ``size``.
        size: How many codes there can be. Where that is not much more than there are elements, a table of what occurs
            takes a tenth of the time that sorting takes.
    """
    if size > 4 * len(codes) + 1_024:
        distinct_codes, position = np.unique(codes, return_inverse=True)
        return distinct_codes.astype(np.int64), position
    occurs = np.zeros(size, dtype=np.bool_)
    occurs[codes] = True
    found = np.flatnonzero(occurs)
    positions = np.empty(size, dtype=np.int64)
    positions[found] = np.arange(len(found))
    return found, positions[codes]
