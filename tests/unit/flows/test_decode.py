"""Records that cannot be read: each has a named reason and hurts no other."""

from __future__ import annotations

import json

import pytest

from flows.clicks.encoding.dictionary import make_dictionaries
from flows.clicks.rejected_record import RejectedRecord
from flows.clicks.steps.decode import MAX_DETAIL_CHARS, decode
from flows.delivery.batch import RawBatch
from tests.kits.clicks import STORES, as_bytes, event, ms, read_values

GOOD = as_bytes(event(ms("2025-03-12T10:00:00")))


def reject_of(value: bytes) -> RejectedRecord:
    columns, rejects = read_values([value])
    assert len(columns) == 0
    assert len(rejects) == 1
    return rejects[0]


def without(name: str) -> bytes:
    return as_bytes({field: value for field, value in event().items() if field != name})


def extra(field: bytes) -> bytes:
    return GOOD[:-1] + b", " + field + b"}"


UNREADABLE = {
    "nothing": b"",
    "not JSON": b"hello",
    "half a record": GOOD[: len(GOOD) // 2],
    "two records": GOOD + GOOD,
    "an array": b"[]",
    "null": b"null",
    "a byte-order mark": b"\xef\xbb\xbf" + GOOD,
    "UTF-16": GOOD.decode().encode("utf-16"),
    "a byte that is no UTF-8": extra(b'"target": "\xff"'),
    "a byte that is no UTF-8 in a field nobody knows": extra(b'"extra": "\xff"'),
    "half a surrogate pair": extra(b'"target": "\\ud800"'),
    "a control character in a text": extra(b'"target": "\x01"'),
    "not a number": extra(b'"sampling": NaN'),
    "a number beyond all numbers": extra(b'"sampling": 1e999'),
    "100,000 brackets in a field nobody knows": extra(b'"extra": ' + b"[" * 100_000 + b"]" * 100_000),
    "a time with a fraction": extra(b'"sent_at_ms": 1.5'),
    "a time as text": as_bytes(event(received_at_ms="now")),
    "a time of 5,000 digits": extra(b'"sent_at_ms": ' + b"9" * 5_000),
    "a number where a text belongs": as_bytes(event(url=5)),
    "null where a text belongs": as_bytes(event(url=None)),
    "a kind that is none": as_bytes(event(type="purchase")),
    "a door that is none": as_bytes(event(origin="fax")),
    "no store": without("store"),
    "no visitor": without("visitor"),
    "no key": without("key"),
    "no time of receipt": without("received_at_ms"),
}
MALFORMED = {
    "key: not 16 hex digits": [
        as_bytes(event(key=key)) for key in ("", "0" * 15, "0" * 17, "G" * 16, "A" * 16, "é" * 16, "0" * 16 + "\n")
    ],
    "visitor: not 16 hex digits": [as_bytes(event(visitor=visitor)) for visitor in ("", "x" * 16, " " + "0" * 15)],
    "received_at_ms: not a time": [
        as_bytes(event(received_at_ms=when)) for when in (-1, ms("2100-01-01T00:00:00"), 2**70)
    ],
    "occurred_at_ms: not a time": [as_bytes(event(when, received_at_ms=5)) for when in (-1, 2**53, 2**70)],
    "sent_at_ms: not a time": [as_bytes(event(sent_at_ms=when)) for when in (-1, 2**53)],
}


@pytest.mark.parametrize("value", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_it_is_unreadable(value: bytes) -> None:
    reject = reject_of(value)
    assert (reject.reason, reject.store, reject.value) == ("unreadable", "", value)
    assert 0 < len(reject.detail) <= MAX_DETAIL_CHARS


@pytest.mark.parametrize(
    ("detail", "value"), [(detail, value) for detail, values in MALFORMED.items() for value in values]
)
def test_it_is_malformed_and_the_field_is_named(detail: str, value: bytes) -> None:
    reject = reject_of(value)
    assert (reject.reason, reject.detail, reject.store) == ("malformed", detail, "")


def test_an_unknown_store_is_named() -> None:
    reject = reject_of(as_bytes(event(store="nobody")))
    assert (reject.reason, reject.detail) == ("unknown_store", "no store 'nobody'")


def test_the_first_of_all_times_is_one() -> None:
    first = event(0, store="nobody", received_at_ms=0, sent_at_ms=0)
    assert reject_of(as_bytes(first)).reason == "unknown_store"


def test_the_field_of_an_unreadable_record_is_named() -> None:
    assert "url" in reject_of(as_bytes(event(url=5))).detail


@pytest.mark.parametrize("broken", [[], [0], [127], [128], [299], [5, 130, 131, 290]], ids=str)
def test_all_sound_records_of_a_long_batch_are_read_in_order(broken: list[int]) -> None:
    values = [b"{" if at in broken else as_bytes(event(event_id=str(at))) for at in range(300)]
    columns, rejects = read_values(values)
    sound = [at for at in range(300) if at not in broken]
    assert (columns.event_ids, columns.offsets.tolist()) == ([str(at) for at in sound], sound)
    assert [reject.offset for reject in rejects] == broken


def test_a_long_reason_is_cut() -> None:
    assert len(reject_of(as_bytes(event(store="n" * 10_000))).detail) == MAX_DETAIL_CHARS == 200


def test_broken_records_hurt_no_other() -> None:
    values = [b"{", GOOD, b"\xff", as_bytes(event(store="beta", event_id="two")), b""]
    columns, rejects = read_values(values, partition=4)
    assert columns.event_ids == ["e", "two"]
    assert (columns.rows.tolist(), columns.offsets.tolist()) == ([1, 3], [1, 3])
    assert [(reject.partition, reject.offset, reject.value) for reject in rejects] == [
        (4, 0, b"{"),
        (4, 2, b"\xff"),
        (4, 4, b""),
    ]


def test_offsets_may_come_as_a_range() -> None:
    batch = RawBatch(0, range(7, 9), [0, 0], [GOOD, GOOD])
    columns, _ = decode(batch, STORES.__contains__, make_dictionaries())
    assert columns.offsets.tolist() == [7, 8]


def test_the_last_of_all_times_that_can_be_read_is_read() -> None:
    fields = event(2**53 - 1, sent_at_ms=2**53 - 1) | {"received_at_ms": ms("2100-01-01T00:00:00") - 1}
    columns, rejects = read_values([fields])
    assert rejects == []
    assert len(read_values([fields | {"received_at_ms": ms("2100-01-01T00:00:00")}])[1]) == 1
    assert (columns.occurred_ms.tolist(), columns.sent_ms.tolist()) == ([2**53 - 1], [2**53 - 1])


def test_keys_and_visitors_are_whole_64_bit_numbers() -> None:
    columns, _ = read_values([event(key="f" * 16, visitor="00000000000000ff")])
    assert (columns.key.tolist(), columns.visitor.tolist()) == ([2**64 - 1], [255])


def test_times_that_were_not_reported_are_minus_one() -> None:
    columns, _ = read_values([event()])
    assert (columns.occurred_ms.tolist(), columns.sent_ms.tolist()) == ([-1], [-1])


@pytest.mark.parametrize("others", [[], [-1], [2**70], [-1, 2**70]], ids=str)
def test_times_are_read_beside_events_without_one_and_beside_times_that_are_none(others: list[int]) -> None:
    received = ms("2025-03-12T10:00:00")
    bad = [2**53, *others]
    values = [event(received_at_ms=received)]
    values += [event(when, received_at_ms=received) for when in (0, 1, 2**53 - 1, *bad)]
    columns, rejects = read_values(values)
    assert columns.occurred_ms.tolist() == [-1, 0, 1, 2**53 - 1]
    assert [reject.offset for reject in rejects] == list(range(4, 4 + len(bad)))
    assert {reject.detail for reject in rejects} == {"occurred_at_ms: not a time"}


def test_a_field_nobody_knows_is_passed_over() -> None:
    columns, _ = read_values([json.dumps({**event(), "colour": {"deep": [1]}}).encode()])
    assert len(columns) == 1
