"""Remembered answers, weighed: what comes from outside may be any text, so memory is bounded by bytes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final, Generic, TypeVar

_ENTRY_BYTES: Final = 200
"""A dictionary's entry with the objects around the texts, about."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def weight(texts: Sequence[str]) -> int:
    """Bytes that an entry with these texts takes."""
    return _ENTRY_BYTES + sum(map(sys.getsizeof, texts))


class Memo(Generic[_Key, _Value]):
    """Answers by question.

    Attributes:
        answers: The answers, to be read; :meth:`keep` adds to them.
        nbytes: Bytes held.
    """

    def __init__(self) -> None:
        self.answers: dict[_Key, _Value] = {}
        self.nbytes = 0

    def keep(self, key: _Key, value: _Value, nbytes: int) -> None:
        """Remember an answer that was not there."""
        self.answers[key] = value
        self.nbytes += nbytes

    def clear(self) -> None:
        """Forget all."""
        self.answers.clear()
        self.nbytes = 0


def trim(memos: Sequence[Memo[Any, Any]], max_bytes: int) -> None:
    """Start the largest memos over until all together hold no more than ``max_bytes``.

    It is called between batches: one batch adds no more than the texts that it carries.
    """
    while sum(memo.nbytes for memo in memos) > max_bytes:
        max(memos, key=lambda memo: memo.nbytes).clear()
