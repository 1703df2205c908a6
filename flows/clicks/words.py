"""The distinct texts of events' fields, numbered: what follows works on codes, and asks about each text once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from flows.arrays.growable import Growing
from flows.arrays.hashing import dense_rank, hash_text
from flows.arrays.types import I32, I64, U64, Bools

FIELDS: Final = (
    "store",
    "type",
    "origin",
    "visitor_kind",
    "ip",
    "user_agent",
    "url",
    "referrer",
    "target",
    "product",
)
"""Fields of ``CollectedClick`` that events have in common, and are kept as codes."""

ENTRY_BYTES: Final = 200
"""A dictionary's entry with the objects around its texts, about."""


def weight(value: object) -> int:
    """Bytes that an entry with this text, or with a tuple of texts and tuples, takes, about."""
    return ENTRY_BYTES + _size(value)


def _size(value: object) -> int:
    own = sys.getsizeof(value)
    return own + sum(map(_size, value)) if isinstance(value, tuple) else own


@dataclass(frozen=True)
class Coded:
    """A column of texts: a code for each event, and the texts that codes stand for (more of them than are used)."""

    codes: I32
    texts: Sequence[str]

    def take(self, at: Bools | I64) -> Coded:
        """The elements at which a mask holds, or at given positions."""
        return Coded(self.codes[at], self.texts)

    def used(self) -> tuple[list[str], I64]:
        """The texts that occur, and the position of each element's text among them."""
        codes, position = dense_rank(self.codes, len(self.texts))
        return list(map(self.texts.__getitem__, codes.tolist())), position

    def tolist(self) -> list[str]:
        """The texts, one for each element."""
        return list(map(self.texts.__getitem__, self.codes.tolist()))

    def arrow(self) -> pa.DictionaryArray:
        """The column for a table; its texts must all be different."""
        texts, position = self.used()
        return pa.DictionaryArray.from_arrays(pa.array(position.astype(np.int32)), pa.array(texts, pa.string()))

    def strings(self) -> pa.Array:
        """The column for a table, with each element's own text."""
        texts, position = self.used()
        return pa.array(texts, pa.string()).take(pa.array(position))

    @staticmethod
    def concat(parts: Sequence[Coded]) -> Coded:
        """The elements of all parts, in order; their texts differ from each other if those of each part do."""
        texts = parts[0].texts
        if all(part.texts is texts for part in parts):
            return Coded(np.concatenate([part.codes for part in parts]), texts)
        together, codes = _Codes(), []
        for part in parts:
            used, position = part.used()
            codes.append(np.array(list(map(together.__getitem__, used)), dtype=np.int32)[position])
        return Coded(np.concatenate(codes), together.texts)

    def __len__(self) -> int:
        return len(self.codes)


def coded(texts: Sequence[str]) -> Coded:
    """A column with words of its own."""
    return Words().encode(texts)


class _Codes(dict[str, int]):
    """Codes by text. A text that is not there gets the next one: known texts never leave C."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.nbytes = 0

    def __missing__(self, text: str) -> int:
        code = self[text] = len(self.texts)
        self.texts.append(text)
        self.nbytes += ENTRY_BYTES + sys.getsizeof(text)
        return code


class Words:
    """The distinct texts of one field, numbered in order of first sight.

    Attributes:
        age: Grows when the texts are forgotten; codes of different ages have nothing to do with each other.
    """

    def __init__(self) -> None:
        self.age = 0
        self._codes = _Codes()
        self._hashes = Growing(np.uint64)

    @property
    def texts(self) -> list[str]:
        """The text of each code. A column keeps its list when the texts are forgotten."""
        return self._codes.texts

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._codes.nbytes + self._hashes.nbytes

    def encode(self, texts: Sequence[str]) -> Coded:
        """The codes of texts."""
        codes = np.fromiter(map(self._codes.__getitem__, texts), dtype=np.int32, count=len(texts))
        return Coded(codes, self._codes.texts)

    def hashes(self, codes: I32) -> U64:
        """A 64-bit hash of each code's text, the same in every process."""
        known = len(self._hashes)
        if known < len(self.texts):
            self._hashes.extend([hash_text(text) for text in self.texts[known:]])
        return self._hashes.at(codes)

    def forget(self) -> None:
        """Start over."""
        self.age += 1
        self._codes = _Codes()
        self._hashes = Growing(np.uint64)


def make_words() -> dict[str, Words]:
    """Empty words for each of ``FIELDS``."""
    return {name: Words() for name in FIELDS}
