"""Singular and plural, conservatively: English and German endings, and umlauts that are written with an ``e``.

A stem is no word. Two words with one stem are taken for forms of one word, and match after the word itself.
"""

from __future__ import annotations

import re
from typing import Final

_LONG: Final = 5
# ``ae`` for ``ä``; not in ``bauen``, ``neue`` and ``quelle``.
_UMLAUT: Final = re.compile("(?<![aeq])ue|ae|oe")
_OF_SIBILANTS: Final = ("ches", "shes", "sses", "xes", "zes")
_NO_PLURALS: Final = ("ss", "us", "is")
_ER_PLURALS: Final = (
    "bander", "bilder", "blatter", "bretter", "bucher", "eier", "felder", "glaser", "hauser", "holzer",
    "kinder", "kleider", "korner", "lichter", "locher", "rader", "tucher", "walder",
)  # fmt: skip
"""They are a closed class; as a rule, ``er`` would make a toast of a toaster."""


def stem(word: str) -> str:
    """The stem of a word that is folded; short words are their own."""
    word = _UMLAUT.sub(lambda found: found[0][0], word)
    if len(word) >= _LONG and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) >= _LONG and word.endswith(_OF_SIBILANTS):
        word = word[:-2]
    elif word.endswith("s") and len(word) >= (_LONG if word.endswith("as") else _LONG - 1):
        word = word if word.endswith(_NO_PLURALS) else word[:-1]
    if word.endswith(_ER_PLURALS):
        return word[:-2]
    if len(word) > _LONG and word.endswith("en"):
        return word[:-2]
    if (len(word) == _LONG and word.endswith("en")) or (len(word) >= _LONG and word.endswith("e")):
        return word[:-1]
    return word
