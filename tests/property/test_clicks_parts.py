"""The parts of the click path against the most obvious way to say the same."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.arrays.sorted_runs import KeyCounts, KeyNumbers, KeySet
from flows.clicks.encoding.enrichment_encoder import page_of
from flows.clicks.model.columns import Columns
from flows.clicks.steps.clock import correct
from flows.clicks.steps.dedupe import find_duplicates
from flows.clicks.steps.refires import find_refires, rank_within
from marketplace.clicks.events import CollectedClick, decode_properties
from marketplace.clicks.outcomes import REFIRE_WINDOW_MS
from ops.oracle.outcomes import is_late, path_of, real_time
from ops.oracle.reading import Event, read
from tests.kits.clicks import STORES, event, ms, read_values
from tests.kits.clicks_logs import examples

KEYS = st.integers(0, 12) | st.integers(2**64 - 3, 2**64 - 1)
NOW = ms("2025-03-09T06:00:00")


def u64(numbers: list[int]) -> Any:
    return np.array(numbers, dtype=np.uint64)


def i64(numbers: list[int]) -> Any:
    return np.array(numbers, dtype=np.int64)


@examples(100)
@given(parts=st.lists(st.lists(KEYS, unique=True, max_size=6), max_size=12), asked=st.lists(KEYS, max_size=8))
def test_a_key_set_holds_what_was_added(parts: list[list[int]], asked: list[int]) -> None:
    held, plain = KeySet(), set[int]()
    for part in parts:
        new = [key for key in part if key not in plain]
        held.add(u64(new))
        plain |= set(new)
    assert held.contains(u64(asked)).tolist() == [key in plain for key in asked]
    assert (len(held), held.nbytes) == (len(plain), 8 * len(plain))


@examples(100)
@given(
    parts=st.lists(st.lists(st.tuples(KEYS, st.integers(-9, 9)), max_size=6), max_size=12),
    asked=st.lists(st.tuples(KEYS, st.integers(-9, 9)), max_size=8),
    distance=st.integers(1, 4),
)
def test_key_numbers_find_what_is_near(
    parts: list[list[tuple[int, int]]], asked: list[tuple[int, int]], distance: int
) -> None:
    held, plain = KeyNumbers(), [pair for part in parts for pair in part]
    for part in parts:
        held.add(u64([key for key, _ in part]), i64([number for _, number in part]))
    keys, numbers = u64([key for key, _ in asked]), i64([number for _, number in asked])
    assert held.any_near(keys, numbers, distance).tolist() == [
        any(k == key and abs(n - number) < distance for k, n in plain) for key, number in asked
    ]
    assert (len(held), held.nbytes) == (len(plain), 16 * len(plain))


@examples(100)
@given(
    parts=st.lists(st.lists(st.tuples(KEYS, st.integers(0, 9), st.integers(0, 9)), max_size=6), max_size=12),
    asked=st.lists(KEYS, max_size=8),
)
def test_key_counts_add_up(parts: list[list[tuple[int, int, int]]], asked: list[int]) -> None:
    held, plain = KeyCounts(width=2), (Counter[int](), Counter[int]())
    for part in parts:
        counts = np.array([both for _, *both in part], dtype=np.int32).reshape(-1, 2)
        held.add(u64([key for key, *_ in part]), counts)
        for key, one, other in part:
            plain[0][key] += one
            plain[1][key] += other
    assert held.total(u64(asked)).tolist() == [[plain[0][key], plain[1][key]] for key in asked]


@examples(100)
@given(keys=st.lists(KEYS, max_size=20))
def test_a_rank_is_the_number_of_equal_keys_before(keys: list[int]) -> None:
    assert rank_within(u64(keys)).tolist() == [keys[:at].count(key) for at, key in enumerate(keys)]


@examples(200)
@given(
    hits=st.lists(
        st.tuples(
            st.integers(1, 2), st.integers(-2, 9).map(lambda step: step * 999) | st.integers(0, 9_000), st.booleans()
        ),
        max_size=20,
    )
)
def test_refires_are_found_as_if_one_by_one(hits: list[tuple[int, int, bool]]) -> None:
    expected, counted = [], list[tuple[int, int]]()
    for pair, when, near_earlier in hits:
        refire = near_earlier or any(p == pair and abs(when - w) < REFIRE_WINDOW_MS for p, w in counted)
        expected.append(refire)
        if not refire:
            counted.append((pair, when))
    pairs, times = u64([pair for pair, _, _ in hits]), i64([NOW + when for _, when, _ in hits])
    decided = np.array([near for _, _, near in hits], dtype=np.bool_)
    assert find_refires(pairs, times, decided).tolist() == expected


@examples(200)
@given(
    copies=st.lists(st.tuples(st.integers(1, 3), st.integers(5, 8), st.booleans()), max_size=14),
    told=st.sets(st.integers(1, 3)),
)
def test_duplicates_are_found_as_if_one_by_one(copies: list[tuple[int, int, bool]], told: set[int]) -> None:
    # A key belongs to events that all tell their time, and then the same, or to events that all do not.
    copies = [(key, 5 if key in told else hour, seen) for key, hour, seen in copies]
    expected, accepted = [], set[tuple[int, int]]()
    for key, hour, seen in copies:
        duplicate = seen or (key, hour) in accepted or (key not in told and (key, hour - 1) in accepted)
        expected.append(duplicate)
        if not duplicate:
            accepted.add((key, hour))
    keys, hours = u64([key for key, _, _ in copies]), i64([hour for _, hour, _ in copies])
    untimed = np.array([key not in told for key, _, _ in copies], dtype=np.bool_)
    seen_before = np.array([seen for _, _, seen in copies], dtype=np.bool_)
    # A told key that the past has seen was seen for its first copy too.
    if not any(key in told and seen for key, _, seen in copies):
        assert find_duplicates(keys, hours, untimed, seen_before).tolist() == expected


MOMENTS = (
    st.none() | st.sampled_from([0, NOW - 7 * 86_400_000 - 1, NOW - 1, NOW, NOW + 1, 2**53 - 1]) | st.integers(0, 2**42)
)


@examples(200)
@given(occurred=MOMENTS, sent=MOMENTS, origin=st.sampled_from(["web", "import"]))
def test_the_clock_is_the_oracles(occurred: int | None, sent: int | None, origin: Any) -> None:
    given: dict[str, Any] = {"key": "0" * 16, "event_id": "e", "store": "alpha", "visitor": "0" * 16}
    given["received_at_ms"] = NOW
    columns, _ = read_values([{**given, "occurred_at_ms": occurred, "sent_at_ms": sent, "origin": origin}])
    times = correct(columns)
    plain = Event(**given, occurred_at_ms=occurred, sent_at_ms=sent, origin=origin)
    when, notes = real_time(plain)
    assert times.occurred_ms.tolist() == [when]
    assert times.late.tolist() == [is_late(plain, when)]
    assert (times.clamped.tolist(), times.corrected.tolist()) == (
        ["future_clamped" in notes],
        ["clock_corrected" in notes],
    )


LINKS = st.builds(
    lambda scheme, rest: scheme + rest,
    st.sampled_from(["https://shop.example", "https://", "android-app://", "//", "", "/a://", "?u=http://x/"]),
    st.lists(
        st.sampled_from(
            [
                "/",
                "a",
                "%C3%A9",
                "%C3",
                "\u00e9",
                "%",
                "%2",
                "%zz",
                "%2F",
                "%00",
                "?",
                "#",
                " ",
                "\u2028",
                "\x07",
                "ab" * 300,
            ]
        )
        | st.characters(exclude_categories=["Cs"]),
        max_size=8,
    ).map("".join),
)


@examples(300)
@given(url=LINKS)
def test_the_page_of_a_link_is_the_oracles(url: str) -> None:
    assert page_of(url) == path_of(url)
    assert 1 <= len(page_of(url)) <= 512
    assert page_of(url).isprintable()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)
FIELD_NAMES = st.sampled_from([*CollectedClick.__struct_fields__, "unknown"])


@st.composite
def mutilated(draw: st.DrawFn) -> bytes:
    """A record with fields replaced, repeated or gone, and bytes changed."""
    fields = event(NOW, sent_at_ms=NOW)
    for name in draw(st.lists(FIELD_NAMES, max_size=2)):
        fields.pop(name, None)
    pairs = list(fields.items()) + draw(st.lists(st.tuples(FIELD_NAMES, JSON), max_size=2))
    value = b"{" + b",".join(f"{json.dumps(n)}:{json.dumps(v)}".encode() for n, v in pairs) + b"}"
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        at = draw(st.integers(0, len(value)))
        value = (
            value[:at]
            + draw(st.binary(max_size=2) | st.sampled_from([b'"', b",", b"\\", b"1e400", b"\\ud800"]))
            + value[at + 1 :]
        )
    return value


def event_of(columns: Columns) -> dict[str, Any]:
    """The only event, field by field."""
    return {
        **{name: column.tolist()[0] for name, column in columns.texts.items()},
        "properties": decode_properties(columns.texts["properties"].tolist()[0]) or None,
        "event_id": columns.event_ids[0],
        "key": f"{columns.key[0]:016x}",
        "visitor": f"{columns.visitor[0]:016x}",
        "received_at_ms": columns.received_ms[0],
        "occurred_at_ms": None if columns.occurred_ms[0] < 0 else columns.occurred_ms[0],
        "sent_at_ms": None if columns.sent_ms[0] < 0 else columns.sent_ms[0],
        "automated": bool(columns.automated[0]),
        "opted_out": bool(columns.opted_out[0]),
        "sampling": pytest.approx(columns.sampling[0], rel=1e-6, nan_ok=True),
    }


@examples(400)
@given(value=mutilated() | st.binary(max_size=20))
def test_a_record_is_readable_exactly_when_the_oracle_can_read_it(value: bytes) -> None:
    columns, rejects = read_values([value])
    expected = read(value, STORES)
    assert (len(columns), len(rejects)) == ((0, 1) if expected is None else (1, 0))
    if expected is not None:
        assert event_of(columns) == {**vars(expected), "properties": expected.properties or None}
