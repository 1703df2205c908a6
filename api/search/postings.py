"""An inverted index: for each word the places where it stands, in arrays that a machine goes through at once."""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from api.search.beginnings import SortedWords
from marketplace.search.compounds import compound_of, end_of, ending_of
from marketplace.search.queries import Words
from marketplace.search.ranking import POINTS, Fit, Place
from marketplace.search.stems import stem
from marketplace.search.synonyms import synonyms_of
from marketplace.search.typos import neighbours

_PLACE_BITS: Final = 2
_PLACE_MASK: Final = (1 << _PLACE_BITS) - 1
_POINTS: Final = np.array(POINTS, dtype=np.uint8)
_MOST_BEGINNINGS: Final = 5_000
"""Of words of letters that begin as the last word does: so many take some milliseconds."""

_MOST_NUMBERED: Final = 500
"""Of words with digits."""

_MOST_COMPOUNDS: Final = 1_000
"""Of words that end as one of the query does."""


Slots = NDArray[np.uint32]
Points = NDArray[np.uint8]


class Postings:
    """Words and the slots that have them; a slot is a small number that stands for a product or a category."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._texts: list[str] = []
        # Of each word: slot and place in one number, ascending.
        self._slots: list[array[int]] = []
        self._free: list[int] = []
        # Of words that are not their own stem.
        self._stems: dict[str, list[int]] = {}
        self._plain, self._numbered, self._endings = SortedWords(), SortedWords(), SortedWords()

    def __len__(self) -> int:
        """How many words there are."""
        return len(self._ids)

    def add(self, slot: int, words: Mapping[str, int]) -> bytes:
        """Add the words of a slot that has none, with their places.

        Returns:
            What :meth:`remove` takes; equal for equal words and places as long as the slot has them.
        """
        ids = array("I")
        for word, place in words.items():
            word_id = self._ids.get(word)
            if word_id is None:
                word_id = self._new(word)
            packed, slots = slot << _PLACE_BITS | place, self._slots[word_id]
            if not slots or slots[-1] < packed:
                slots.append(packed)
            else:
                insort(slots, packed)
            ids.append(word_id << _PLACE_BITS | place)
        return ids.tobytes()

    def remove(self, slot: int, added: bytes) -> None:
        """Take the words of a slot out."""
        for packed in array("I", added):
            word_id = packed >> _PLACE_BITS
            slots = self._slots[word_id]
            del slots[bisect_left(slots, slot << _PLACE_BITS)]
            if not slots:
                self._forget(word_id)

    def same(self, added: bytes, words: Mapping[str, int]) -> bool:
        """Whether a slot that was added has exactly these words in these places."""
        ids = array("I", added)
        if len(ids) != len(words):
            return False
        texts = self._texts
        return all(words.get(texts[packed >> _PLACE_BITS]) == packed & _PLACE_MASK for packed in ids)

    def points(self, words: Words, slots: int, *, lenient: bool) -> list[Points]:
        """For each word the points of its best match in each slot; 0 where it does not match.

        Args:
            words: What is looked for.
            slots: How many there are, at least.
            lenient: Whether a word may have a typing error.
        """
        last = len(words.words) - 1
        return [
            self._points(word, slots, beginning=words.open and at == last, lenient=lenient)
            for at, word in enumerate(words.words)
        ]

    def _points(self, word: str, slots: int, *, beginning: bool, lenient: bool) -> Points:
        best = np.zeros(slots, dtype=np.uint8)
        for fit, word_ids in self._matches(word, beginning=beginning, lenient=lenient):
            lists = [self._slots[word_id] for word_id in word_ids]
            if not lists:
                continue
            # Copies: an array cannot grow while somebody looks into it.
            packed = np.concatenate([np.frombuffer(each, dtype=np.uint32) for each in lists])
            places, where = packed & _PLACE_MASK, packed >> _PLACE_BITS
            points = _POINTS[fit][places]
            if len(lists) == 1:
                best[where] = np.maximum(best[where], points)
                continue
            # A slot can be there several times: the best place is written last.
            for place in Place:
                here = where[places == place]
                if len(here):
                    best[here] = np.maximum(best[here], _POINTS[fit][place])
        return best

    def _matches(self, word: str, *, beginning: bool, lenient: bool) -> Iterator[tuple[Fit, list[int]]]:
        """The words that fit, each once, with its best fit first."""
        seen: set[int] = set()

        def further(ids: Iterable[int]) -> list[int]:
            found = [each for each in ids if each not in seen]
            seen.update(found)
            return found

        own = self._ids.get(word)
        yield Fit.SAME, further([own] if own is not None else [])
        yield Fit.FORM, further(self._with_stem(stem(word)))
        yield Fit.SYNONYM, further(each for other in synonyms_of(word) for each in self._with_stem(other))
        if beginning:
            yield Fit.PART, further(self._ids[each] for each in self._beginning_with(word))
        yield Fit.PART, further(self._ids[each] for each in self._ending_in(word))
        if lenient:
            yield Fit.TYPO, further(self._ids[each] for each in sorted(neighbours(word)) if each in self._ids)

    def _with_stem(self, own: str) -> Iterator[int]:
        yield from self._stems.get(own, ())
        same = self._ids.get(own)
        if same is not None and stem(own) == own:
            yield same

    def _beginning_with(self, beginning: str) -> list[str]:
        # Each variant may have a SKU of its own: there are many of them, and they hide no word.
        plain = self._plain.beginning_with(beginning, _MOST_BEGINNINGS)
        return plain + self._numbered.beginning_with(beginning, _MOST_NUMBERED)

    def _ending_in(self, word: str) -> Iterator[str]:
        end = end_of(word)
        if end:
            found = (compound_of(each, end) for each in self._endings.beginning_with(end, _MOST_COMPOUNDS))
            yield from filter(None, found)

    def _ordered(self, word: str) -> SortedWords:
        return self._plain if word.isalpha() else self._numbered

    def _new(self, word: str) -> int:
        if self._free:
            word_id = self._free.pop()
            self._texts[word_id] = word
        else:
            word_id = len(self._texts)
            self._texts.append(word)
            self._slots.append(array("I"))
        self._ids[word] = word_id
        own = stem(word)
        if own != word:
            self._stems.setdefault(own, []).append(word_id)
        self._ordered(word).add(word)
        ending = ending_of(word)
        if ending:
            self._endings.add(ending)
        return word_id

    def _forget(self, word_id: int) -> None:
        word = self._texts[word_id]
        own = stem(word)
        if own != word:
            self._stems[own].remove(word_id)
            if not self._stems[own]:
                del self._stems[own]
        self._ordered(word).remove(word)
        ending = ending_of(word)
        if ending:
            self._endings.remove(ending)
        del self._ids[word]
        self._texts[word_id] = ""
        self._free.append(word_id)
