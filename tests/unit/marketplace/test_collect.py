from __future__ import annotations

import pickle
from typing import Any

import msgspec
import pytest

from marketplace.clicks.client_times import MAX_TIME_MS, parse_time_ms
from marketplace.clicks.collect import ClientEvent, RefusedEvent, ValidEvent, property_texts, read_body, read_event
from marketplace.clicks.faults import FAULT_CODES, Fault, explain
from marketplace.clicks.split import RefusedBody


def read_one(event: Any) -> ValidEvent | RefusedEvent:
    return read_body(msgspec.json.encode(event)).results[0]


def valid(event: Any) -> ValidEvent:
    result = read_one(event)
    assert isinstance(result, ValidEvent), result
    return result


def fault_of(event: Any) -> tuple[str, str, str]:
    result = read_one(event)
    assert isinstance(result, RefusedEvent), result
    return result.fault.code, result.fault.path, result.fault.reason


def body_fault(body: bytes) -> tuple[str, str]:
    with pytest.raises(RefusedBody) as refused:
        read_body(body)
    assert refused.value.fault.code in FAULT_CODES
    return refused.value.fault.code, refused.value.fault.path


def test_an_event_needs_nothing_but_its_id() -> None:
    assert valid({"event_id": "a"}).event == ClientEvent(event_id="a")


NAMED = {"event_id": "a", "type": "event", "name": "add_to_cart"}


def test_properties_are_texts_in_the_record_and_one_in_any_order_is_the_same_event() -> None:
    first, again = (
        read_body(msgspec.json.encode({**NAMED, "properties": dict(given)})).results[0]
        for given in ((("size", "M"), ("pieces", 2), ("gift", True)), (("gift", True), ("pieces", 2), ("size", "M")))
    )
    assert isinstance(first, ValidEvent)
    assert isinstance(again, ValidEvent)
    assert first.canonical == again.canonical
    assert property_texts(first.event.properties) == {"size": "M", "pieces": "2", "gift": "true"}


def test_one_event_a_bare_array_and_an_object_with_events_are_all_understood() -> None:
    event = {"event_id": "a"}

    single, bare, wrapped = (read_body(msgspec.json.encode(body)) for body in (event, [event], {"events": [event]}))

    assert (single.single, bare.single, wrapped.single) == (True, False, False)
    assert list(single.results) == list(bare.results) == list(wrapped.results)


@pytest.mark.parametrize(
    ("event", "code", "path", "reason"),
    [
        ({}, "field_missing", "event_id", "is required"),
        ({"event_id": ""}, "field_length", "event_id", "is empty"),
        ({"event_id": "a" * 65}, "field_length", "event_id", "longer than 64 characters"),
        ({"event_id": "a\nb"}, "field_value", "event_id", "holds characters that cannot be printed"),
        ({"event_id": 7}, "field_type", "event_id", "expected text, got a whole number"),
        ({"event_id": None}, "field_null", "event_id", "null is not a value; leave the field out"),
        ({"event_id": "a", "type": "buy"}, "field_value", "type", "must be view, click or event"),
        ({"event_id": "a", "type": "event"}, "field_missing", "name", "an event of type event needs a name"),
        ({"event_id": "a", "name": "paid"}, "field_value", "name", "only an event of type event has a name"),
        ({"event_id": "a", "properties": {}}, "field_value", "properties", "only an event of type event"),
        ({**NAMED, "name": "a\n"}, "field_value", "name", "holds characters that cannot be printed"),
        ({**NAMED, "name": "n" * 65}, "field_length", "name", "longer than 64 characters"),
        ({**NAMED, "properties": {str(at): "x" for at in range(21)}}, "field_length", "properties", "more than 20"),
        ({**NAMED, "properties": {"k" * 65: "x"}}, "field_length", "properties", "longer than 64 characters"),
        ({**NAMED, "properties": {"k": "x" * 201}}, "field_length", "properties[...]", "longer than 200 characters"),
        (
            {**NAMED, "properties": {"k": [1]}},
            "field_type",
            "properties[...]",
            "expected text, a number, true or false, got an array",
        ),
        ({**NAMED, "properties": {"k": None}}, "field_null", "properties[...]", "null is not a value"),
        ({"event_id": "a", "url": "x" * 2_049}, "field_length", "url", "longer than 2,048 characters"),
        ({"event_id": "a", "url": {"a": 1}}, "field_type", "url", "expected text, got an object"),
        ({"event_id": "a", "referrer": []}, "field_type", "referrer", "expected text, got an array"),
        ({"event_id": "a", "target": "x" * 513}, "field_length", "target", "longer than 512 characters"),
        ({"event_id": "a", "product": "x" * 129}, "field_length", "product", "longer than 128 characters"),
        ({"event_id": "a", "visitor_id": None}, "field_null", "visitor_id", "null is not a value; leave the field out"),
        ({"event_id": "a", "automated": "yes"}, "field_type", "automated", "expected true or false, got text"),
        ({"event_id": "a", "sampling": 0}, "field_value", "sampling", "must be > 0"),
        ({"event_id": "a", "sampling": 1.5}, "field_value", "sampling", "must be <= 1"),
        ({"event_id": "a", "occurred_at": -1}, "timestamp", "occurred_at", "is before 1970"),
        ({"event_id": "a", "occurred_at": 10**30}, "timestamp", "occurred_at", "is after the year 9999"),
        ({"event_id": "a", "occurred_at": "soon"}, "timestamp", "occurred_at", "not an ISO 8601 time, such as "),
        ({"event_id": "a", "occurred_at": "2026-01-31T12:00:00"}, "timestamp", "occurred_at", "has no offset"),
        ({"event_id": "a", "occurred_at": True}, "timestamp", "occurred_at", "expected epoch milliseconds or an ISO"),
        ({"event_id": "a", "sent_at": 1.5}, "timestamp", "sent_at", "expected epoch milliseconds or an ISO 8601 time"),
    ],
)
def test_a_bad_field_is_refused_with_its_path_and_a_plain_reason(event: Any, code: str, path: str, reason: str) -> None:
    found_code, found_path, found_reason = fault_of(event)

    assert (found_code, found_path) == (code, path)
    assert found_reason.startswith(reason)


@pytest.mark.parametrize("event", [3, "text", None, [], True, 1.5])
def test_what_is_not_an_object_is_not_an_event(event: Any) -> None:
    batch = read_body(msgspec.json.encode([{"event_id": "a"}, event]))

    refused = batch.results[1]
    assert isinstance(refused, RefusedEvent)
    assert (refused.fault.code, refused.fault.path) == ("field_type", "[1]")


def test_the_path_says_where_in_the_body_a_bad_event_stood() -> None:
    body = {"events": [{"event_id": "a"}, {"event_id": "b"}, {"event_id": "c"}, {"event_id": "d", "url": "x" * 3_000}]}

    refused = read_body(msgspec.json.encode(body)).results[3]

    assert isinstance(refused, RefusedEvent)
    assert str(refused.fault) == "events[3].url: longer than 2,048 characters"


def test_a_bad_event_leaves_the_others_of_its_batch_valid() -> None:
    batch = read_body(msgspec.json.encode([{"event_id": "a"}, {}, {"event_id": "c"}]))

    assert [isinstance(result, ValidEvent) for result in batch.results] == [True, False, True]


def test_a_refused_event_keeps_what_the_client_sent() -> None:
    refused = read_one({"event_id": 3, "other": [1, None]})

    assert isinstance(refused, RefusedEvent)
    assert msgspec.json.decode(refused.raw) == {"event_id": 3, "other": [1, None]}


@pytest.mark.parametrize(
    ("body", "code", "path"),
    [
        (b"", "not_json", ""),
        (b"{", "not_json", ""),
        (b'{"event_id": NaN}', "not_json", ""),
        (b'{"event_id": "\xff"}', "not_utf8", ""),
        (b"\xef\xbb\xbf{}", "not_json", ""),
        (b"[" * 50_000 + b"]" * 50_000, "too_deep", ""),
        (b"[]", "empty_batch", ""),
        (b'{"events": []}', "empty_batch", "events"),
        (b'{"events": 3}', "field_type", "events"),
        (b'{"events": [{"event_id": "a"}], "sent_at": null}', "timestamp", "sent_at"),
        (b'{"events": [{"event_id": "a"}], "sent_at": -5}', "timestamp", "sent_at"),
    ],
)
def test_a_body_that_cannot_be_read_has_a_named_reason(body: bytes, code: str, path: str) -> None:
    assert body_fault(body) == (code, path)


@pytest.mark.parametrize("field", ["event_id", "occurred_at", "sent_at", "sampling", "url", "automated"])
@pytest.mark.parametrize(
    "number", [b"1e999", b"1" * 5_000, b"-" + b"1" * 4_301, b"9" * 1_000_000, b"1." + b"1" * 5_000]
)
def test_a_number_of_any_length_is_a_fault_of_its_field(field: str, number: bytes) -> None:
    known = b"" if field == "event_id" else b'"event_id": "a", '

    result = read_body(b'{%s"%s": %s}' % (known, field.encode(), number)).results[0]

    assert isinstance(result, RefusedEvent)
    assert result.fault.path == field


def test_a_number_out_of_range_in_a_field_that_is_not_known_is_that_events_fault() -> None:
    results = read_body(b'[{"event_id": "a", "x": 1e999}, {"event_id": "b"}]').results

    assert isinstance(results[0], RefusedEvent)
    assert results[0].fault.path.startswith("[0]")
    assert isinstance(results[1], ValidEvent)


def test_a_batch_holds_at_most_a_thousand_events() -> None:
    event = {"event_id": "a"}

    assert len(read_body(msgspec.json.encode([event] * 1_000)).results) == 1_000
    assert body_fault(msgspec.json.encode([event] * 1_001)) == ("too_many_events", "")


@pytest.mark.parametrize(
    ("value", "epoch_ms"),
    [
        (0, 0),
        (4_070_908_800_000, 4_070_908_800_000),
        ("1970-01-01T00:00:00Z", 0),
        ("2099-01-01T00:00:00Z", 4_070_908_800_000),
        ("2026-01-31T12:00:00.250+05:30", 1_769_841_000_250),
        (MAX_TIME_MS, MAX_TIME_MS),
    ],
)
def test_times_from_1970_to_9999_are_taken_as_they_are(value: int | str, epoch_ms: int) -> None:
    assert parse_time_ms(value) == epoch_ms


def test_an_event_takes_its_batchs_time_of_sending_unless_it_has_its_own() -> None:
    body = {"sent_at": 5_000, "events": [{"event_id": "a"}, {"event_id": "b", "sent_at": 7_000}]}

    batch = read_body(msgspec.json.encode(body))

    assert [result.sent_at_ms for result in batch.results if isinstance(result, ValidEvent)] == [5_000, 7_000]


def test_unknown_fields_are_no_fault_and_belong_to_the_fingerprinted_payload() -> None:
    assert valid({"event_id": "a", "zoom": 2}).canonical == b'{"event_id":"a"}{"zoom":2}'


def test_the_time_of_sending_is_no_part_of_the_fingerprinted_payload() -> None:
    assert valid({"event_id": "a", "sent_at": 5}).canonical == valid({"event_id": "a"}).canonical


def test_a_refusal_survives_the_way_between_processes() -> None:
    with pytest.raises(RefusedBody) as refused:
        read_body(b"[]")

    assert pickle.loads(pickle.dumps(refused.value)).fault == refused.value.fault


def test_a_refusal_reads_as_its_fault() -> None:
    with pytest.raises(RefusedBody) as refused:
        read_body(b"[]")

    assert str(refused.value) == str(refused.value.fault) == "holds no event"


def test_an_event_put_together_here_is_read_like_one_that_was_sent() -> None:
    document = {"event_id": "a", "url": "/x", "occurred_at": 5}

    assert read_event(document, "") == read_one(document)


@pytest.mark.parametrize("document", [{}, {"event_id": 3}, {"event_id": "a", "occurred_at": -1}])
def test_an_event_put_together_here_that_does_not_hold_has_the_fault_of_one_that_was_sent(
    document: dict[str, Any],
) -> None:
    sent, made = read_one(document), read_event(document, "")

    assert isinstance(sent, RefusedEvent)
    assert isinstance(made, RefusedEvent)
    assert made.fault == sent.fault
    assert msgspec.json.decode(made.raw) == document


def test_a_fault_that_the_schema_cannot_express_has_its_place_in_the_body() -> None:
    body = {"events": [{"event_id": "a"}, {"event_id": "b", "occurred_at": "soon"}]}

    refused = read_body(msgspec.json.encode(body)).results[1]

    assert isinstance(refused, RefusedEvent)
    assert refused.fault.path == "events[1].occurred_at"


def test_the_batchs_time_of_sending_is_that_of_its_events_beside_one_that_does_not_hold() -> None:
    body = {"sent_at": 5_000, "events": [{"event_id": "a"}, {}]}

    (result, _) = read_body(msgspec.json.encode(body)).results

    assert isinstance(result, ValidEvent)
    assert result.sent_at_ms == 5_000


def test_a_batchs_time_of_sending_that_is_no_time_is_refused_with_the_reason() -> None:
    with pytest.raises(RefusedBody) as refused:
        read_body(b'{"events": [{"event_id": "a"}], "sent_at": "2026-01-31T12:00:00"}')

    assert refused.value.fault.path == "sent_at"
    assert "offset" in refused.value.fault.reason


@pytest.mark.parametrize("value", [0, MAX_TIME_MS])
def test_the_first_and_the_last_moment_are_times(value: int) -> None:
    assert valid({"event_id": "a", "occurred_at": value}).occurred_at_ms == value


def test_a_number_one_beyond_the_last_moment_is_no_time() -> None:
    assert fault_of({"event_id": "a", "occurred_at": MAX_TIME_MS + 1})[:2] == ("timestamp", "occurred_at")


def test_blanks_before_a_body_change_nothing() -> None:
    for blank in (b" ", b"\t", b"\r", b"\n"):
        assert read_body(blank + b'[{"event_id": "a"}]') == read_body(b'[{"event_id": "a"}]')


def test_a_body_that_is_neither_an_event_nor_a_list_is_one_event_that_does_not_hold() -> None:
    batch = read_body(b"7")

    assert batch.single
    assert isinstance(batch.results[0], RefusedEvent)
    assert batch.results[0].fault.path == ""


@pytest.mark.parametrize("forms", [b"[%s]", b'{"events": [%s]}'])
def test_an_envelope_of_one_event_that_does_not_hold_names_its_place(forms: bytes) -> None:
    batch = read_body(forms % b"{}")

    assert not batch.single
    assert isinstance(batch.results[0], RefusedEvent)
    assert batch.results[0].fault.path.endswith("[0].event_id")


@pytest.mark.parametrize("characters", [39, 40, 41])
def test_a_number_of_forty_characters_in_a_field_that_is_not_known_is_read_and_a_longer_one_is_not(
    characters: int,
) -> None:
    number = "0." + "1" * (characters - 2)

    result = read_body(f'[{{"event_id": "a", "x": {number}}}]'.encode()).results[0]

    assert isinstance(result, ValidEvent) == (characters <= 40)
    if isinstance(result, RefusedEvent):
        assert (result.fault.code, result.fault.path) == ("too_complex", "[0]")


@pytest.mark.parametrize("empty", ["[]", "{}"])
def test_containers_in_a_field_that_is_not_known_count_as_values(empty: str) -> None:
    few, many = (
        read_body(f'{{"event_id": "a", "x": [{",".join([empty] * count)}]}}'.encode()).results[0]
        for count in (490, 510)
    )

    assert isinstance(few, ValidEvent)
    assert isinstance(many, RefusedEvent)
    assert (many.fault.code, many.fault.path) == ("too_complex", "")


def test_a_body_that_is_no_json_says_where() -> None:
    with pytest.raises(RefusedBody, match="truncated"):
        read_body(b"{")


def test_a_message_of_no_known_kind_is_a_value_that_is_not_allowed() -> None:
    assert explain("Something else - at `$.url`", "[3]") == Fault(
        "field_value", "[3].url", "has a value that is not allowed"
    )


def with_values(count: int, url: str = "") -> bytes:
    """An event of which so many commas and brackets are in a field that is not known, or around it."""
    return b'{"event_id":"a","x":[%s]%s}' % (
        b",".join([b"0"] * (count - 2)),
        b',"url":"%s"' % url.encode() if url else b"",
    )


@pytest.mark.parametrize(("body", "path"), [(b"%s", ""), (b"[%s]", "[0]"), (b'{"events":[%s]}', "events[0]")])
def test_an_event_of_a_thousand_values_is_taken_and_one_of_a_thousand_and_one_is_refused(
    body: bytes, path: str
) -> None:
    (taken,) = read_body(body % with_values(1_000)).results
    (refused,) = read_body(body % with_values(1_001)).results

    assert isinstance(taken, ValidEvent)
    assert isinstance(refused, RefusedEvent)
    assert (refused.fault.code, refused.fault.path) == ("too_complex", path)


def test_what_stands_in_a_known_text_is_no_value() -> None:
    # The comma before the field counts, those in its text do not.
    (taken,) = read_body(with_values(999, url="," * 50)).results
    (refused,) = read_body(with_values(1_000, url="," * 50)).results

    assert isinstance(taken, ValidEvent)
    assert isinstance(refused, RefusedEvent)


def test_a_body_of_twenty_thousand_values_is_taken_and_one_of_more_is_refused_as_a_whole() -> None:
    full = [with_values(1_000)] * 20

    assert len(read_body(b"[%s]" % b",".join(full)).results) == 20
    assert body_fault(b"[%s]" % b",".join([*full, with_values(2)])) == ("too_complex", "")


def test_events_that_hold_nothing_unknown_have_no_bound_on_their_values() -> None:
    known = b'{"event_id":"a","url":"%s"}' % (b"," * 50)

    results = read_body(b"[{},%s]" % b",".join([known] * 900)).results

    assert [isinstance(result, ValidEvent) for result in results] == [False] + [True] * 900


def test_a_number_of_too_many_digits_is_named_by_its_event() -> None:
    results = read_body(b'[{"event_id":"a","x":%s},{"event_id":"b","x":%s}]' % (b"1" * 500, b"1" * 501)).results

    assert isinstance(results[0], ValidEvent)
    assert isinstance(results[1], RefusedEvent)
    assert (results[1].fault.code, results[1].fault.path) == ("too_complex", "[1]")


def test_the_fingerprinted_payload_of_an_event_does_not_change_with_the_code() -> None:
    event = {"type": "click", "event_id": "a", "url": "/x", "occurred_at": 5}

    assert valid(event).canonical == b'{"event_id":"a","type":"click","occurred_at":5,"url":"/x"}'
    assert valid({**event, "b": 1, "a": {"d": 1, "c": 2}}).canonical == (
        b'{"event_id":"a","type":"click","occurred_at":5,"url":"/x"}{"a":{"c":2,"d":1},"b":1}'
    )


@pytest.mark.parametrize("field", ["occurred_at", "sent_at"])
def test_a_time_without_an_offset_is_refused_by_its_field(field: str) -> None:
    assert fault_of({"event_id": "a", field: "2026-01-31T12:00:00"})[:2] == ("timestamp", field)
