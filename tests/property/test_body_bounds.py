"""What one body may cost, whatever it holds: objects, bytes kept, and time beside an ordinary one of its size."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors.kafka.records import Record
from ingest.collect.dead_letters import MAX_RAW_BYTES, MAX_REQUEST_BYTES, dead_letters
from ingest.config import CollectorConfig
from marketplace.clicks.collect import RefusedEvent, ValidEvent, property_texts, read_body
from marketplace.clicks.events import encode_click
from marketplace.clicks.faults import Fault
from marketplace.clicks.history import read_history
from marketplace.clicks.record import Client, Visitor, collected_click
from marketplace.clicks.split import MAX_BODY_VALUES, MAX_EVENT_VALUES, MAX_FLOAT_CHARS, RefusedBody, split_body

LARGEST = CollectorConfig().max_decoded_bytes
SIZE = LARGEST // 4
ORDINARY = (
    b'{"event_id":"%032d","type":"click","url":"https://shop.example/p/mug","target":"buy","visitor_id":"abcdef"}'
)


def listed(unit: bytes, size: int) -> bytes:
    return b"[%s]" % b",".join([unit] * (size // (len(unit) + 1)))


def event_with(unit: bytes, size: int) -> bytes:
    return b'{"event_id":"a","x":%s}' % listed(unit, max(0, size // 900 - 30))


def fields(unit: bytes, size: int) -> bytes:
    return b",".join(b'"%06d":%s' % (number, unit) for number in range(size // (len(unit) + 10)))


UNITS = st.sampled_from(
    [
        b"[]",
        b"{}",
        b"0",
        b"null",
        b'""',
        b'{"a":{}}',
        b"[[[]]]",
        b'{"event_id":"a"}',
        b'{"event_id":""}',
        b"1e9",
        b"[0,0]",
    ]
) | st.recursive(st.just(0), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner)).map(
    msgspec.json.encode
)
FORMS: list[tuple[str, Callable[[bytes, int], bytes]]] = [
    ("a bare list", lambda unit, size: listed(unit, size)),
    ("a list of events", lambda unit, size: b'{"events":%s}' % listed(unit, size)),
    ("a field that is not known", lambda unit, size: b'{"event_id":"a","x":%s}' % listed(unit, size)),
    ("a field of the wrong type", lambda unit, size: b'{"event_id":"a","url":%s}' % listed(unit, size)),
    ("such a field in each event", lambda unit, size: b"[%s]" % b",".join([event_with(unit, size)] * 900)),
    ("fields that are not known", lambda unit, size: b'{"event_id":"a",%s}' % fields(unit, size)),
    (
        "one field again and again",
        lambda unit, size: b'{"event_id":"a",%s}' % b",".join([b'"x":' + unit] * (size // 9)),
    ),
]
COSTLY = {
    "endless whole numbers": b"7" * 4_299,
    "the smallest numbers": b"5e-324",
    "the largest numbers": b"1e308",
    "numbers with many zeros": b"0.%s1" % (b"0" * 320),
}


def named(number: bytes) -> bytes:
    """The largest body of events with twenty such properties each."""
    properties = b",".join(b'"%d":%s' % (place, number) for place in range(20))
    event = b'{"event_id":"a","type":"event","name":"a","properties":{%s}}' % properties
    return listed(event, min(LARGEST, 1_000 * (len(event) + 1)))


HOSTILE = [
    *((name, form(b"[]", LARGEST - 60)) for name, form in FORMS),
    ("a text without end", b'{"event_id":"a","x":"%s"}' % (b"a" * (LARGEST - 30))),
    ("escapes", b'{"event_id":"a","x":"%s"}' % (rb"\u00e9" * ((LARGEST - 30) // 6))),
    ("a number without end", b'{"event_id":"a","x":%s}' % (b"1" * (LARGEST - 30))),
    ("long numbers", b'{"event_id":"a","x":[%s]}' % b",".join([b"1" * 4_299] * (LARGEST // 4_400))),
    ("numbers that are long enough", b'{"event_id":"a","x":[%s]}' % b",".join([b"1" * 450] * 950)),
    ("depth", b"[" * (LARGEST // 2) + b"]" * (LARGEST // 2)),
    ("depth in each event", b"[%s]" % b",".join([b'{"event_id":"a","x":%s}' % (b"[" * 900 + b"]" * 900)] * 1_000)),
    ("blanks", b" " * (LARGEST - 20) + b'{"event_id":"a"}'),
    *((f"properties of {name}", named(number)) for name, number in COSTLY.items()),
    ("one property again and again", b'{"event_id":"a","properties":{%s}}' % b",".join([b'"a":5e-324'] * 190_000)),
    ("endless times", listed(b'{"event_id":"a","occurred_at":%s}' % (b"7" * 4_299), LARGEST)),
    ("colons", listed(b'{"event_id":"a","url":"%s"}' % (b":" * 2_000), LARGEST - 2_000)),
    ("no end", b"[" + b"[]," * (LARGEST // 3 - 1)),
]


@settings(max_examples=40)
@given(UNITS, st.sampled_from([form for _, form in FORMS]))
def test_what_is_built_of_a_body_is_bounded_whatever_it_holds(unit: bytes, form: Callable[[bytes, int], bytes]) -> None:
    body = form(unit, SIZE)
    for read in (read_body, lambda body: read_history(body, 2**41)):
        tracemalloc.start()
        try:
            with contextlib.suppress(RefusedBody):
                read(body)
            peak_bytes = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

        # A body, its text, its pieces, and of what is not known at most so many values of a dictionary's size.
        assert peak_bytes < 5 * len(body) + 100 * MAX_BODY_VALUES


@given(st.integers(0, 2_000))
def test_an_event_may_hold_so_many_values_that_are_not_known_and_no_more(count: int) -> None:
    body = msgspec.json.encode({"event_id": "a", "url": "https://shop.example/" + "," * 2_000, "x": [0] * count})

    (result,) = read_body(body).results

    if count > MAX_EVENT_VALUES:
        assert isinstance(result, RefusedEvent)
        assert result.fault.code == "too_complex"
    elif count < MAX_EVENT_VALUES - 20:
        assert isinstance(result, ValidEvent)


def test_so_may_all_events_of_a_body_together() -> None:
    few = [{"event_id": "a", "x": [0] * (MAX_BODY_VALUES // 1_000 - 5)}] * 1_000
    many = [{"event_id": "a", "x": [0] * (MAX_BODY_VALUES // 1_000)}] * 1_000

    assert all(isinstance(result, ValidEvent) for result in read_body(msgspec.json.encode(few)).results)
    with pytest.raises(RefusedBody) as refused:
        read_body(msgspec.json.encode(many))
    assert refused.value.fault.code == "too_complex"


@given(
    st.lists(
        st.sampled_from([b"{}", b"[ ]", b' {"a": [1, 2]}', b'"],["', b'"\\"{"', b"-1.5e3"]), min_size=1, max_size=9
    )
)
def test_a_list_is_cut_into_just_what_stands_between_its_commas(elements: list[bytes]) -> None:
    body = b" [ %s ] " % b" , ".join(elements)

    assert [piece.strip() for piece in split_body(body).events] == [element.strip() for element in elements]


@given(st.lists(st.binary(max_size=40) | st.integers(1, 100_000).map(bytes), max_size=40))
def test_what_is_kept_of_a_refused_request_is_bounded_and_nothing_is_left_out(raws: list[bytes]) -> None:
    fault = Fault("field_type", "x", "is wrong")

    letters = asyncio.run(dead_letters("shop", ((fault, raw) for raw in raws), 0))

    assert len(letters) == len(raws)
    assert sum(len(letter.value or b"") for letter in letters) <= MAX_REQUEST_BYTES
    assert all(len(letter.value or b"") <= MAX_RAW_BYTES for letter in letters)
    assert [full_bytes(letter) for letter in letters if kept_less(letter)] == [
        len(raw) for letter, raw in zip(letters, raws, strict=True) if kept_less(letter)
    ]


@pytest.mark.parametrize(("name", "body"), HOSTILE, ids=[name for name, _ in HOSTILE])
def test_a_hostile_body_takes_no_longer_than_ordinary_ones_of_its_size(name: str, body: bytes) -> None:
    assert len(body) <= LARGEST
    ordinary = b"[%s]" % b",".join(ORDINARY % number for number in range(100))
    bodies = [ordinary] * (LARGEST // len(ordinary))

    for read in (read_body, lambda body: read_history(body, 2**41)):
        hostile_seconds = min(taken(lambda: suppressed(read, body)) for _ in range(3))  # noqa: B023  # called at once
        ordinary_seconds = taken(lambda: record(bodies))

        assert hostile_seconds < 3 * ordinary_seconds


def kept_less(letter: Record) -> bool:
    return "dlq_full_bytes" in dict(letter.headers)


def full_bytes(letter: Record) -> int:
    return int(dict(letter.headers)["dlq_full_bytes"] or b"")


def suppressed(read: Callable[[bytes], Any], body: bytes) -> None:
    with contextlib.suppress(RefusedBody):
        read(body)


def record(bodies: list[bytes]) -> None:
    client = Client(ip="", user_agent="", origin="web")
    for result in (result for body in bodies for result in read_body(body).results):
        assert isinstance(result, ValidEvent)
        encode_click(
            collected_click(
                result, store="shop", client=client, visitor=Visitor("0" * 16, "cookieless"), received_at_ms=0
            )
        )


def taken(call: Callable[[], Any]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


NUMBERS = st.from_regex(r"\A-?(0|[1-9][0-9]{0,60})(\.[0-9]{1,80})?([eE][-+]?[0-9]{1,4})?\Z").filter(
    lambda text: any(sign in text for sign in ".eE")
)


@given(NUMBERS)
@example("5e-324")
@example("1e400")
@example("2.4703282292062327208828443964341106861e-324")
@example("0." + "0" * 320 + "1")
def test_a_number_that_is_written_too_long_is_refused_before_it_is_read_and_any_other_is_taken(text: str) -> None:
    (result,) = read_body(f'{{"event_id":"e","x":{text}}}'.encode()).results
    taken = len(text) <= MAX_FLOAT_CHARS and not math.isinf(float(text))
    assert isinstance(result, ValidEvent) == taken
    if isinstance(result, RefusedEvent):
        assert result.fault.code == "too_complex"


@given(NUMBERS | st.integers().map(str) | st.integers(10**38, 10**45).map(str))
@example("9223372036854775808")
@example("5e-324")
@example("1e400")
@example("9" * 4_300)
@example("0." + "0" * 320 + "1")
def test_a_number_of_a_property_is_taken_up_to_its_bounds_and_any_other_is_refused_with_its_path(text: str) -> None:
    event = f'{{"event_id":"e","type":"event","name":"a","properties":{{"amount":{text}}}}}'
    is_whole = text.lstrip("-").isdecimal()
    taken = len(text) <= MAX_FLOAT_CHARS and (
        -(2**63) <= int(text) < 2**63 if is_whole else -(2.0**63) <= float(text) <= 2.0**63
    )

    # An unknown field, and one that is refused, are read in other ways and must make no difference.
    for body in (event, f'[{event}, {{"event_id": ""}}]', event.replace("{", '{"x":1,', 1)):
        result = read_body(body.encode()).results[0]

        assert isinstance(result, ValidEvent) == taken
        if isinstance(result, RefusedEvent):
            assert "properties[...]" in result.fault.path
        else:
            assert all(
                len(value) <= MAX_FLOAT_CHARS for value in (property_texts(result.event.properties) or {}).values()
            )
