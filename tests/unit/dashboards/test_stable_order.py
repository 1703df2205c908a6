from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from connectors.insights import Numbers, Row
from dashboards.ui.stable_order import StableOrder, keep_order

ANSWERS = st.lists(st.permutations("abcdef").map(lambda letters: letters[:4]), min_size=1, max_size=6)


def rows(values: Sequence[str], views: int = 1) -> list[Row]:
    return [Row(None, value, Numbers(views=views)) for value in values]


def test_rows_stay_where_they_are_when_their_order_changes_and_new_ones_come_last() -> None:
    held, _ = keep_order(None, "asked", rows("ab"))
    steady, shown = keep_order(held, "asked", rows("cba", views=2))
    assert [row.value for row in shown] == ["a", "b", "c"]
    assert {row.numbers.views for row in shown} == {2}
    assert (steady.version, steady.values) == (held.version, ("a", "b", "c"))


def test_another_question_and_a_value_that_is_gone_are_drawn_again() -> None:
    held, _ = keep_order(None, "asked", rows("ab"))
    for question, values in (("else", "ba"), ("asked", "b"), ("asked", "")):
        steady, shown = keep_order(held, question, rows(values))
        assert [row.value for row in shown] == list(values)
        assert steady.version == held.version + 1


def test_after_a_choice_the_table_is_drawn_again() -> None:
    held, _ = keep_order(None, "asked", rows("ab"))
    steady, shown = keep_order(held.cleared(), "asked", rows("ba"))
    assert [row.value for row in shown] == ["b", "a"]
    assert steady.version == held.version + 1


@given(ANSWERS)
def test_under_one_version_a_position_means_one_value_for_ever(answers: list[list[str]]) -> None:
    meant: dict[tuple[int, int], str] = {}
    held: StableOrder | None = None
    for answer in answers:
        held, shown = keep_order(held, "asked", rows(answer))
        assert sorted(row.value for row in shown) == sorted(answer)
        for position, row in enumerate(shown):
            assert meant.setdefault((held.version, position), row.value) == row.value
