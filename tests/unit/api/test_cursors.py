"""Cursors of lists whose places are read in parts: their check is no secret, so anybody can make one of anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.reviews import pages as reviews
from api.search import pages as search
from api.web.cursors import cursor, number_of
from api.web.problems import Problem
from connectors.mongo.review_queries import Place as ReviewPlace
from marketplace.search.answers import Place
from marketplace.search.queries import Query

IDS = st.text("0123456789abcdef", min_size=32, max_size=32)
ID = "0" * 32


@given(st.integers(0, 10**15 - 1))
def test_a_number_is_read_as_it_was_written(place: int) -> None:
    assert number_of("list", cursor("list", str(place))) == place


@given(st.integers(-(10**17), 10**17), IDS, st.booleans())
def test_a_place_in_a_search_is_read_as_it_was_written(key: int, product: str, lenient: bool) -> None:
    place = Place(key, product, lenient)
    assert search.place_after(Query("mug"), search.cursor_of(Query("mug"), place)) == place


@given(st.integers(0, 10**15 - 1), IDS)
def test_a_place_among_reviews_is_read_as_it_was_written(value: int, review: str) -> None:
    place = ReviewPlace(value, review)
    assert reviews.place_after("list", reviews.cursor_of("list", place) or "") == place


@pytest.mark.parametrize("place", ["", "x", "-1", "1.0", "\uff11", "1\n", "9" * 16])
def test_a_place_that_is_no_number_is_none(place: str) -> None:
    with pytest.raises(Problem) as refused:
        number_of("list", cursor("list", place))
    assert refused.value.type.status == 400


@pytest.mark.parametrize(
    "place", ["", "x:1:y", "1:1", "1:2:ab", "9" * 30 + ":1:ab", "1:1:", "\uff11:1:ab", "1:1:ab\n", f"1:1:{ID}:"]
)
def test_a_place_in_a_search_that_somebody_has_made_up_is_none(place: str) -> None:
    with pytest.raises(Problem) as refused:
        search.place_after(Query("mug"), cursor(f"search {Query('mug')!r}", place))
    assert refused.value.type.status == 400


@pytest.mark.parametrize("place", ["", "1", f"x:{ID}", f"-1:{ID}", f"{'9' * 16}:{ID}", "1:ab", f"\uff11:{ID}"])
def test_a_place_among_reviews_that_somebody_has_made_up_is_none(place: str) -> None:
    with pytest.raises(Problem) as refused:
        reviews.place_after("list", cursor("list", place))
    assert refused.value.type.status == 400
