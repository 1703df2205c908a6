"""Which texts are one text for search, and which words are forms of one word."""

from __future__ import annotations

import time
import unicodedata
from pathlib import Path

import pytest

from marketplace.search.queries import MAX_WORDS, price_ranges, words_in
from marketplace.search.ranking import POINTS, Fit, Place, smoothed_rating, standing
from marketplace.search.stems import stem
from marketplace.search.synonyms import SYNONYMS, synonyms_of
from marketplace.search.typos import neighbours
from marketplace.search.words import MAX_WORD_CHARS, ends_in_a_word, folded, words_of, words_of_query

NFD = "cafe\N{COMBINING ACUTE ACCENT}"


@pytest.mark.parametrize(
    "several",
    [
        ["cafe", "café", NFD, "CAFÉ", "Cafe\N{COMBINING ACUTE ACCENT}", "\uff23\uff21\uff26\uff25"],
        ["strasse", "straße", "STRASSE", "STRAẞE", "Straße"],
        ["istanbul", "İstanbul", "ISTANBUL", "\N{LATIN SMALL LETTER DOTLESS I}stanbul"],
        ["fine", "\N{LATIN SMALL LIGATURE FI}ne", "FINE"],
        ["smorrebrod", "smørrebrød", "SMØRREBRØD"],
        ["lodz", "Łódź", "ŁÓDŹ"],
        ["aegir", "Ægir"],
        ["oeuvre", "œuvre", "ŒUVRE"],
        ["thor", "Þór", "þor"],
        ["елка", "ёлка", "ЁЛКА"],
        ["καφες", "καφές", "ΚΑΦΕΣ"],
        ["커피", unicodedata.normalize("NFD", "커피")],
        ["が", unicodedata.normalize("NFD", "が")],
        ["soft", "so\N{SOFT HYPHEN}ft", "so\N{ZERO WIDTH SPACE}ft"],
    ],
    ids=lambda several: several[0],
)
def test_texts_that_people_call_equal_are_one_text(several: list[str]) -> None:
    assert {folded(text) for text in several} == {folded(several[0])}


def test_a_text_that_is_folded_stays_as_it_is_however_often_it_is_folded() -> None:
    for code in range(0x20, 0x3000):
        once = folded(chr(code))
        assert folded(once) == once, hex(code)


@pytest.mark.parametrize("text", [".*", "(", "\\", "$", "$where", "[a-z]", "{$gt: ''}", "%00", "🛒", '"', "--"])
def test_characters_that_mean_something_elsewhere_are_no_words(text: str) -> None:
    assert not set(words_of_query(text)) - {"where", "a", "z", "gt", "00"}


def test_words_of_a_text_are_its_letters_and_digits() -> None:
    assert words_of("Ann's Blue  mug, 250ml (new)") == ["ann", "blue", "mug", "250ml", "new"]


def test_a_word_with_hyphens_is_found_in_parts_and_as_a_whole() -> None:
    assert words_of("T-Shirt") == ["t", "shirt", "tshirt"]
    assert words_of_query("t-shirt") == ["t", "shirt"]
    assert words_of_query("tshirt") == ["tshirt"]


def test_a_script_without_spaces_is_found_by_its_characters_and_pairs() -> None:
    assert words_of("珈琲豆") == ["珈", "琲", "豆", "珈琲", "琲豆"]
    assert words_of_query("珈琲") == ["珈琲"]
    assert words_of_query("豆") == ["豆"]
    assert words_of_query("new 珈琲豆") == ["new", "珈琲", "琲豆"]


@pytest.mark.parametrize("sign", ["a", "\u3316"], ids=["letters", "signs-of-six-letters"])
def test_a_description_that_is_one_word_takes_milliseconds(sign: str) -> None:
    began = time.process_time()
    words_of(f"{sign * 3_998} -")
    assert time.process_time() - began < 0.1


def test_a_word_without_an_end_is_cut_in_texts_and_queries_alike() -> None:
    assert words_of("x" * 5_000) == words_of_query("x" * 6_000) == ["x" * MAX_WORD_CHARS]


@pytest.mark.parametrize(
    ("one", "several"),
    [
        ("mug", "mugs"), ("box", "boxes"), ("dish", "dishes"), ("watch", "watches"), ("berry", "berries"),
        ("glass", "glasses"), ("shoe", "shoes"), ("candle", "candles"), ("pizza", "pizzas"),
        ("Tasse", "Tassen"), ("Kanne", "Kannen"), ("Buch", "Bücher"), ("Glas", "Gläser"), ("Haus", "Häuser"),
        ("Schuh", "Schuhe"), ("Hemd", "Hemden"), ("Vase", "Vasen"), ("Kerze", "Kerzen"), ("Kaffee", "Kaffees"),
        ("Käse", "Kaese"), ("Tisch", "Tische"), ("Kinderbuch", "Kinderbücher"),
    ],
)  # fmt: skip
def test_singular_and_plural_are_forms_of_one_word(one: str, several: str) -> None:
    assert stem(folded(one)) == stem(folded(several))


@pytest.mark.parametrize(
    ("one", "other"),
    [("toast", "toaster"), ("glas", "gla"), ("bus", "bu"), ("dress", "dre"), ("neue", "ne")],
)
def test_words_that_only_look_like_forms_are_words_of_their_own(one: str, other: str) -> None:
    assert stem(one) != stem(other)


def test_typing_errors_are_of_long_words_alone() -> None:
    assert neighbours("tass") == set()
    assert neighbours("12345") == set() == neighbours("sku-12")
    assert {"kaffe", "kafffee", "kaffei", "akffee"} <= neighbours("kaffee")
    assert "kaffee" not in neighbours("kaffee")
    assert "чашка" in neighbours("чашкка")


@pytest.mark.parametrize("word", ["kaffee", "Kaffees", "coffee", "café", "cafes"])
def test_a_synonym_stands_for_the_others_in_any_form(word: str) -> None:
    every = {stem(folded(each)) for each in ("Kaffee", "coffee", "Café")}
    assert set(synonyms_of(folded(word))) == every - {stem(folded(word))}


def test_a_word_stands_in_one_line_of_synonyms() -> None:
    stems = [each for group in SYNONYMS for each in {stem(folded(word)) for word in group}]
    assert len(stems) == len(set(stems))


def test_the_last_word_of_a_query_may_go_on_until_something_follows() -> None:
    assert ends_in_a_word("blue mu")
    assert not ends_in_a_word("blue mug ")
    assert not ends_in_a_word("blue mug.")
    assert not ends_in_a_word("珈琲")
    assert not ends_in_a_word("")


def test_a_query_has_ten_words_and_no_word_twice() -> None:
    many = words_in(" ".join(f"word{at}" for at in range(30)))
    assert many is not None
    assert len(many.words) == MAX_WORDS
    twice = words_in("mug blue mug")
    assert twice is not None
    assert (twice.words, twice.open) == (("blue", "mug"), True)
    assert words_in("  ") is None


def test_a_title_comes_before_any_other_place_and_a_word_itself_before_any_other_fit() -> None:
    for fit in Fit:
        assert POINTS[fit][Place.DESCRIPTION] > 0
        for better, worse in ((Place.TITLE, Place.NAME), (Place.NAME, Place.DESCRIPTION)):
            assert POINTS[fit][better] > POINTS[Fit.SAME][worse]
    for place in Place:
        points = [POINTS[fit][place] for fit in Fit]
        assert points == sorted(points, reverse=True)
        assert len(set(points)) == len(points)


def test_what_sells_comes_first_by_powers_of_two_and_then_what_many_like() -> None:
    nobody = (0, 0, 0, 0, 0)
    assert standing(1, nobody) > standing(0, (0, 0, 0, 0, 1000))
    assert standing(8, nobody) == standing(15, nobody) < standing(16, nobody)
    assert standing(8, (0, 0, 0, 0, 9)) > standing(15, nobody)
    assert smoothed_rating((0, 0, 0, 0, 1)) < smoothed_rating((0, 0, 0, 10, 90))
    assert smoothed_rating(nobody) == 350
    assert standing(2**80, (0, 0, 0, 0, 10**6)) < 2**15


@pytest.mark.parametrize("currency", ["EUR", "JPY", "KWD"])
def test_every_price_is_in_exactly_one_range(currency: str) -> None:
    ranges = price_ranges(currency)
    assert (ranges[0][0], ranges[-1][1]) == (0, None)
    assert [low for low, _ in ranges[1:]] == [high + 1 for _, high in ranges[:-1] if high is not None]


def test_the_documentation_has_the_points() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/search.md").read_text()
    for name, place in (("title", Place.TITLE), ("SKU, category", Place.NAME), ("description", Place.DESCRIPTION)):
        assert f"| {name} | {' | '.join(str(POINTS[fit][place]) for fit in Fit)} |" in page
