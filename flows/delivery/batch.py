"""What travels through a flow: one batch of records of one partition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Headers = Sequence[tuple[str, bytes | None]]
"""Names and values of a record's headers, in order; a name may be there twice."""


@dataclass(frozen=True)
class RawBatch:
    """Records of one partition, offsets ascending, exactly as the broker gave them.

    Attributes:
        partition: The partition's number.
        offsets: Of the records.
        timestamps_ms: The broker's times, epoch milliseconds.
        values: The payloads; a record without one has an empty one.
        headers: Headers of each record, read lazily.
        topic: The topic's name.
    """

    partition: int
    offsets: Sequence[int]
    timestamps_ms: Sequence[int]
    values: list[bytes]
    headers: Sequence[Headers] = ()
    topic: str = ""

    @property
    def first_offset(self) -> int:
        """The offset of the first record."""
        return self.offsets[0]

    @property
    def last_offset(self) -> int:
        """The offset of the last record; every row that the batch leads to carries it or less."""
        return self.offsets[-1]
