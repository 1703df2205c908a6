"""Words that end in another one: ``Trinkflasche`` is a ``Flasche``, and a skateboard a board.

What a compound is stands at its end, in German and in English alike. What it is for or made of stands in front of that,
and is found as the beginning of a word.
"""

from __future__ import annotations

from typing import Final

from marketplace.search.stems import stem

MIN_COMPOUND_CHARS: Final = 8
MIN_END_CHARS: Final = 4
"""Of the stem that is looked for: many words end in fewer letters by chance."""

MIN_FRONT_CHARS: Final = 3
_NO_COMPOUNDS: Final = ("ing", "able", "ible")
"""Endings of English words that are no compounds: ``featuring`` is no ring, and ``adjustable`` no table."""

_BETWEEN: Final = "\0"


def ending_of(word: str) -> str:
    """A word with its stem from behind in front, so that words of one end stand together where they are sorted.

    Args:
        word: Empty result where it is short, or no word of letters.
    """
    if len(word) < MIN_COMPOUND_CHARS or not word.isalpha() or word.endswith(_NO_COMPOUNDS):
        return ""
    return f"{stem(word)[::-1]}{_BETWEEN}{word}"


def end_of(word: str) -> str:
    """What :func:`ending_of` begins with for words that end in this one; empty for one that is too short."""
    own = stem(word)
    return own[::-1] if len(own) >= MIN_END_CHARS and word.isalpha() else ""


def compound_of(ending: str, end: str) -> str:
    """The word of an ending that begins with an end; empty where too little stands in front of the end in it."""
    behind, _, word = ending.partition(_BETWEEN)
    return word if len(behind) >= len(end) + MIN_FRONT_CHARS else ""
