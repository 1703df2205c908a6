"""Example records of every event: what is sent is what the files say, and what was ever sent is understood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from marketplace.sagas.events import (
    PAYLOADS,
    Event,
    EventType,
    OrderCancelled,
    OrderConfirmed,
    OrderRefundRequested,
    PaymentRefunded,
    UnknownEvent,
    encode_payload,
)
from marketplace.sagas.wire import event_of, headers, trace_parent_of

FOLDER = Path(__file__).parents[2] / "golden" / "orders.events.v1"
EXAMPLES = sorted(FOLDER.glob("*.json"))
OF_TODAY = [path for path in EXAMPLES if path.stem in set(EventType)]
OTHERS = {
    "ORDER_REFUND_REQUESTED.with-as-little-as-ever": OrderRefundRequested("r1", 1250, (), ""),
    "ORDER_CANCELLED.with-as-little-as-ever": OrderCancelled("ann", "unpaid", 0),
    "PAYMENT_REFUNDED.with-as-little-as-ever": PaymentRefunded(
        "p5c0ffee00000000000000000000000001", "stock", 3490, 0
    ),
    "ORDER_CONFIRMED.of-a-later-version": OrderConfirmed("ann", 3490, "EUR"),
}  # fmt: skip


def example(path: Path) -> Any:
    return json.loads(path.read_text())


def decoded(given: Any, **changed: str | None) -> Event:
    pairs = {**given["headers"], **changed}
    sent = [(name, text.encode()) for name, text in pairs.items() if text is not None]
    return event_of(given["key"].encode(), sent, given["value"].encode())


def test_there_is_an_example_of_every_event_and_of_nothing_else() -> None:
    assert {path.stem for path in OF_TODAY} == set(PAYLOADS)
    assert {path.stem for path in EXAMPLES} - {path.stem for path in OF_TODAY} == set(OTHERS)


@pytest.mark.parametrize("path", OF_TODAY, ids=lambda path: path.stem)
def test_what_is_sent_today_is_what_the_file_says_byte_by_byte(path: Path) -> None:
    given = example(path)
    event = decoded(given)
    service = given["headers"]["ce_source"].rpartition("/")[2]

    assert event.type.value == path.stem
    assert encode_payload(event.payload).decode() == given["value"]
    assert headers(event, service, given["headers"]["traceparent"]) == given["headers"]


@pytest.mark.parametrize("path", OF_TODAY, ids=lambda path: path.stem)
def test_no_field_of_an_example_has_its_default(path: Path) -> None:
    payload = decoded(example(path)).payload
    for field in msgspec.structs.fields(type(payload)):
        assert getattr(payload, field.name) != field.default, field.name


@pytest.mark.parametrize("name", OTHERS)
def test_what_another_version_sent_is_understood(name: str) -> None:
    event = decoded(example(FOLDER / f"{name}.json"))

    assert event.payload == OTHERS[name]
    assert (event.store, event.at_ms) == ("tea-house", 1_796_040_900_123)


@pytest.mark.parametrize("path", OF_TODAY, ids=lambda path: path.stem)
def test_an_event_without_a_header_or_of_another_version_is_refused_with_its_reason(path: Path) -> None:
    given = example(path)
    for name in ("ce_id", "ce_type", "ce_store", "ce_time"):
        with pytest.raises(UnknownEvent) as unknown:
            decoded(given, **{name: None})
        assert unknown.value.reason == "bad_headers"
    for name, text, reason in (("ce_dataversion", "2", "unknown_version"), ("ce_type", "ORDER_EATEN", "unknown_type")):
        with pytest.raises(UnknownEvent) as unknown:
            decoded(given, **{name: text})
        assert unknown.value.reason == reason


@pytest.mark.parametrize("path", OF_TODAY, ids=lambda path: path.stem)
def test_a_payload_without_a_field_that_it_always_had_is_refused(path: Path) -> None:
    given = example(path)
    payload = decoded(given).payload
    for field in msgspec.structs.fields(type(payload)):
        if field.required:
            less = {name: value for name, value in json.loads(given["value"]).items() if name != field.name}
            with pytest.raises(UnknownEvent) as unknown:
                decoded({**given, "value": json.dumps(less)})
            assert unknown.value.reason == "bad_payload"


def test_the_trace_of_an_event_goes_with_it() -> None:
    given = example(OF_TODAY[0])
    pairs = [(name, text.encode()) for name, text in given["headers"].items()]

    assert trace_parent_of(pairs) == "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert trace_parent_of([pair for pair in pairs if pair[0] != "traceparent"]) == ""
