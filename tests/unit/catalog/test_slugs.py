"""Slugs of products and categories, made of titles in any script."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.catalog.slugs import RESERVED, is_reserved, is_slug, slug_of_title, with_suffix


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Blue mug", "blue-mug"),
        ("  Café au lait, 300 ml!  ", "cafe-au-lait-300-ml"),
        ("Cafe\N{COMBINING ACUTE ACCENT}", "cafe"),
        ("Müßiggang für Ärzte", "muessiggang-fuer-aerzte"),
        ("Mu\N{COMBINING DIAERESIS}sli", "muesli"),
        ("Smørrebrød & Œuf", "smorrebrod-oeuf"),
        ("Łódź", "lodz"),
        ("Иван", "ivan"),
        ("Ёлка и йод", "elka-i-yod"),
        ("Ψωμί", "psomi"),
        ("\N{LATIN SMALL LIGATURE FI}ne \N{FULLWIDTH LATIN CAPITAL LETTER A}", "fine-a"),
        ("İstanbul", "istanbul"),
        ("x" * 300, "x" * 48),
    ],
)
def test_a_title_that_can_be_written_in_ascii_is(title: str, slug: str) -> None:
    assert slug_of_title(title) == slug


@pytest.mark.parametrize("title", ["ทดสอบ", "中文", "🛒", "!!!", "ـ"])
def test_one_that_cannot_has_a_slug_of_its_own_that_stays(title: str) -> None:
    made = slug_of_title(title)
    assert made.startswith("product-")
    assert made == slug_of_title(title)
    assert made != slug_of_title(title + title)


@pytest.mark.parametrize("word", sorted(RESERVED))
def test_a_title_that_is_a_reserved_word_gets_another_slug(word: str) -> None:
    made = slug_of_title(word.replace("-", " ").title())
    assert not is_reserved(made)
    assert made.startswith(f"{word}-")


@given(st.text(max_size=300), st.text("0123456789abcdef", min_size=1, max_size=32))
def test_every_title_has_a_slug_that_is_not_reserved_and_so_has_one_beside_it(title: str, suffix: str) -> None:
    made = slug_of_title(title.encode("utf-8", "ignore").decode())
    beside = with_suffix(made, suffix)
    assert is_slug(made)
    assert is_slug(beside)
    assert not is_reserved(made)
    assert beside != made
