"""From records of dead-letter topics to rows: pure, without an engine or a clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

import pyarrow as pa

from connectors.kafka.records import Record
from flows.delivery.batch import RawBatch
from marketplace.dead_letters import NOWHERE, DeadLetter, read
from marketplace.flows import DEAD_LETTERS_FLOW, EXPIRED

_LATEST_MS: Final = 10_413_791_999_999
"""The end of 2299, which is the last day of a ``DateTime64``. Times of records are what their producers say."""

Row = dict[str, Any]
"""A row of ``dead_letters`` by column; times are epoch milliseconds."""


@dataclass(frozen=True)
class LetterBatch:
    """Rows of one batch of a dead-letter topic."""

    topic: str
    partition: int
    first_offset: int
    last_offset: int
    rows: list[Row]

    @property
    def events(self) -> int:
        """How many records it has."""
        return len(self.rows)

    def fence(self, table: str) -> int:
        """Every record leads to a row, so the last one's offset is there."""
        return self.last_offset

    def dead_letters(self) -> Sequence[Record]:
        """None: every record can be read."""
        return ()


def read_batch(batch: RawBatch) -> LetterBatch:
    """A batch's rows, one for each record."""
    return LetterBatch(batch.topic, batch.partition, batch.first_offset, batch.last_offset, list(_rows(batch)))


def _rows(batch: RawBatch) -> Iterator[Row]:
    records = zip(batch.offsets, batch.timestamps_ms, batch.headers, batch.values, strict=True)
    for offset, written_ms, headers, value in records:
        letter = read(headers)
        yield _row(letter, batch.topic, batch.partition, offset, min(max(written_ms, 0), _LATEST_MS), value)


def _row(letter: DeadLetter, topic: str, partition: int, offset: int, written_ms: int, value: bytes) -> Row:
    # What never was a record, or whose position cannot be read, is known by its letter alone.
    place = (letter.topic, letter.partition, letter.offset)
    if not letter.topic or NOWHERE in place:
        place = (topic, partition, offset)
    return {
        # Letters under the flow's own name are those that expired, and no other writer may add to them.
        "consumer_group": letter.group if letter.group != DEAD_LETTERS_FLOW.group else "unknown",
        "reason": letter.reason,
        "topic": place[0],
        "partition": place[1],
        "offset": place[2],
        "store": letter.store,
        "detail": letter.detail,
        "bytes": len(value),
        "letters": 1,
        "fingerprint": fingerprint(value),
        "first_seen": letter.first_seen_ms if 0 < letter.first_seen_ms < written_ms else written_ms,
        "last_seen": written_ms,
        "source_topic": topic,
        "source_partition": partition,
        "source_offset": offset,
    }


def expired_row(topic: str, partition: int, first: int, low: int, now: datetime) -> Row:
    """A row for letters that retention deleted before they were read: offsets from ``first`` to before ``low``."""
    now_ms = int(now.timestamp() * 1000)
    return {
        "consumer_group": DEAD_LETTERS_FLOW.group,
        "reason": EXPIRED,
        "topic": topic,
        "partition": partition,
        "offset": first,
        "store": "",
        "detail": f"{low - first} letters were deleted by retention before they were read",
        "bytes": 0,
        "letters": low - first,
        "fingerprint": 0,
        "first_seen": now_ms,
        "last_seen": now_ms,
        "source_topic": topic,
        "source_partition": partition,
        "source_offset": low - 1,
    }


def fingerprint(value: bytes) -> int:
    """64 bits of a payload, the same in every process: by them a topic that was made again is recognised."""
    return int.from_bytes(blake2b(value, digest_size=8).digest(), "little")


_TYPES = {
    "partition": pa.int32(),
    "offset": pa.int64(),
    "bytes": pa.uint64(),
    "letters": pa.uint64(),
    "fingerprint": pa.uint64(),
    "first_seen": pa.timestamp("ms", tz="UTC"),
    "last_seen": pa.timestamp("ms", tz="UTC"),
    "source_partition": pa.uint16(),
    "source_offset": pa.uint64(),
}


def as_table(rows: Sequence[Row]) -> pa.Table:
    """Rows, at least one, as columns of ``dead_letters``."""
    return pa.table({name: pa.array([row[name] for row in rows], _TYPES.get(name, pa.string())) for name in rows[0]})


def rows_of(table: str, batches: Sequence[LetterBatch]) -> pa.Table:
    """The rows of batches that are written together; there is one table."""
    return as_table([row for batch in batches for row in batch.rows])
