"""Cursors of lists whose places are whole numbers: their check is no secret, so anybody can make one of anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.web.cursors import cursor, number_of
from api.web.problems import Problem


@given(st.integers(0, 10**15 - 1))
def test_a_place_is_read_as_it_was_written(place: int) -> None:
    assert number_of("list", cursor("list", str(place))) == place


@pytest.mark.parametrize("place", ["", "x", "-1", "1.0", "\uff11", "1\n", "9" * 16])
def test_a_place_that_is_no_number_is_none(place: str) -> None:
    with pytest.raises(Problem) as refused:
        number_of("list", cursor("list", place))
    assert refused.value.type.status == 400
