"""What was refused, as a record of its own: the reason, the store and the bytes within a bound."""

from __future__ import annotations

from typing import Final

from connectors.kafka.records import Record
from marketplace.collect_faults import Fault
from marketplace.collect_record import iso_time
from marketplace.topics import CLICKS_DEAD

MAX_RAW_BYTES: Final = 64 * 1024
_MAX_TEXT_CHARS: Final = 256


def dead_letter(store: str, fault: Fault, raw: bytes, received_at_ms: int) -> Record:
    """The record for one refused event or body; it holds no address of the client."""
    headers = [
        ("dlq_source", b"collector"),
        ("dlq_reason", fault.code.encode()),
        ("dlq_message", str(fault)[:_MAX_TEXT_CHARS].encode("utf-8", "replace")),
        ("store", store.encode()),
        ("ce_time", iso_time(received_at_ms).encode()),
    ]
    if len(raw) > MAX_RAW_BYTES:
        headers.append(("dlq_full_bytes", str(len(raw)).encode()))
    return Record(CLICKS_DEAD.name, raw[:MAX_RAW_BYTES], key=store.encode(), headers=tuple(headers))
