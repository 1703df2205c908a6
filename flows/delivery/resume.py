"""Where reading begins, and whether the log is still the one that the tables were made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec
import pyarrow as pa

from connectors.clickhouse import ClickHouse
from connectors.errors import Refused
from connectors.kafka.reader import PartitionReader
from flows.delivery.fencing import Fences
from flows.delivery.insert_shape import structure_of
from marketplace.events import decode_click
from marketplace.outcomes import EXPIRED
from marketplace.tables import CLICKS, LEDGER
from marketplace.topics import CLICKS_COLLECTED

_TOPIC = CLICKS_COLLECTED.name


def resume_offset(partition: int, tables: Mapping[str, int], low: int, high: int) -> int:
    """The first offset of a partition that is still to be done.

    Args:
        partition: The partition.
        tables: Its fences, by table name.
        low: The first offset that the broker has.
        high: The one that the next record will get.

    Raises:
        Refused: The log does not go on where the tables end.
    """
    first = first_unapplied(partition, tables, high)
    if first is None:
        return low
    if first < low:
        raise Refused(
            f"{_TOPIC}[{partition}]: {low - first} records (offsets {first} to {low - 1}) were deleted by retention "
            "before they were counted. Nothing was skipped yet: 'marketplace flows accept-loss clicks' writes them off "
            "in the ledger, and the flow can go on"
        )
    return first


def first_unapplied(partition: int, tables: Mapping[str, int], high: int) -> int | None:
    """The offset after the last one that all tables hold, in the log or not; None where counting has not begun.

    Raises:
        Refused: The tables hold records that the log does not have yet.
    """
    if not tables:
        return None
    newest = max(tables.values())
    if newest >= high:
        raise Refused(
            f"{_TOPIC}[{partition}] ends before offset {high}, but the tables hold records up to {newest}: it was made "
            "anew or emptied; docs/how-to/recover.md says how to go on"
        )
    return tables.get(LEDGER.name, -1) + 1


def verify_log_identity(
    reader: PartitionReader, clickhouse: ClickHouse, fences: Fences, partitions: Iterable[int]
) -> None:
    """Compare the newest fact of each partition with the record at its offset.

    A topic that was made anew and has grown beyond the fences since looks like the old one by its offsets alone.

    Args:
        reader: One that reads nothing else.
        clickhouse: Where the facts are.
        fences: What the tables hold.
        partitions: Those of the topic.

    Raises:
        Refused: It is another record.
        Unavailable: A part is away.
    """
    wanted = {}
    for partition in partitions:
        newest = fences.get(partition, {}).get(CLICKS.name)
        if newest is not None:
            low, high = reader.range_of(partition)
            if low <= newest < high:
                wanted[partition] = newest
    if not wanted:
        return
    places = ", ".join(f"({partition}, {offset})" for partition, offset in wanted.items())
    keys = clickhouse.rows(
        f"SELECT source_partition, dedupe_key FROM {clickhouse.database}.{CLICKS.name} "
        f"WHERE (source_partition, source_offset) IN ({places})"
    )
    values = reader.read_at(wanted)
    for partition, key in keys:
        if _key_of(values.get(int(partition), b"")) != int(key):
            raise Refused(
                f"{_TOPIC}[{partition}] has another record at offset {wanted[int(partition)]} than the tables: it was "
                "made anew; docs/how-to/recover.md says how to go on"
            )


def _key_of(value: bytes) -> int | None:
    try:
        return int(decode_click(value).key, 16)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        return None


def record_expired(
    clickhouse: ClickHouse, partition: int, first: int, low: int, now: datetime, condition: str = "1"
) -> None:
    """Note in the ledger that the records from ``first`` to before ``low`` were gone before they could be counted.

    Done again, it changes nothing: the ledger must end right before ``first``.

    Args:
        clickhouse: Where the ledger is.
        partition: The Kafka partition.
        first: The first offset that is not in the ledger.
        low: The first offset that the broker has.
        now: Under which hour it is noted.
        condition: A further condition on the insert.

    Raises:
        Unavailable: ClickHouse is away; it may or may not be noted.
    """
    row = pa.table(
        {
            "store": [""],
            "hour": pa.array([int(now.timestamp()) // 3_600 * 3_600], pa.timestamp("s", tz="UTC")),
            "kind": ["note"],
            "name": [EXPIRED],
            "events": pa.array([low - first], pa.uint64()),
            "source_partition": pa.array([partition], pa.uint16()),
            "source_offset": pa.array([low - 1], pa.uint64()),
        }
    )
    ends = f"SELECT if(count() = 0, -1, toInt64(max(source_offset))) FROM {clickhouse.database}.{LEDGER.name}"
    only_once = f"({ends} WHERE source_partition = {partition}) = {first - 1} AND {condition}"
    token = f"{EXPIRED}|{partition}:{first}-{low - 1}"
    clickhouse.insert_where(LEDGER.name, structure_of(LEDGER), row, only_once, token)
