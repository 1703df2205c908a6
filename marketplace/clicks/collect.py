"""The format of the collector's requests, and the faults that are reported to the client.

A body is one event, a bare array of events or ``{"events": [...], "sent_at": ...}``. Every fault has a field path and
a plain reason, and one of a bounded set of codes for counting. Times from 1970 or 2099 are accepted: the flow corrects,
clamps and counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from marketplace.clicks.client_times import MAX_TIME_MS, ClientTime, parse_time_ms
from marketplace.clicks.events import (
    MAX_EVENT_ID_CHARS,
    MAX_NAME_CHARS,
    MAX_PRODUCT_CHARS,
    MAX_PROPERTIES,
    MAX_PROPERTY_CHARS,
    MAX_PROPERTY_NAME_CHARS,
    MAX_TARGET_CHARS,
    MAX_URL_CHARS,
    EventType,
)
from marketplace.clicks.faults import Fault, FaultCode, explain
from marketplace.clicks.split import (
    MAX_BODY_VALUES,
    MAX_EVENT_VALUES,
    MAX_EVENTS,
    MAX_FLOAT_CHARS,
    NumberTooLong,
    RefusedBody,
    count_values,
    holds_costly_number,
    holds_long_number,
    is_long_number,
    read_float,
    replace_lone_surrogates,
    split_body,
    unreadable,
)

MAX_VISITOR_ID_CHARS: Final = 64

PropertyName = Annotated[str, Meta(min_length=1, max_length=MAX_PROPERTY_NAME_CHARS)]
PropertyText = Annotated[str, Meta(max_length=MAX_PROPERTY_CHARS)]
PropertyNumber = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | Annotated[float, Meta(ge=-(2.0**63), le=2.0**63)]
Properties = Annotated[dict[PropertyName, bool | PropertyNumber | PropertyText], Meta(max_length=MAX_PROPERTIES)]
"""What a store adds to a named event; numbers, true and false become texts."""


class ClientEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """One event as a client sends it; unknown fields are left out of the record but belong to its fingerprint.

    Attributes:
        event_id: The client's own id; a retry must repeat it.
        type: What the buyer did: ``view``, ``click``, or ``event`` for what ``name`` says.
        occurred_at: When, by the client's clock: ISO 8601 with an offset, or epoch milliseconds.
        sent_at: When it was sent by the same clock; shows the clock's skew.
        url: The page.
        referrer: The page before it.
        target: What was clicked.
        product: The product's id in the store's catalogue.
        visitor_id: The snippet's first-party id.
        automated: The client declares automation.
        sampling: The fraction of events that the client sends, in (0, 1].
        name: The name of an event of type ``event``, such as ``add_to_cart``.
        properties: What the store adds to a named event.
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
    name: Annotated[str, Meta(max_length=MAX_NAME_CHARS)] = ""
    properties: Properties | UnsetType = UNSET

    def payload(self) -> ClientEvent:
        """The event without its transport fields: equal for a retry."""
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
        fault: The field and the reason.
        raw: The event as the client sent it, for the dead-letter topic; it may contain addresses.
    """

    fault: Fault
    raw: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """A request body that could be parsed.

    Attributes:
        results: One per event, in the order sent.
        single: The body was one event and not a list.
    """

    results: Sequence[ValidEvent | RefusedEvent]
    single: bool


class EventKind:
    """How the events of one endpoint are decoded.

    Args:
        shape: The type of an event; fields that are not in it are not a fault.
    """

    def __init__(self, shape: type[ClientEvent]) -> None:
        several: Any = list[shape]  # type: ignore[valid-type]  # the type is built while running
        sent_at = ("sent_at", ClientTime | UnsetType, UNSET)
        body = msgspec.defstruct("Body", [("events", several), sent_at], **_BODY_OPTIONS)
        known = msgspec.defstruct("Known", [], bases=(shape,), forbid_unknown_fields=False, gc=False)
        self.shape = shape
        self.decode: Callable[[bytes], ClientEvent] = msgspec.json.Decoder(shape).decode
        self.decode_list: Callable[[bytes], list[ClientEvent]] = msgspec.json.Decoder(several).decode
        self.decode_body: Callable[[bytes], Any] = msgspec.json.Decoder(body).decode
        self.decode_known: Callable[[bytes], Any] = msgspec.json.Decoder(known).decode
        pieces = msgspec.defstruct("Pieces", [(name, Raw, Raw(b"")) for name in shape.__struct_fields__])
        self.decode_pieces: Callable[[bytes], Any] = msgspec.json.Decoder(pieces).decode


Check = Callable[[ValidEvent, str], Fault | None]
"""A further check of an endpoint: the fault of an event, from the event and its path in the body."""

_BODY_OPTIONS: Final[dict[str, Any]] = {
    "frozen": True,
    "kw_only": True,
    "gc": False,
    "forbid_unknown_fields": True,
}
LIVE: Final = EventKind(ClientEvent)


def read_body(body: bytes, kind: EventKind = LIVE, check: Check | None = None) -> Batch:
    """Decode and validate a request body.

    Args:
        body: UTF-8 JSON, already decompressed and bounded in size.
        kind: The type of its events.
        check: A further check of each event.

    Raises:
        RefusedBody: Not UTF-8, not JSON, nested too deeply, no list of 1 to 1,000 events, too many values in fields
            that are not known.
    """
    usual = _read_usual(body, kind, check)
    return read_event_by_event(body, kind, check) if usual is None else usual


def read_event_by_event(body: bytes, kind: EventKind = LIVE, check: Check | None = None) -> Batch:
    """The same for bodies of every kind, with named faults; nothing is built of what is refused."""
    pieces = split_body(replace_lone_surrogates(body))
    sent_at_ms = _batch_sent_at_ms(pieces.sent_at)
    values_left = MAX_BODY_VALUES
    results: list[ValidEvent | RefusedEvent] = []
    for index, raw in enumerate(pieces.events):
        path = pieces.path_of(index)
        try:
            event = _decode_event(raw, kind)
            others: dict[str, Any] = {}
            if event is None:
                values_left -= count_values(raw)
                if values_left < 0:
                    raise RefusedBody(Fault("too_complex", "", _TOO_COMPLEX_BODY))
                event, others = _build(raw, kind)
            results.append(_judged(_checked(event, sent_at_ms, others), path, raw, check))
        except msgspec.ValidationError as error:
            results.append(RefusedEvent(explain(str(error), path), raw))
        except _Refused as refused:
            results.append(RefusedEvent(refused.at(path), raw))
        except (msgspec.DecodeError, RecursionError) as error:
            raise RefusedBody(unreadable(error)) from None
    return Batch(results, pieces.single)


def read_event(document: Any, path: str) -> ValidEvent | RefusedEvent:
    """Validate one event that was built by the collector, such as the pixel's.

    Args:
        document: Its fields.
        path: Its path in the body; empty for the body itself.
    """
    try:
        return _checked(msgspec.convert(document, ClientEvent), None, {})
    except msgspec.ValidationError as error:
        fault = explain(str(error), path)
    except _Refused as refused:
        fault = refused.at(path)
    return RefusedEvent(fault, encode(document))


def canonical_payload(event: ClientEvent, unknown: Mapping[str, Any]) -> bytes:
    """The canonical form of an event, equal for all ways to write it.

    Args:
        event: Its payload is written as JSON, in the order of the fields and without defaults, properties sorted.
        unknown: Other fields of the client's object, if any; they follow, with keys sorted at every level.
    """
    payload = _encode_in_order(event.payload())
    return payload + _encode_sorted(unknown) if unknown else payload


_SMALL_BYTES: Final = 64 * 1024
"""A body of at most this size has so few events that it may be decoded before they are counted."""

_MOST_COLONS: Final = 40 * MAX_EVENTS
"""A body with more has the same fields again and again, or long texts."""

_TOO_COMPLEX_BODY: Final = f"more than {MAX_BODY_VALUES:,} values in events with fields that are not known"
_TOO_COMPLEX: Final = f"more than {MAX_EVENT_VALUES:,} values in fields that are not known"
_LONG_NUMBER: Final = "a field that is not known holds a number that is written too long, or is too large"
_TOO_LONG: Final = f"a number of more than {MAX_FLOAT_CHARS} characters, or too large a number"

_decode_any = msgspec.json.Decoder(float_hook=read_float).decode
_decode_values = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_time = msgspec.json.Decoder(ClientTime).decode
encode = msgspec.json.Encoder().encode
"""Encodes an object as JSON again."""
_encode_in_order = msgspec.json.Encoder(order="deterministic").encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


class _Refused(Exception):
    """A fault that the schema cannot express."""

    def __init__(self, code: FaultCode, field: str, reason: str) -> None:
        super().__init__(reason)
        self.code: FaultCode = code
        self.field = field
        self.reason = reason

    def at(self, path: str) -> Fault:
        return Fault(self.code, f"{path}.{self.field}" if path and self.field else path or self.field, self.reason)


def _read_usual(body: bytes, kind: EventKind, check: Check | None) -> Batch | None:
    """The fast path for the body that nearly all clients send: no fault, no unknown field, decoded into its type.

    Returns None for any other body, which is then read again from the start.
    """
    if len(body) > _SMALL_BYTES and (body.count(b"{") > MAX_EVENTS + 1 or body.count(b":") > _MOST_COLONS):
        return None
    if holds_costly_number(body):
        return None
    sent_at: ClientTime | UnsetType = UNSET
    events: Sequence[ClientEvent]
    try:
        if body[:1] == b"[":
            events, single = kind.decode_list(body), False
        elif b'"events"' in body:
            read = kind.decode_body(body)
            events, sent_at, single = read.events, read.sent_at, False
        else:
            events, single = (kind.decode(body),), True
        if not 0 < len(events) <= MAX_EVENTS:
            return None
        sent_at_ms = _time(sent_at, "sent_at")
        results = [_checked(event, sent_at_ms, {}) for event in events]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, _Refused):
        return None
    if check is not None and any(check(result, "") for result in results):
        return None
    return Batch(results, single)


def _decode_event(raw: bytes, kind: EventKind) -> ClientEvent | None:
    """The event in some JSON; None if it has to be built, for unknown fields or numbers that take long to parse.

    Raises:
        msgspec.ValidationError: Its known fields are not valid.
        _Refused: It is too large to be built.
    """
    if raw.count(b":") <= MAX_EVENT_VALUES and not holds_costly_number(raw):
        try:
            return kind.decode(raw)
        except msgspec.ValidationError:
            # Unknown fields are skipped here, and not built.
            kind.decode_known(raw)
    if count_values(raw) > MAX_EVENT_VALUES:
        pieces = kind.decode_pieces(raw)
        texts = (pieces.url, pieces.referrer, pieces.target, pieces.product)
        known = sum(count_values(bytes(text)) for text in texts)
        if count_values(raw) - known > MAX_EVENT_VALUES:
            raise _Refused("too_complex", "", _TOO_COMPLEX)
    if holds_long_number(raw):
        _refuse_long_number(raw, kind)
        raise _Refused("too_complex", "", _LONG_NUMBER)
    return None


def _refuse_long_number(raw: bytes, kind: EventKind) -> None:
    """Find out which known field has a number that is too long to be parsed.

    Raises:
        _Refused: One has.
    """
    pieces = {name: bytes(value) for name, value in msgspec.structs.asdict(kind.decode_pieces(raw)).items()}
    for field, value in pieces.items():
        if is_long_number(value):
            raise _Refused("timestamp" if field.endswith("_at") else "field_value", field, _TOO_LONG)
    properties = pieces["properties"]
    if properties[:1] == b"{" and any(is_long_number(bytes(value)) for value in _decode_values(properties).values()):
        raise _Refused("field_value", "properties[...]", _TOO_LONG)


def _build(raw: bytes, kind: EventKind) -> tuple[ClientEvent, dict[str, Any]]:
    """The event, and its unknown fields."""
    try:
        document: dict[str, Any] = _decode_any(raw)
    except (NumberTooLong, msgspec.ValidationError) as error:
        if isinstance(error.__cause__ or error, NumberTooLong):
            _refuse_long_number(raw, kind)
            raise _Refused("too_complex", "", _LONG_NUMBER) from None
        raise
    if not isinstance(document, dict):
        # Says that an event is an object: where it has costly numbers it was not decoded before.
        kind.decode_known(raw)
    names = kind.shape.__struct_fields__
    unknown = {name: document[name] for name in document.keys() - set(names)}
    return msgspec.convert({name: document[name] for name in names if name in document}, kind.shape), unknown


def _judged(valid: ValidEvent, path: str, raw: bytes, check: Check | None) -> ValidEvent | RefusedEvent:
    fault = None if check is None else check(valid, path)
    return valid if fault is None else RefusedEvent(fault, raw)


def _batch_sent_at_ms(sent_at: bytes) -> int | None:
    if not sent_at:
        return None
    try:
        return parse_time_ms(_decode_time(sent_at))
    except msgspec.DecodeError:
        reason = "expected an ISO 8601 time or epoch milliseconds"
    except ValueError as error:
        reason = str(error)
    raise RefusedBody(Fault("timestamp", "sent_at", reason))


def _checked(event: ClientEvent, batch_sent_at_ms: int | None, unknown: Mapping[str, Any]) -> ValidEvent:
    """The event, if it also passes the checks that its type cannot express.

    Raises:
        _Refused: It does not.
    """
    if not event.event_id.isprintable():
        raise _Refused("field_value", "event_id", "holds characters that cannot be printed")
    _check_name(event)
    occurred_at_ms = _time(event.occurred_at, "occurred_at")
    sent_at_ms = batch_sent_at_ms if event.sent_at is UNSET else _time(event.sent_at, "sent_at")
    return ValidEvent(event, occurred_at_ms, sent_at_ms, canonical_payload(event, unknown))


def _check_name(event: ClientEvent) -> None:
    if event.type == "event":
        if not event.name:
            raise _Refused("field_missing", "name", "an event of type event needs a name, such as add_to_cart")
        if not event.name.isprintable():
            raise _Refused("field_value", "name", "holds characters that cannot be printed")
    elif event.name:
        raise _Refused("field_value", "name", "only an event of type event has a name")
    elif event.properties is not UNSET:
        raise _Refused("field_value", "properties", "only an event of type event has properties")


def property_texts(properties: Properties | UnsetType) -> dict[str, str] | None:
    """Properties as the record has them; None for none."""
    if isinstance(properties, UnsetType) or not properties:
        return None
    return {name: value if isinstance(value, str) else encode(value).decode() for name, value in properties.items()}


def _time(value: ClientTime | UnsetType, field: str) -> int | None:
    if type(value) is int and 0 <= value <= MAX_TIME_MS:
        return value
    if isinstance(value, UnsetType):
        return None
    try:
        return parse_time_ms(value)
    except ValueError as error:
        raise _Refused("timestamp", field, str(error)) from None
