"""How far the tables of a flow are behind its topics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connectors.kafka.reader import RecordReader
from flows.delivery.fencing import Fences
from marketplace.flows import FlowSpec

Ranges = dict[int, tuple[int, int]]
"""For each partition, the first offset that the broker has, and the one that the next record will get."""


@dataclass(frozen=True)
class Lag:
    """The lag of one partition, in records.

    Attributes:
        unread: Records in the log that are not in all tables yet.
        unreachable: Records that retention has deleted and that no table accounts for.
    """

    unread: int
    unreachable: int


def ranges_of(reader: RecordReader) -> Ranges:
    """The ranges of all partitions of a reader's topic.

    Raises:
        Unavailable: No broker answers.
        Refused: There is no such topic.
    """
    return {partition: reader.range_of(partition) for partition in reader.partitions()}


def lag(flow: FlowSpec, fences: Mapping[str, Fences], ranges: Mapping[str, Ranges]) -> dict[str, dict[int, Lag]]:
    """The lag of each partition of each topic.

    Args:
        flow: The flow; everything up to the fence of its checkpoint table is in all tables.
        fences: By topic, as ``read_fences`` finds them.
        ranges: By topic; a partition without a range has no lag.
    """
    return {
        topic: {
            partition: _lag(fences.get(topic, {}).get(partition, {}).get(flow.checkpoint.name), low, high)
            for partition, (low, high) in partitions.items()
        }
        for topic, partitions in ranges.items()
    }


def _lag(fence: int | None, low: int, high: int) -> Lag:
    # Without a fence the flow begins at the first record that is there, and counts nothing as lost.
    following = low if fence is None else fence + 1
    return Lag(unread=max(0, high - max(following, low)), unreachable=max(0, low - following))


def total_unread(found: Mapping[str, Mapping[int, Lag]]) -> int:
    """The unread records of all partitions together."""
    return sum(each.unread for partitions in found.values() for each in partitions.values())
