"""Pages, and columns that are decided together."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import pytest

from flows.arrays.types import I32
from flows.clicks.encoding.dictionary import Dictionary
from flows.clicks.encoding.enrichment_encoder import MAX_PAGE_CHARS, EnrichmentEncoder, page_of

PAGES = {
    "https://shop.example": "/",
    "https://shop.example?q=1": "/",
    "https://shop.example/": "/",
    "https://shop.example/a/b?q=/c#/d": "/a/b",
    "https://shop.example/a#b?c": "/a",
    "/plain/path?x=1": "/plain/path",
    "": "/",
    "?only=query": "/",
    "no-slash": "no-slash",
    "https://shop.example/caf%C3%A9": "/caf\u00e9",
    "https://shop.example/%ff%C3": "/\ufffd\ufffd",
    "https://shop.example/100%": "/100%",
    "https://shop.example/%zz": "/%zz",
    "https://shop.example/a%2Fb": "/a/b",
    "https://shop.example/a%3Fb%23c": "/a?b#c",
    "https://shop.example/a%00b\u202ec\n": "/a\ufffdb\ufffdc\ufffd",
    "https://shop.example/redirect/https://other.example/x": "/redirect/https://other.example/x",
    "/redirect/https://other.example/x": "/redirect/https://other.example/x",
    "android-app://com.example/open": "/open",
}


@pytest.mark.parametrize(("url", "page"), PAGES.items())
def test_the_page_is_the_readable_path(url: str, page: str) -> None:
    assert page_of(url) == page


def test_a_page_is_cut_after_it_was_decoded() -> None:
    assert page_of("https://shop.example/" + "%C3%A9" * 2_000) == "/" + "\u00e9" * (MAX_PAGE_CHARS - 1)


class Asked:
    """An encoder over words of its own, and what it was asked."""

    def __init__(self, reads: tuple[str, ...] = ("url",), parts: tuple[Callable[[str], Hashable], ...] = ()) -> None:
        self.words = {name: Dictionary() for name in ("store", "url", "referrer", "store_rules")}
        self.calls: list[tuple[Any, ...]] = []
        self.encoder = EnrichmentEncoder("shout", ("loud",) * len(reads), reads, self.words, self._answer, "v1", parts)

    def _answer(self, given: tuple[Any, ...]) -> tuple[str, ...]:
        self.calls.append(given)
        return tuple(str(part).upper() for part in given)

    def encode(self, *columns: list[str]) -> list[tuple[str, ...]]:
        """The answers for events, given a column of texts for each field that is read."""
        codes = self.codes(*columns)
        return [self.encoder.rows[code] for code in codes.tolist()]

    def codes(self, *columns: list[str]) -> I32:
        named = zip(("url", "referrer", "store_rules"), columns, strict=False)
        return self.encoder.encode({name: self.words[name].encode(texts) for name, texts in named})


def test_each_distinct_input_is_answered_once() -> None:
    asked = Asked()
    assert asked.encode(["a", "b", "a"]) == [("A",), ("B",), ("A",)]
    assert asked.encode(["b", "B"]) == [("B",), ("B",)]
    assert asked.calls == [("a",), ("b",), ("B",)]
    assert asked.encoder.rows == [("A",), ("B",)]


def test_each_distinct_combination_is_answered_once() -> None:
    asked = Asked(("url", "referrer", "store_rules"))
    for _ in range(2):
        assert asked.encode(["a", "a", "b", "a"], ["x", "y", "x", "x"], ["o"] * 4) == [
            ("A", "X", "O"),
            ("A", "Y", "O"),
            ("B", "X", "O"),
            ("A", "X", "O"),
        ]
    assert sorted(asked.calls) == [("a", "x", "o"), ("a", "y", "o"), ("b", "x", "o")]


def test_texts_that_agree_in_what_counts_are_answered_together() -> None:
    asked = Asked(("url", "referrer"), (str.casefold, len))
    assert asked.encode(["a", "A", "a"], ["xx", "yy", "z"]) == [("A", "2"), ("A", "2"), ("A", "1")]
    assert sorted(asked.calls) == [("a", 1), ("a", 2)]


def test_what_reads_more_fields_than_can_be_distinguished_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="shout reads 4 fields"):
        Asked(("url", "referrer", "store_rules", "store"))


def test_new_rules_answer_again_and_leave_old_answers_as_they_were() -> None:
    asked = Asked()
    old = asked.codes(["a"]).tolist()
    asked.encoder.renew(lambda parts: (f"new {parts[0]}",), "v2")
    new = asked.codes(["a"]).tolist()
    assert [asked.encoder.rows[code] for code in old + new] == [("A",), ("new a",)]
    assert asked.encoder.version == "v2"


def test_the_same_version_keeps_what_was_remembered() -> None:
    asked = Asked()
    asked.codes(["a"])
    asked.encoder.renew(lambda parts: parts, "v1")
    asked.codes(["a"])
    assert asked.calls == [("a",)]


def test_compacting_keeps_what_is_used_under_new_codes() -> None:
    asked = Asked()
    codes = asked.codes(["a", "b", "c"])
    kept = asked.encoder.compact(np.array([codes[2], codes[0], codes[2]], dtype=np.int32))
    assert [asked.encoder.rows[code] for code in kept.tolist()] == [("C",), ("A",), ("C",)]
    assert len(asked.encoder.rows) == 2
    assert asked.encode(["b", "c"]) == [("B",), ("C",)]


def test_answers_are_weighed_by_their_texts_and_compacting_makes_them_lighter() -> None:
    asked = Asked()
    codes = asked.codes(["a" * 2_000, "b" * 50])
    before = asked.encoder.nbytes
    asked.encoder.compact(codes[1:])
    assert before > 2_050 > asked.encoder.nbytes > 50


def test_words_that_were_forgotten_are_asked_about_again() -> None:
    asked = Asked(("url", "referrer"), (str.casefold, str.casefold))
    assert asked.encode(["a", "b"], ["x", "x"]) == [("A", "X"), ("B", "X")]
    asked.words["url"].forget()
    assert asked.encode(["b", "a"], ["x", "x"]) == [("B", "X"), ("A", "X")]
    assert sorted(asked.calls) == [("a", "x")] * 2 + [("b", "x")] * 2
