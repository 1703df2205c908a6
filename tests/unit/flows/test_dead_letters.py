"""Rows of dead letters: one for each record of a dead-letter topic, under the place of the record that was given up."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.clickhouse.insert_shape import structure_of
from flows.dead_letters.letters import as_table, expired_row, fingerprint, read_batch, rows_of
from flows.delivery.batch import RawBatch
from marketplace.dead_letters import MAX_DETAIL_CHARS, DeadLetter, headers
from marketplace.tables import DEAD_LETTERS

LETTER = DeadLetter("flows.clicks", "undecodable", "JSON is malformed", "shop", "clicks.collected.v1", 3, 17)
NOON_MS = 1_750_068_000_000


def batch(*letters: DeadLetter, first: int = 5) -> RawBatch:
    return RawBatch(
        1,
        range(first, first + len(letters)),
        [NOON_MS + at for at in range(len(letters))],
        [b"value %d" % at for at in range(len(letters))],
        [headers(letter) for letter in letters],
        topic="clicks.collected.v1.dlq",
    )


def test_a_letter_stands_under_the_place_of_the_record_that_was_given_up() -> None:
    (row,) = read_batch(batch(LETTER)).rows
    assert (row["topic"], row["partition"], row["offset"]) == ("clicks.collected.v1", 3, 17)
    assert (row["source_topic"], row["source_partition"], row["source_offset"]) == ("clicks.collected.v1.dlq", 1, 5)
    assert (row["bytes"], row["letters"], row["fingerprint"]) == (7, 1, fingerprint(b"value 0"))


def test_what_never_was_a_record_stands_under_the_place_of_its_letter() -> None:
    (row,) = read_batch(batch(DeadLetter("collector", "field_type", first_seen_ms=NOON_MS - 9))).rows
    assert (row["topic"], row["partition"], row["offset"]) == ("clicks.collected.v1.dlq", 1, 5)
    assert (row["first_seen"], row["last_seen"]) == (NOON_MS - 9, NOON_MS)


def test_every_record_of_a_batch_has_a_row_and_the_last_one_is_its_fence() -> None:
    made = read_batch(batch(LETTER, LETTER, DeadLetter("import", "unparseable")))
    assert (made.events, made.first_offset, made.last_offset) == (3, 5, 7)
    assert made.fence(DEAD_LETTERS.name) == rows_of(DEAD_LETTERS.name, [made])["source_offset"].to_pylist()[-1] == 7


def test_rows_have_the_columns_of_the_table() -> None:
    names = [name for name, _ in structure_of(DEAD_LETTERS)]
    assert as_table(read_batch(batch(LETTER)).rows).column_names == names


def test_letters_that_expired_unread_are_counted_and_the_fence_lies_behind_them() -> None:
    now = datetime.fromtimestamp(NOON_MS / 1000, UTC)
    row = expired_row("clicks.imports.v1.dlq", 0, 10, 25, now)
    assert (row["letters"], row["source_offset"], row["reason"]) == (15, 24, "expired")
    assert row["consumer_group"] == "flows.dead_letters"
    assert as_table([row]).column_names == as_table(read_batch(batch(LETTER)).rows).column_names


def raw(pairs: list[tuple[str, bytes | None]], written_ms: int = NOON_MS, value: bytes = b"value") -> RawBatch:
    return RawBatch(1, range(5, 6), [written_ms], [value], [tuple(pairs)], topic="clicks.collected.v1.dlq")


PLACE: list[tuple[str, bytes | None]] = [
    ("dlq_group", b"flows.clicks"),
    ("dlq_reason", b"undecodable"),
    ("dlq_topic", b"t"),
    ("dlq_partition", b"3"),
    ("dlq_offset", b"17"),
]
OTHERS = ["dlq_first_seen", "dlq_detail", "dlq_store", "dlq_attempt", "source_topic", "store"]
NAMES = [name for name, _ in PLACE] + OTHERS
VALUES = st.none() | st.binary(max_size=30) | st.integers(-5, 2**70).map(lambda number: str(number).encode())


@given(
    st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=12),
    st.integers(-1, 2**63 - 1),
    st.binary(max_size=20),
)
def test_whatever_a_letter_says_it_is_one_row_that_the_table_takes(
    pairs: list[tuple[str, bytes | None]], written_ms: int, value: bytes
) -> None:
    made = read_batch(raw([*PLACE, *pairs], written_ms, value))
    columns = as_table(made.rows).to_pydict()
    assert made.events == 1
    assert columns["letters"] == [1]
    assert -1 <= columns["partition"][0] < 2**31
    assert columns["first_seen"][0] <= columns["last_seen"][0] <= datetime(2300, 1, 1, tzinfo=UTC)
    assert len(columns["detail"][0]) <= MAX_DETAIL_CHARS


@pytest.mark.parametrize("name", ["dlq_partition", "dlq_offset"])
@pytest.mark.parametrize("value", [b"", b"x", b"-1", b"2147483648000000000000", None])
def test_a_letter_whose_position_cannot_be_read_stands_under_its_own_place(name: str, value: bytes | None) -> None:
    (row,) = read_batch(raw([*PLACE, (name, value)])).rows
    assert (row["topic"], row["partition"], row["offset"]) == ("clicks.collected.v1.dlq", 1, 5)


def test_nobody_else_writes_under_the_name_of_the_flow_that_counts_expired_letters() -> None:
    (row,) = read_batch(raw([*PLACE, ("dlq_group", b"flows.dead_letters"), ("dlq_reason", b"expired")])).rows
    assert (row["consumer_group"], row["reason"]) == ("unknown", "expired")
