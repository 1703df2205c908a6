"""Dead letters of all topics in one table, to list and count records that were given up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import pyarrow as pa

from connectors.clickhouse.client import ClickHouse
from flows.dead_letters.letters import LetterBatch, as_table, expired_row, fingerprint, read_batch, rows_of
from flows.delivery.batch import RawBatch
from flows.delivery.flow import Flow, WorkerContext
from marketplace.flows import DEAD_LETTERS_FLOW
from marketplace.tables import DEAD_LETTERS


class LetterWorker:
    """What one worker thread does; it remembers nothing."""

    follower = None

    def process(self, batch: RawBatch) -> LetterBatch:
        """A batch's rows."""
        return read_batch(batch)

    def rows_of(self, table: str, batches: Sequence[LetterBatch]) -> pa.Table:
        """One row for each record."""
        return rows_of(table, batches)

    def end_epoch(self, *, leaving: bool) -> None:
        """Nothing is left to do."""


class DeadLettersFlow(Flow[LetterBatch]):
    """One row for each record that was given up."""

    spec = DEAD_LETTERS_FLOW
    identity_table = DEAD_LETTERS

    def open_worker(self, context: WorkerContext) -> LetterWorker:
        """A worker without a memory."""
        return LetterWorker()

    def expired_row(self, topic: str, partition: int, first: int, low: int, now: datetime) -> pa.Table:
        """Counts the letters that are gone, under the reason ``expired``."""
        return as_table([expired_row(topic, partition, first, low, now)])

    def mismatched_partitions(
        self, clickhouse: ClickHouse, topic: str, records: Mapping[int, tuple[int, bytes]]
    ) -> list[int]:
        """Compares fingerprints; a row of expired letters has none and is no record."""
        places = ", ".join(f"({partition}, {offset})" for partition, (offset, _) in records.items())
        rows = clickhouse.rows(
            f"SELECT source_partition, fingerprint FROM {clickhouse.database}.{DEAD_LETTERS.name} "
            f"WHERE source_topic = {{topic:String}} AND consumer_group != '{DEAD_LETTERS_FLOW.group}' "
            f"AND (source_partition, source_offset) IN ({places})",
            {"topic": topic},
        )
        return [int(partition) for partition, known in rows if fingerprint(records[int(partition)][1]) != int(known)]


FLOW: Final = DeadLettersFlow()
