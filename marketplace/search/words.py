"""Words of a text as search compares them: without case, accents and other differences that people do not type."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

MAX_WORD_CHARS: Final = 40
"""What is longer is cut, in texts and in queries alike."""

_SPECIAL: Final = str.maketrans(
    {
        "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ħ": "h", "\u0131": "i",
        "ŋ": "n", "ŧ": "t", "ĸ": "k", "ȷ": "j", "ƒ": "f", "\u02bc": "'", "\u2019": "'", "\u2010": "-", "\u2011": "-",
        "\u00ad": "", "\u200b": "", "\u200c": "", "\u200d": "", "\u2060": "", "\ufeff": "",
    }
)  # fmt: skip
"""Letters that no normal form takes apart, marks that look alike, and what nobody sees."""

# Accents of letters, and vowel points of Arabic and Hebrew. Marks of other scripts are parts of their words.
_MARKS: Final = re.compile(
    "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f\u0591-\u05bd\u05bf\u05c1-\u05c7\u064b-\u065f\u0670]"
)
# Scripts that put no space between words.
_UNSPACED: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
_IN_UNSPACED: Final = re.compile(f"[{_UNSPACED}]")
_TOKEN: Final = re.compile(f"[{_UNSPACED}]+|[^\\W_{_UNSPACED}](?:[^\\W_{_UNSPACED}]|[\u0900-\u0dff])*")
_POSSESSIVE: Final = re.compile(r"'s\b")
# Only where a word begins: tried at each of its letters, one word of 24,000 letters would take seconds, and NFKC makes
# such a word of 4,000 signs.
_JOINED: Final = re.compile(r"(?<![^\W_])[^\W_]+(?:-[^\W_]+)+")


def folded(text: str) -> str:
    """A text without what search does not look at; two texts that people would call equal become equal.

    No normal form takes ``ß`` or ``ø`` apart, so they are replaced by name. Case is folded before and after accents
    are taken off, because a capital with a dot becomes two characters.
    """
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold())
    bare = _MARKS.sub("", apart).translate(_SPECIAL)
    # Composed again: Hangul and voiced Kana are single characters.
    return unicodedata.normalize("NFKC", bare.casefold()).translate(_SPECIAL)


def words_of(text: str) -> list[str]:
    """The words of a text that is indexed, in its order, with repetitions.

    A word with hyphens is there in parts and as a whole; a run of a script without spaces is there as all its
    characters and all its pairs.
    """
    plain = _POSSESSIVE.sub("", folded(text))
    found = list(_tokens(plain, single=True))
    if "-" in plain:
        found += [match[0].replace("-", "")[:MAX_WORD_CHARS] for match in _JOINED.finditer(plain)]
    return found


def words_of_query(text: str) -> list[str]:
    """The words of what somebody looks for: of a script without spaces its pairs, or the character where it is one."""
    return list(_tokens(_POSSESSIVE.sub("", folded(text)), single=False))


def ends_in_a_word(text: str) -> bool:
    """Whether the last word of a query may go on: nothing follows it yet."""
    plain = folded(text)
    last = plain[-1:]
    return last.isalnum() and _IN_UNSPACED.match(last) is None


def _tokens(plain: str, *, single: bool) -> Iterator[str]:
    for match in _TOKEN.finditer(plain):
        token = match[0]
        if _IN_UNSPACED.match(token) is None:
            yield token[:MAX_WORD_CHARS]
            continue
        if single or len(token) == 1:
            yield from token
        yield from (token[at : at + 2] for at in range(len(token) - 1))
