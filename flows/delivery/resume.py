"""Where reading begins, and whether the log is still the one that the tables were made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from connectors.errors import Refused
from connectors.kafka.reader import PartitionReader
from marketplace.flows import FlowSpec


def resume_offset(flow: FlowSpec, place: str, tables: Mapping[str, int], low: int, high: int) -> int:
    """The first offset of a partition that is still to be done.

    Args:
        flow: Whose tables they are.
        place: The topic and partition, for messages.
        tables: The partition's fences, by table name.
        low: The first offset that the broker has.
        high: The one that the next record will get.

    Raises:
        Refused: The log does not go on where the tables end.
    """
    first = first_unapplied(flow, place, tables, high)
    if first is None:
        return low
    if first < low:
        raise Refused(
            f"{place}: {low - first} records (offsets {first} to {low - 1}) were deleted by retention before they were "
            f"counted. Nothing was skipped yet: 'marketplace flows accept-loss {flow.name}' writes them off, and the "
            "flow can go on"
        )
    return first


def first_unapplied(flow: FlowSpec, place: str, tables: Mapping[str, int], high: int) -> int | None:
    """The offset after the last one that all tables hold, in the log or not; None where counting has not begun.

    Raises:
        Refused: The tables hold records that the log does not have yet.
    """
    if not tables:
        return None
    newest = max(tables.values())
    if newest >= high:
        raise Refused(
            f"{place} ends before offset {high}, but the tables hold records up to {newest}: it was recreated or "
            "emptied; docs/how-to/recover.md says how to go on"
        )
    return tables.get(flow.checkpoint.name, -1) + 1


def verify_log_identity(
    reader: PartitionReader,
    newest: Mapping[int, int],
    mismatched_partitions: Callable[[Mapping[int, bytes]], list[int]],
) -> None:
    """Compare the newest row of each partition with the record at its offset.

    A topic that was recreated and has grown beyond the fences since looks like the old one by its offsets alone.

    Args:
        reader: One that reads nothing else.
        newest: The newest offset of each partition whose record the tables know something of.
        mismatched_partitions: From the records at those offsets, by partition, to the partitions where it
            is another record; an empty payload where there is none any more.

    Raises:
        Refused: It is another record.
        Unavailable: A part does not answer.
    """
    wanted = {}
    for partition, offset in newest.items():
        low, high = reader.range_of(partition)
        if low <= offset < high:
            wanted[partition] = offset
    if not wanted:
        return
    found = reader.read_at(wanted)
    for partition in mismatched_partitions({partition: found.get(partition, b"") for partition in wanted}):
        raise Refused(
            f"{reader.topic}[{partition}] has another record at offset {wanted[partition]} than the tables: it was "
            "recreated; docs/how-to/recover.md says how to go on"
        )
