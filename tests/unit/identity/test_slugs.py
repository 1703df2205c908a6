from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.identity.slugs import RESERVED, is_reserved, slug_of_title
from marketplace.stores import SLUG


@given(st.text(max_size=200), st.text("abcdef0123456789", min_size=6, max_size=6))
def test_every_title_gives_a_slug_that_is_nobody_elses(title: str, suffix: str) -> None:
    slug = slug_of_title(title, suffix)
    assert SLUG.fullmatch(slug)
    assert slug.endswith(f"-{suffix}")
    assert not is_reserved(slug)


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Ann's Shop", "ann-s-shop-x1"),
        ("Zürich  Käse", "zurich-kase-x1"),
        ("Zu\u0308rich Ka\u0308se", "zurich-kase-x1"),
        ("Иван", "shop-x1"),
        ("ทดสอบ", "shop-x1"),
        ("🛒 24", "24-x1"),
        ("!!!", "shop-x1"),
        ("-a-", "a-x1"),
        ("x" * 100, "x" * 40 + "-x1"),
        ("x" * 39 + " y", "x" * 39 + "-x1"),
    ],
)
def test_what_of_a_title_is_latin_is_its_slug(title: str, slug: str) -> None:
    assert slug_of_title(title, "x1") == slug


@pytest.mark.parametrize("suffix", ["", "A", "-", "ä", "a" * 23])
def test_a_suffix_that_would_give_no_slug_is_refused(suffix: str) -> None:
    with pytest.raises(ValueError, match="suffix"):
        slug_of_title("x" * 40, suffix)


def test_reserved_names_are_slugs_that_somebody_could_want() -> None:
    assert {name for name in RESERVED if not SLUG.fullmatch(name)} == set()
    assert {"admin", "api", "www"} <= RESERVED
    assert not is_reserved("shop")
