"""Whatever lies in the topic of orders: a record is an event, or is refused with a reason and stops nobody."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka.records import ConsumerRecord
from marketplace.errors import Reject
from marketplace.money import MAX_MINOR
from marketplace.sagas.declaration import Service
from marketplace.sagas.events import Event, EventType, UnknownEvent
from marketplace.sagas.wire import event_of, trace_parent_of
from saga_consumers.consumer import SagaConsumer
from saga_consumers.records import RecordHandler
from tests.kits.parking import MemoryParked
from tests.kits.sagas import START

HEADERS = {
    "ce_id": b"o1:orders:2:0",
    "ce_type": b"ORDER_REFUND_REQUESTED",
    "ce_subject": b"o1",
    "ce_time": b"2026-11-30T12:00:00.000+00:00",
    "ce_store": b"shop",
    "ce_dataversion": b"1",
}
ASKED = {"refund": "r1", "amount_minor": 1_250, "restocked": [{"variant": "mug", "quantity": 1}]}
DEEP = b"[" * 100_000 + b"]" * 100_000
"""What a reader that looks into it cannot get to the end of."""

values = st.none() | st.binary(max_size=40) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace"))
times = st.datetimes(timezones=st.timezones() | st.none()).map(lambda moment: moment.isoformat().encode())


@given(
    changed=st.dictionaries(st.sampled_from([*HEADERS, "traceparent"]), values | times, max_size=3),
    key=st.sampled_from([b"o1"]) | values,
    value=st.sampled_from([json.dumps(ASKED).encode(), DEEP, b'{"x":' + DEEP + b"}"]) | values,
)
def test_every_record_is_an_event_or_refused(
    changed: dict[str, bytes | None], key: bytes | None, value: bytes | None
) -> None:
    pairs = list({**HEADERS, **changed}.items())
    trace_parent_of(pairs)
    with suppress(UnknownEvent):
        assert event_of(key, pairs, value).order.encode() == key

    handled, parked = list[Event](), MemoryParked()

    def handle(event: Event, now: object, trace_parent: str) -> bool:
        handled.append(event)
        return True

    handler = RecordHandler(SagaConsumer(Service.PAYMENTS, handle, lambda now: 0), parked, lambda: START)
    with suppress(Reject):
        handler(ConsumerRecord("orders.events.v1", 0, 1, value, key, tuple(pairs), 1))
    assert handler.counts.handled + handler.counts.rejected == 1


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize("given", [b"", None, b"\xff", b"x" * 1_000_000, TRACE.upper().encode(), f"{TRACE}\n".encode()])
def test_a_trace_that_is_none_goes_on_in_nothing_that_is_said(given: bytes | None) -> None:
    """A row of the outbox that is too large for Kafka would stop all later ones."""
    assert trace_parent_of([("traceparent", given)]) == ""
    assert trace_parent_of([("ce_id", b"x"), ("traceparent", TRACE.encode())]) == TRACE


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount_minor": -1},
        {"amount_minor": MAX_MINOR + 1},
        {"amount_minor": 10**30},
        {"restocked": [{"variant": "mug", "quantity": 0}]},
        {"restocked": [{"variant": "mug", "quantity": -3}]},
        {"restocked": [{"variant": "mug", "quantity": 2**63}]},
    ],
)
def test_an_amount_or_a_number_of_pieces_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    """What is below zero would make room for more than was taken, and take goods out of stock where they come back."""
    good = event_of(b"o1", HEADERS.items(), json.dumps(ASKED).encode())
    assert good.type is EventType.ORDER_REFUND_REQUESTED

    with pytest.raises(UnknownEvent) as refused:
        event_of(b"o1", HEADERS.items(), json.dumps({**ASKED, **wrong}).encode())

    assert refused.value.reason == "bad_payload"
