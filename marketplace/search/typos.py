"""Typing errors: what a long word may have been meant to be."""

from __future__ import annotations

from typing import Final

MIN_CHARS: Final = 5
"""Of a word that may have an error: of a shorter one, every other word is a neighbour."""

_ALPHABETS: Final = (
    "abcdefghijklmnopqrstuvwxyz",
    "абвгдежзиклмнопрстуфхцчшщъыьэюяієґ",
    "αβγδεζηθικλμνξοπρσςτυφχψω",
)


def neighbours(word: str) -> set[str]:
    """All words that are one error from a folded word, without itself.

    An error is a letter that is missing, too much or another one, or two neighbours that are exchanged. Only words of
    letters have errors: another number is another thing.

    Args:
        word: Empty result where it is short, or not of letters of one alphabet.
    """
    alphabet = next((letters for letters in _ALPHABETS if word and word[0] in letters), "")
    if len(word) < MIN_CHARS or not set(word) <= set(alphabet):
        return set()
    cuts = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    found = {left + right[1:] for left, right in cuts if right}
    found |= {left + right[1] + right[0] + right[2:] for left, right in cuts if len(right) > 1}
    found |= {left + letter + right[1:] for left, right in cuts if right for letter in alphabet}
    found |= {left + letter + right for left, right in cuts for letter in alphabet}
    return found - {word}
