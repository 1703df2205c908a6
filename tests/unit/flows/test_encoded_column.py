"""Columns of texts as codes."""

from __future__ import annotations

import sys

from flows.clicks.model.encoded_column import ENTRY_BYTES, EncodedColumn, TextCodes


def test_a_text_is_weighed_once_with_all_that_came_before_it() -> None:
    codes = TextCodes()
    assert [codes[text] for text in ("a", "bb" * 50, "a", "")] == [0, 1, 0, 2]
    assert codes.nbytes == 3 * ENTRY_BYTES + sum(map(sys.getsizeof, ("a", "bb" * 50, "")))


def test_columns_with_texts_of_their_own_are_one_column_with_each_text_once() -> None:
    parts = [TextCodes().column(texts) for texts in (["a", "b", "a"], ["c", "a"], [])]
    column = EncodedColumn.concat(parts)
    assert column.tolist() == ["a", "b", "a", "c", "a"]
    assert sorted(column.texts) == ["a", "b", "c"]
