"""The item that travels through the flow: one micro-batch of one Kafka partition, as columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marketplace.events import CollectedClick

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RawBatch:
    """Records of one partition, offsets ascending, exactly as the broker gave them."""

    partition: int
    offsets: list[int]
    timestamps_ms: list[int]
    values: list[bytes]

    @property
    def first_offset(self) -> int:
        """The offset of the first record."""
        return self.offsets[0]

    @property
    def last_offset(self) -> int:
        """The offset of the last record; every row that the batch leads to carries it or less."""
        return self.offsets[-1]

    def without(self, offsets: set[int]) -> RawBatch:
        """The records whose offsets are not among the given ones."""
        rows = [row for row, offset in enumerate(self.offsets) if offset not in offsets]
        return RawBatch(
            self.partition,
            [self.offsets[row] for row in rows],
            [self.timestamps_ms[row] for row in rows],
            [self.values[row] for row in rows],
        )


@dataclass(frozen=True)
class Reject:
    """A record that goes to the dead-letter topic with its exact bytes."""

    partition: int
    offset: int
    value: bytes
    store: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Columns:
    """Readable events of a batch, one array element or list item per event, in arrival order.

    Attributes:
        events: The decoded events.
        rows: Their positions in the raw batch.
        offsets: Their Kafka offsets.
        key, visitor: 64-bit hashes.
        received_ms, occurred_ms: Epoch milliseconds; ``occurred_ms`` is -1 where the client gave none.
        sent_ms: Epoch milliseconds, -1 where the client gave none.
    """

    events: list[CollectedClick]
    rows: I64
    offsets: I64
    key: U64
    visitor: U64
    received_ms: I64
    occurred_ms: I64
    sent_ms: I64

    def take(self, mask: Bools) -> Columns:
        """The events at which ``mask`` holds."""
        if mask.all():
            return self
        events = [event for event, keep in zip(self.events, mask.tolist(), strict=True) if keep]
        return Columns(
            events,
            self.rows[mask],
            self.offsets[mask],
            self.key[mask],
            self.visitor[mask],
            self.received_ms[mask],
            self.occurred_ms[mask],
            self.sent_ms[mask],
        )

    def __len__(self) -> int:
        return len(self.events)
