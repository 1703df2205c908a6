"""Dead letters of refused events: the reason, the store, and what was sent, with addresses masked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from connectors.kafka.records import Record
from marketplace.clicks.faults import Fault
from marketplace.clicks.record import iso_time
from marketplace.dead_letters import DeadLetter, headers
from marketplace.masking import mask_addresses
from marketplace.topics import CLICKS_DEAD

MAX_RAW_BYTES: Final = 64 * 1024
MAX_REQUEST_BYTES: Final = 256 * 1024
"""Kept of all refused events of one request; letters beyond it have only the reason and the event's length."""

_SLICE_BYTES: Final = 16 * 1024
_MAX_TEXT_CHARS: Final = 256


async def dead_letters(store: str, refused: Iterable[tuple[Fault, bytes]], received_at_ms: int) -> list[Record]:
    """One record per refused event of a request; yields to the event loop after every 16 KiB.

    An event is first cut to the bound, and then its addresses are cut to their networks, as in history: a page can
    put its visitor's address into an event as well.

    Args:
        store: Whose events.
        refused: Pairs of a fault and the event's bytes as sent.
        received_at_ms: When the request came, epoch milliseconds.
    """
    records, left_bytes, slice_bytes = [], MAX_REQUEST_BYTES, 0
    for fault, raw in refused:
        kept = raw[: min(MAX_RAW_BYTES, left_bytes)]
        left_bytes -= len(kept)
        slice_bytes += len(kept)
        records.append(_letter(store, fault, raw, kept, received_at_ms))
        if slice_bytes >= _SLICE_BYTES:
            slice_bytes = 0
            await asyncio.sleep(0)
    return records


def _letter(store: str, fault: Fault, raw: bytes, kept: bytes, received_at_ms: int) -> Record:
    masked = mask_addresses(kept)
    letter = DeadLetter("collector", fault.code, str(fault)[:_MAX_TEXT_CHARS], store, first_seen_ms=received_at_ms)
    fields = [*headers(letter), ("ce_time", iso_time(received_at_ms).encode())]
    if masked != kept:
        fields.append(("dlq_masked", b"addresses"))
    if len(raw) > len(kept):
        fields.append(("dlq_full_bytes", str(len(raw)).encode()))
    return Record(CLICKS_DEAD.name, masked, key=store.encode(), headers=tuple(fields))
