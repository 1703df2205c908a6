"""Records that retention deleted before a flow had read them: written off visibly, never skipped in silence."""

from __future__ import annotations

import pyarrow as pa

from connectors.clickhouse.client import ClickHouse
from connectors.clickhouse.insert_shape import structure_of
from marketplace.flows import SOURCE_TOPIC, FlowSpec


def record_expired(clickhouse: ClickHouse, flow: FlowSpec, row: pa.Table, first: int, condition: str = "1") -> None:
    """Write one row that stands for records which are gone; the checkpoint's fence moves behind them.

    Done again, it changes nothing: the checkpoint must end right before ``first``.

    Args:
        clickhouse: Where the checkpoint is.
        flow: Whose checkpoint.
        row: The row; see ``Flow.expired_row``.
        first: The first offset that the checkpoint does not hold.
        condition: A further condition on the insert.

    Raises:
        Unavailable: ClickHouse does not answer; it may or may not be written.
    """
    table = flow.checkpoint
    partition, last = row["source_partition"][0].as_py(), row["source_offset"][0].as_py()
    where, token = f"source_partition = {partition}", f"expired|{partition}:{first}-{last}"
    if flow.reads_several:
        topic = row[SOURCE_TOPIC][0].as_py()
        where, token = f"{where} AND {SOURCE_TOPIC} = '{topic}'", f"expired|{topic}:{partition}:{first}-{last}"
    ends = f"SELECT if(count() = 0, -1, toInt64(max(source_offset))) FROM {clickhouse.database}.{table.name}"
    only_once = f"({ends} WHERE {where}) = {first - 1} AND {condition}"
    clickhouse.insert_where(table.name, structure_of(table), row, only_once, token)
