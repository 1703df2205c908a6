"""64-bit keys: stable across processes, versions of Python and machines, since they are stored in tables."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import numpy as np

from flows.clicks.batch import I64, U64

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
