"""Rows of dead letters: one for each record of a dead-letter topic, under the place of the record that was given up."""

from __future__ import annotations

from datetime import UTC, datetime

from connectors.clickhouse.insert_shape import structure_of
from flows.dead_letters.letters import as_table, expired_row, fingerprint, read_batch, rows_of
from flows.delivery.batch import RawBatch
from marketplace.dead_letters import DeadLetter, headers
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
    row = expired_row("flows.dead_letters", "clicks.imports.v1.dlq", 0, 10, 25, now)
    assert (row["letters"], row["source_offset"], row["reason"]) == (15, 24, "expired")
    assert as_table([row]).column_names == as_table(read_batch(batch(LETTER)).rows).column_names
