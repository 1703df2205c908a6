"""Dead letters of every form that was ever written are read by today's code, and today's form is what the files say."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.dead_letters import MAX_DETAIL_CHARS, MAX_PARTITION, NOWHERE, DeadLetter, headers, read

FOLDER = Path(__file__).parents[2] / "golden" / "dead_letters"
EXAMPLES = sorted(FOLDER.glob("*.json"))
TODAY = [path for path in EXAMPLES if path.stem in ("collector", "flow-of-clicks")]
CODES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=20)
LETTER = DeadLetter(group="g", reason="r", topic="t", partition=0, offset=0)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=MAX_DETAIL_CHARS)


def example(path: Path) -> Any:
    return json.loads(path.read_text())


def pairs(given: list[list[str]]) -> list[tuple[str, bytes]]:
    return [(name, value.encode()) for name, value in given]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_letter_that_was_ever_written_is_read_as_it_was_meant(path: Path) -> None:
    assert asdict(read(pairs(example(path)["headers"]))) == example(path)["letter"]


@pytest.mark.parametrize("path", TODAY, ids=lambda path: path.stem)
def test_todays_headers_are_those_of_the_files(path: Path) -> None:
    own = [pair for pair in pairs(example(path)["headers"]) if pair[0].startswith("dlq_")]
    assert list(headers(DeadLetter(**example(path)["letter"]))) == own


@given(
    st.builds(
        DeadLetter,
        group=CODES,
        reason=CODES,
        detail=TEXTS,
        store=TEXTS,
        topic=CODES,
        partition=st.integers(0, 2**31 - 1),
        offset=st.integers(0, 2**59),
        attempt=st.integers(1, 1_000),
        version=CODES,
        first_seen_ms=st.integers(1, 2**53),
    )
)
def test_what_is_written_is_read_back(letter: DeadLetter) -> None:
    assert read(headers(letter)) == letter


@given(st.lists(st.tuples(st.sampled_from(["dlq_group", "dlq_offset", "dlq_topic", "x"]), st.none() | st.binary())))
def test_headers_of_any_kind_are_read_without_an_error(given: list[tuple[str, bytes | None]]) -> None:
    letter = read(given)
    assert letter.reason == "unknown"
    assert letter.offset >= -1


OWN = st.sampled_from(["reason", "detail", "store", "source_topic", "source_partition", "source_offset", "x"])


@given(st.lists(st.tuples(OWN, st.binary())))
def test_headers_of_the_record_say_nothing_about_its_letter(own: list[tuple[str, bytes]]) -> None:
    letter = DeadLetter("saga.orders", "unknown_order", topic="orders", partition=1, offset=2)
    assert read([*own, *headers(letter)]) == letter


def test_a_letter_can_be_written_whatever_its_texts_hold() -> None:
    assert read(headers(DeadLetter("import", "unparseable", detail="a\ud800b"))).detail == "a?b"


def test_a_header_without_a_value_counts_as_unknown() -> None:
    assert read([("dlq_store", None), ("dlq_reason", None)]) == DeadLetter("unknown", "unknown")


def test_what_is_in_no_topic_has_no_place_whatever_other_headers_say() -> None:
    letter = read([("dlq_partition", b"3"), ("dlq_offset", b"17")])
    assert (letter.partition, letter.offset) == (NOWHERE, NOWHERE)


@given(st.integers(1, 30))
def test_a_number_of_up_to_18_digits_is_read_and_a_longer_one_counts_as_unknown(digits: int) -> None:
    letter = read([("dlq_topic", b"orders"), ("dlq_offset", b"7" * digits)])
    assert letter.offset == (int("7" * digits) if digits <= 18 else NOWHERE)


@pytest.mark.parametrize(("given", "read_as"), [(MAX_PARTITION, MAX_PARTITION), (MAX_PARTITION + 1, NOWHERE)])
def test_a_partition_that_no_topic_can_have_is_unknown(given: int, read_as: int) -> None:
    letter = read([("dlq_topic", b"orders"), ("dlq_partition", str(given).encode())])
    assert letter.partition == read_as


def test_a_topic_is_known_by_its_whole_name_however_long_kafka_lets_it_be() -> None:
    # Kafka: org.apache.kafka.common.internals.Topic.MAX_NAME_LENGTH.
    longest = "t" * 249
    assert read(headers(replace(LETTER, topic=longest))).topic == longest
    assert read([("dlq_group", b"g"), ("dlq_topic", b"t" * 250)]).topic == longest


def test_what_is_said_of_a_letter_is_cut_at_five_hundred_characters() -> None:
    said = read(headers(replace(LETTER, detail="d" * 501, store="s" * 501)))
    assert (said.detail, said.store) == ("d" * 500, "s" * 500)
    given = read([("dlq_group", b"g"), ("dlq_detail", b"d" * 501)])
    assert given.detail == "d" * 500


def test_an_offset_of_eighteen_digits_is_known_and_a_longer_one_is_not() -> None:
    assert read(headers(replace(LETTER, offset=10**18 - 1))).offset == 10**18 - 1
    assert read(headers(replace(LETTER, offset=10**18))).offset == NOWHERE
