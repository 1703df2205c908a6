"""Records that no collector would write, for the topic: the flow must account for each of them."""

from __future__ import annotations

import random
from typing import Final

from connectors.kafka.records import Record
from marketplace.topics import CLICKS_COLLECTED

_BROKEN: Final[tuple[bytes, ...]] = (
    b"this is not JSON",
    b'{"key": "cut in the mid',
    b"\xff\xfe\x00\x01 not UTF-8",
    b'{"key": "00000000000000aa", "event_id": "\xed\xa0\x80"}',
    b"",
    b"[]",
    b'{"event_id": "no-key", "store": "nobody", "visitor": "00000000000000bb", "received_at_ms": 1}',
    b'{"key": "short", "event_id": "e", "store": "nobody", "visitor": "00000000000000bb", "received_at_ms": 1}',
    b'{"key": "00000000000000aa", "event_id": 7, "store": "nobody", "visitor": "00000000000000bb"}',
    b'{"key": "00000000000000aa", "event_id": "e", "store": "no-such-store", "visitor": "00000000000000bb", '
    b'"received_at_ms": 1700000000000}',
    b'{"key": "00000000000000aa", "event_id": "e", "store": "no-such-store", "visitor": "00000000000000bb", '
    b'"received_at_ms": 99999999999999999}',
    b"[" * 2_000,
)


def broken_records(count: int, seed: int, partitions: int) -> list[Record]:
    """``count`` broken records, spread over the partitions, of each kind in turn."""
    rng = random.Random(seed)
    return [
        Record(CLICKS_COLLECTED.name, _BROKEN[at % len(_BROKEN)], partition=rng.randrange(partitions))
        for at in range(count)
    ]
