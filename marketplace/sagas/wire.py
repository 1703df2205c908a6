"""Events of orders as records of a topic: the payload is the value, all else stands in headers by CloudEvents' names.

The binary mode of CloudEvents' binding to Kafka, with ``ce_store`` and ``ce_dataversion`` as attributes of our own, and
the trace context of W3C. See docs/adr/0030.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from marketplace.sagas.events import Event, EventType, UnknownEvent, decode_payload

AGGREGATE: Final = "orders"
DATA_VERSION: Final = "1"
"""Of all payloads; one that gains fields with defaults keeps it."""

TRACE_PARENT: Final = "traceparent"
_TRACE: Final = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_SPEC_VERSION: Final = "1.0"


def headers(event: Event, service: str, trace_parent: str = "") -> dict[str, str]:
    """The headers of an event.

    Args:
        event: The event.
        service: Who says it.
        trace_parent: The trace that it belongs to, as W3C writes it; empty for none.
    """
    return {
        "ce_specversion": _SPEC_VERSION,
        "ce_id": event.id,
        "ce_type": event.type.value,
        "ce_source": f"/marketplace/{service}",
        "ce_subject": event.order,
        "ce_time": datetime.fromtimestamp(event.at_ms / 1_000, UTC).isoformat(timespec="milliseconds"),
        "ce_datacontenttype": "application/json",
        "ce_store": event.store,
        "ce_dataversion": DATA_VERSION,
        **({TRACE_PARENT: trace_parent} if trace_parent else {}),
    }


Pairs = Iterable[tuple[str, bytes | None]]
"""Headers of a record, by name; Kafka knows those without a value."""


def event_of(key: bytes | None, pairs: Pairs, value: bytes | None) -> Event:
    """The event of a record.

    Raises:
        UnknownEvent: It is none that this version knows; the message says why.
    """
    try:
        order = (key or b"").decode()
        found = {name: (text or b"").decode() for name, text in pairs if name.startswith("ce_")}
    except UnicodeDecodeError as error:
        raise UnknownEvent(f"its key or a header is no text: {error}", "bad_headers") from error
    if not order:
        raise UnknownEvent("it has no key", "no_key")
    if value is None:
        raise UnknownEvent("it has no value")
    version = _header(found, "ce_dataversion")
    if version != DATA_VERSION:
        raise UnknownEvent(f"its payload has version {version[:20]!r}, and {DATA_VERSION} is known", "unknown_version")
    if found.get("ce_subject", order) != order:
        raise UnknownEvent("its key and its subject name two orders", "bad_headers")
    kind = _header(found, "ce_type")
    payload = decode_payload(kind, value)
    return Event(
        id=_header(found, "ce_id"),
        type=EventType(kind),
        order=order,
        store=_header(found, "ce_store"),
        at_ms=_milliseconds(_header(found, "ce_time")),
        payload=payload,
    )


def trace_parent_of(pairs: Pairs) -> str:
    """The trace that a record belongs to; empty for none, and for what is none: it goes on in what is said of it."""
    given = next((text or b"" for name, text in pairs if name == TRACE_PARENT), b"")
    return given.decode() if _TRACE.fullmatch(given) else ""


def _header(found: Mapping[str, str], name: str) -> str:
    value = found.get(name, "")
    if not value:
        raise UnknownEvent(f"it has no header {name}", "bad_headers")
    return value


def _milliseconds(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UnknownEvent(f"its time is {text[:40]!r}", "bad_headers") from error
    if moment.tzinfo is None:
        raise UnknownEvent(f"its time {text[:40]!r} has no zone", "bad_headers")
    return round(moment.timestamp() * 1_000)
