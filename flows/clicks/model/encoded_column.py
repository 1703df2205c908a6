"""A column of texts as codes, with the texts that the codes stand for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from flows.arrays.hashing import dense_rank
from flows.arrays.types import I32, I64, Bools

ENTRY_BYTES: Final = 200
"""A dictionary's entry with the objects around its texts, about."""


def weight(value: object) -> int:
    """Bytes that an entry with this text, or with a tuple of texts and tuples, takes, about."""
    return ENTRY_BYTES + _size(value)


def _size(value: object) -> int:
    own = sys.getsizeof(value)
    return own + sum(map(_size, value)) if isinstance(value, tuple) else own


class TextCodes(dict[str, int]):
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

    def column(self, texts: Sequence[str]) -> EncodedColumn:
        """The column of texts; those that are new get codes."""
        codes = np.fromiter(map(self.__getitem__, texts), dtype=np.int32, count=len(texts))
        return EncodedColumn(codes, self.texts)


@dataclass(frozen=True)
class EncodedColumn:
    """A column of texts: a code for each event, and the texts that codes stand for (more of them than are used)."""

    codes: I32
    texts: Sequence[str]

    def take(self, at: Bools | I64) -> EncodedColumn:
        """The elements at which a mask holds, or at given positions."""
        return EncodedColumn(self.codes[at], self.texts)

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
    def concat(parts: Sequence[EncodedColumn]) -> EncodedColumn:
        """The elements of all parts, in order; their texts differ from each other if those of each part do."""
        texts = parts[0].texts
        if all(part.texts is texts for part in parts):
            return EncodedColumn(np.concatenate([part.codes for part in parts]), texts)
        together, codes = TextCodes(), []
        for part in parts:
            used, position = part.used()
            codes.append(np.array(list(map(together.__getitem__, used)), dtype=np.int32)[position])
        return EncodedColumn(np.concatenate(codes), together.texts)

    def __len__(self) -> int:
        return len(self.codes)
