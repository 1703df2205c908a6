"""What a client may send to the collector, and how it is told what was wrong with it.

A body is one event, a bare array of events or ``{"events": [...], "sent_at": ...}``. Every fault has a field path and
a plain reason, and one of a bounded set of codes for counting. Times from 1970 or 2099 are taken as they are: the flow
corrects, clamps and counts them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Protocol

import msgspec
from msgspec import UNSET, Meta, UnsetType

from marketplace.collect_faults import Fault, explain
from marketplace.collect_times import MAX_TIME_MS, ClientTime, parse_time_ms
from marketplace.events import (
    MAX_EVENT_ID_CHARS,
    MAX_PRODUCT_CHARS,
    MAX_TARGET_CHARS,
    MAX_URL_CHARS,
    EventType,
)

MAX_EVENTS: Final = 1_000
MAX_VISITOR_ID_CHARS: Final = 64


class ClientEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """One event as a client sends it; unknown fields are left out of the record but belong to its fingerprint.

    Attributes:
        event_id: The client's own id; a retry must repeat it.
        type: What the buyer did.
        occurred_at: When, by the client's clock: ISO 8601 with an offset, or epoch milliseconds.
        sent_at: When it was sent by the same clock; tells the clock's skew.
        url: The page.
        referrer: The page before it.
        target: What was clicked.
        product: The product's id in the store's catalogue.
        visitor_id: The snippet's first-party id.
        automated: The client declares automation.
        sampling: The fraction of events that the client sends, in (0, 1].
    """

    event_id: Annotated[str, Meta(min_length=1, max_length=MAX_EVENT_ID_CHARS)]
    type: EventType = "view"
    occurred_at: ClientTime | UnsetType = UNSET
    sent_at: ClientTime | UnsetType = UNSET
    url: Annotated[str, Meta(max_length=MAX_URL_CHARS)] = ""
    referrer: Annotated[str, Meta(max_length=MAX_URL_CHARS)] = ""
    target: Annotated[str, Meta(max_length=MAX_TARGET_CHARS)] = ""
    product: Annotated[str, Meta(max_length=MAX_PRODUCT_CHARS)] = ""
    visitor_id: Annotated[str, Meta(min_length=1, max_length=MAX_VISITOR_ID_CHARS)] | UnsetType = UNSET
    automated: bool = False
    sampling: Annotated[float, Meta(gt=0, le=1)] = 1.0

    def payload(self) -> ClientEvent:
        """The event without what belongs to its transport: a retry has the same."""
        return self if self.sent_at is UNSET else msgspec.structs.replace(self, sent_at=UNSET)


class ValidEvent(msgspec.Struct, frozen=True, gc=False):
    """An event that may be recorded.

    Attributes:
        event: Its fields.
        occurred_at_ms: The client's time in epoch milliseconds, or None.
        sent_at_ms: The same for the time of sending, its own or its batch's.
        canonical: What the fingerprint covers; see :func:`canonical_payload`.
    """

    event: ClientEvent
    occurred_at_ms: int | None
    sent_at_ms: int | None
    canonical: bytes


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """An event that may not be recorded.

    Attributes:
        fault: Where and why.
        raw: The client's object again as JSON, for the dead-letter topic.
    """

    fault: Fault
    raw: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """A request body that could be read.

    Attributes:
        results: One per event, in the order sent.
        single: The body was one event and not a list.
    """

    results: Sequence[ValidEvent | RefusedEvent]
    single: bool


class RefusedBody(ValueError):
    """The body as a whole cannot be read: answered with 400, kept in the dead-letter topic, never retried."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault

    def __reduce__(self) -> tuple[type[RefusedBody], tuple[Fault]]:
        return RefusedBody, (self.fault,)


class EventReader(Protocol):
    """Validates one decoded event; see :func:`read_event`."""

    def __call__(self, document: Any, path: str, batch_sent_at: Any = UNSET) -> ValidEvent | RefusedEvent:
        """The event, or why it is refused."""


def read_body(body: bytes, read: EventReader | None = None) -> Batch:
    """Decode and validate a request body.

    Args:
        body: UTF-8 JSON, already decompressed and bounded in size.
        read: Validates each event; :func:`read_event` by default.

    Raises:
        RefusedBody: Not UTF-8, not JSON, nested too deeply, no list of 1 to 1,000 events.
    """
    if read is None:
        usual = _read_usual(body)
        if usual is not None:
            return usual
        read = read_event
    try:
        return _read_each(_decode(body), read)
    except RecursionError:
        # What could just be decoded may be too deep to be written again.
        raise RefusedBody(Fault("too_deep", "", "nested too deeply")) from None


def _read_each(document: Any, read: EventReader) -> Batch:
    if isinstance(document, list):
        return Batch(_read_events(document, "", UNSET, read), single=False)
    if isinstance(document, dict) and "events" in document:
        events = document["events"]
        if not isinstance(events, list):
            raise RefusedBody(Fault("field_type", "events", "expected an array"))
        return Batch(_read_events(events, "events", document.get("sent_at", UNSET), read), single=False)
    return Batch((read(document, ""),), single=True)


def read_event(
    document: Any, path: str, batch_sent_at: Any = UNSET, kind: type[ClientEvent] = ClientEvent
) -> ValidEvent | RefusedEvent:
    """Validate one decoded event.

    Args:
        document: Whatever the JSON held; only an object can be an event.
        path: Where it stood in the body, such as ``events[3]``; empty for the body itself.
        batch_sent_at: The batch's ``sent_at``, used where the event has none.
        kind: What it should be.
    """
    try:
        known, unknown = _split(document, kind.__struct_fields__)
        return _checked(msgspec.convert(known, kind), _time(batch_sent_at, "sent_at"), unknown)
    except msgspec.ValidationError as error:
        fault = explain(str(error), path)
    except _Refused as refused:
        fault = refused.at(path)
    return RefusedEvent(fault, encode(document))


def canonical_payload(event: ClientEvent, unknown: Mapping[str, Any]) -> bytes:
    """One text for all the ways to write one event.

    Args:
        event: Its payload is written as JSON, in the order of the fields and without what is at its default.
        unknown: What else the client's object held; follows with keys sorted at every level, where there is any.
    """
    payload = encode(event.payload())
    return payload + _encode_sorted(unknown) if unknown else payload


class _UsualBody(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    events: list[ClientEvent]
    sent_at: ClientTime | UnsetType = UNSET


_decode_any = msgspec.json.Decoder().decode
_decode_event = msgspec.json.Decoder(ClientEvent).decode
_decode_list = msgspec.json.Decoder(list[ClientEvent]).decode
_decode_events = msgspec.json.Decoder(_UsualBody).decode
encode = msgspec.json.Encoder().encode
"""An object again as JSON."""
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


class _Refused(Exception):
    """A fault that the schema cannot express."""

    def __init__(self, code: Literal["field_value", "timestamp"], field: str, reason: str) -> None:
        super().__init__(reason)
        self.code: Literal["field_value", "timestamp"] = code
        self.field = field
        self.reason = reason

    def at(self, path: str) -> Fault:
        return Fault(self.code, f"{path}.{self.field}" if path else self.field, self.reason)


def _read_usual(body: bytes) -> Batch | None:
    """The body that nearly all clients send, decoded right into its type: no fault, no field that is not known.

    Nothing is decided here: any other body is None, and is read again from the start.
    """
    sent_at: ClientTime | UnsetType = UNSET
    events: Sequence[ClientEvent]
    try:
        if body[:1] == b"[":
            events, single = _decode_list(body), False
        elif b'"events"' in body:
            read = _decode_events(body)
            events, sent_at, single = read.events, read.sent_at, False
        else:
            events, single = (_decode_event(body),), True
        if not 0 < len(events) <= MAX_EVENTS:
            return None
        sent_at_ms = _time(sent_at, "sent_at")
        return Batch([_checked(event, sent_at_ms, {}) for event in events], single)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, _Refused):
        return None


def _split(document: Any, names: Sequence[str]) -> tuple[Any, dict[str, Any]]:
    """What an object holds under those names, and the rest; what is no object as it is."""
    if not isinstance(document, dict):
        return document, {}
    unknown = {name: document[name] for name in document.keys() - set(names)}
    return {name: document[name] for name in names if name in document}, unknown


def _checked(event: ClientEvent, batch_sent_at_ms: int | None, unknown: Mapping[str, Any]) -> ValidEvent:
    """The event, if it also holds by what its type cannot say.

    Raises:
        _Refused: It does not.
    """
    if not event.event_id.isprintable():
        raise _Refused("field_value", "event_id", "holds characters that cannot be printed")
    occurred_at_ms = _time(event.occurred_at, "occurred_at")
    sent_at_ms = batch_sent_at_ms if event.sent_at is UNSET else _time(event.sent_at, "sent_at")
    return ValidEvent(event, occurred_at_ms, sent_at_ms, canonical_payload(event, unknown))


def _decode(body: bytes) -> Any:
    try:
        return _decode_any(body)
    except UnicodeDecodeError as error:
        raise RefusedBody(Fault("not_utf8", "", f"not UTF-8 at byte {error.start}")) from None
    except RecursionError:
        raise RefusedBody(Fault("too_deep", "", "nested too deeply")) from None
    except msgspec.ValidationError:
        raise RefusedBody(Fault("not_json", "", "holds a number that is out of range")) from None
    except msgspec.DecodeError as error:
        raise RefusedBody(Fault("not_json", "", str(error))) from None


def _read_events(documents: list[Any], path: str, sent_at: Any, read: EventReader) -> list[ValidEvent | RefusedEvent]:
    if not documents:
        raise RefusedBody(Fault("empty_batch", path, "holds no event"))
    if len(documents) > MAX_EVENTS:
        raise RefusedBody(Fault("too_many_events", path, f"more than {MAX_EVENTS:,} events"))
    if sent_at is not UNSET:
        if isinstance(sent_at, bool) or not isinstance(sent_at, int | str):
            raise RefusedBody(Fault("timestamp", "sent_at", "expected an ISO 8601 time or epoch milliseconds"))
        try:
            parse_time_ms(sent_at)
        except ValueError as error:
            raise RefusedBody(Fault("timestamp", "sent_at", str(error))) from None
    return [read(document, f"{path}[{index}]", sent_at) for index, document in enumerate(documents)]


def _time(value: ClientTime | UnsetType, field: str) -> int | None:
    if type(value) is int and 0 <= value <= MAX_TIME_MS:
        return value
    if isinstance(value, UnsetType):
        return None
    try:
        return parse_time_ms(value)
    except ValueError as error:
        raise _Refused("timestamp", field, str(error)) from None
