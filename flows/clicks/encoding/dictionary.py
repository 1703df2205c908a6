"""Dictionaries of distinct texts, shared by a worker's partitions: each text is parsed once per process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from flows.arrays.growable import GrowableColumn
from flows.arrays.hashing import hash_text
from flows.arrays.types import I32, U64
from flows.clicks.model.encoded_column import EncodedColumn, TextCodes

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
    "name",
    "properties",
)
"""Fields of ``CollectedClick`` that events have in common, and are kept as codes; properties as one text."""


class Dictionary:
    """The distinct texts of one field, numbered in order of first sight.

    Attributes:
        age: Grows when the texts are forgotten; codes of different ages have nothing to do with each other.
    """

    def __init__(self) -> None:
        self.age = 0
        self._codes = TextCodes()
        self._hashes = GrowableColumn(np.uint64)

    @property
    def texts(self) -> list[str]:
        """The text of each code. A column keeps its list when the texts are forgotten."""
        return self._codes.texts

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self._codes.nbytes + self._hashes.nbytes

    def encode(self, texts: Sequence[str]) -> EncodedColumn:
        """The codes of texts."""
        return self._codes.column(texts)

    def hashes(self, codes: I32) -> U64:
        """A 64-bit hash of each code's text, the same in every process."""
        known = len(self._hashes)
        if known < len(self.texts):
            self._hashes.extend([hash_text(text) for text in self.texts[known:]])
        return self._hashes.at(codes)

    def forget(self) -> None:
        """Start over."""
        self.age += 1
        self._codes = TextCodes()
        self._hashes = GrowableColumn(np.uint64)


def make_dictionaries() -> dict[str, Dictionary]:
    """An empty dictionary for each of ``FIELDS``."""
    return {name: Dictionary() for name in FIELDS}
