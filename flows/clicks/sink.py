"""Our own sink: what a batch leads to is written in one order, and the order is the delivery promise.

For each epoch, of all its batches together:

1. records that could not be counted go to the dead-letter topic, and the broker confirms them;
2. ``clicks``, the facts, are inserted as one block, which is there wholly or not at all;
3. ``rollups``, the deltas, likewise;
4. ``sessions``, what was retracted and added, likewise;
5. ``click_ledger``, likewise: from now on a restart begins after these batches;
6. the generation is checked: had a newer process taken over, none of these inserts would have written;
7. the days that changed are remembered; a thread refreshes their read models from the tables: ``store_stats`` in Mongo,
   the live tile in Redis;
8. the engine ends the epoch, and the source shows its offsets in the consumer group.

A crash between any two steps loses nothing (the ledger is not yet there, so the batches come again) and counts nothing
twice (each table knows its fence, batches are cut at fences, and what lies at or below a fence is skipped).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from typing import Final, TypeVar

import pyarrow as pa
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from connectors.clickhouse import ClickHouse
from connectors.errors import Fenced, Unavailable
from connectors.kafka.records import Record, RecordProducer
from flows.clicks.model.batch import Reject
from flows.clicks.output.arrow_rows import rows_of
from flows.clicks.processed_batch import ProcessedBatch
from flows.clicks.read_models.projector import Projector
from flows.delivery.exit_codes import noted
from flows.delivery.fencing import Fences, read_fences, wait_for_running_inserts
from flows.delivery.insert_shape import structure_of
from flows.delivery.resume import record_expired
from marketplace.tables import FENCED_TABLES, GENERATIONS, LEDGER, Table
from marketplace.topics import CLICKS_COLLECTED, CLICKS_DEAD
from runtime.backoff import Backoff
from runtime.periodic import PeriodicThread
from runtime.progress import ProgressReport

log = logging.getLogger(__name__)

MAX_BUFFERED_EVENTS: Final = 200_000
"""More than this is written before the epoch ends, so that one insert stays one block."""

_BACKOFF: Final = Backoff(0.1, 0.2, 0.5, 1.0, 2.0)
_DEAD_TIMEOUT_SECONDS: Final = 15.0
_MAX_HEADER: Final = 500
_CATCH_UP_SECONDS: Final = 60.0
"""What reading and saving some days may take; more than the projector's ClickHouse and Mongo take to give up."""
_Answer = TypeVar("_Answer")


def dead_letter(reject: Reject) -> Record:
    """The record of the dead-letter topic: the exact bytes, with where they came from and why they are here.

    It may be written twice after a crash; ``(source_partition, source_offset)`` tells copies.
    """
    return Record(
        topic=CLICKS_DEAD.name,
        value=reject.value,
        key=f"{reject.partition}:{reject.offset}".encode(),
        headers=(
            ("reason", reject.reason.encode()),
            ("detail", reject.detail[:_MAX_HEADER].encode("utf-8", "replace")),
            ("store", reject.store[:_MAX_HEADER].encode("utf-8", "replace")),
            ("source_topic", CLICKS_COLLECTED.name.encode()),
            ("source_partition", str(reject.partition).encode()),
            ("source_offset", str(reject.offset).encode()),
        ),
    )


class Writer:
    """Writes batches of one worker, all partitions together.

    Args:
        clickhouse: Where the tables are.
        producer: Where dead letters go.
        projector: Refreshes the read models.
        generation: The number of this start; a newer one fences this process out.
        fences: What the tables held when this start took over.
        report: Beats while a part is waited for: the supervisor learns that waiting is not hanging, and for what.
        give_up: Whether to stop waiting, because the process is asked to leave.
    """

    def __init__(
        self,
        clickhouse: ClickHouse,
        producer: RecordProducer,
        projector: Projector,
        generation: int,
        fences: Fences,
        report: ProgressReport,
        give_up: Callable[[], bool],
    ) -> None:
        self._clickhouse, self._producer, self._projector = clickhouse, producer, projector
        self._generation, self._report, self._give_up = generation, report, give_up
        self._buffer: list[ProcessedBatch] = []
        self._buffered_events = 0
        self._fences = fences
        self._keeper = PeriodicThread(projector.refresh)

    def catch_up(self) -> None:
        """Bring the read models up to date that an earlier process left behind, and keep them so from now on.

        Raises:
            Unavailable: A part is unavailable and the process is asked to leave.
        """
        self._report.beat(_CATCH_UP_SECONDS)
        self._patiently(lambda: self._projector.find_dirty(self._fences))
        more = True
        while more:
            self._report.beat(_CATCH_UP_SECONDS)
            more = self._patiently(self._projector.catch_up)
        self._keeper.start()

    def begin(self, partition: int, low: int) -> None:
        """Note that counting of a partition begins at an offset: what was before is gone from the log.

        Raises:
            Unavailable: ClickHouse is away and the process is asked to leave.
        """
        self._patiently(lambda: record_expired(self._clickhouse, partition, 0, low, datetime.now(UTC), self._newest()))
        self._fences.setdefault(partition, {})[LEDGER.name] = low - 1

    def add(self, results: Iterable[ProcessedBatch]) -> None:
        """Take results; they are written at the end of the epoch, or earlier when they are many."""
        for result in results:
            self._buffer.append(result)
            self._buffered_events += result.events
            if self._buffered_events >= MAX_BUFFERED_EVENTS:
                self.flush()

    def flush(self) -> None:
        """Steps 1 to 7.

        Raises:
            Fenced: A newer process has taken over.
            Unavailable: A part is away and the process is asked to leave.
            Refused: A part does not take what it is given; the process stops loudly.
        """
        results, self._buffer, self._buffered_events = self._buffer, [], 0
        if results:
            self._write(results)
            self._projector.mark_dirty(results)
            self._patiently(self._wait_for_room)

    def tend(self, *, leaving: bool) -> None:
        """Between batches: see that the read models are tended; before this process leaves, bring them up to date."""
        self._keeper.check()
        if leaving:
            with suppress(Unavailable):
                self._projector.drain()

    def close(self) -> None:
        """Leave the read models as they are; a process that ends need not ask for it."""
        self._keeper.end()

    def _wait_for_room(self) -> None:
        self._keeper.check()
        self._projector.check_room()

    def _write(self, results: Sequence[ProcessedBatch]) -> None:
        dead = [dead_letter(reject) for result in results for reject in result.rejects]
        if dead:
            self._patiently(lambda: self._producer.send_all(dead, _DEAD_TIMEOUT_SECONDS))
        for table in FENCED_TABLES:
            self._patiently(partial(self._insert, table, results, {}))
        self._patiently(self._check_generation)

    def _insert(self, table: Table, results: Sequence[ProcessedBatch], made: dict[str, pa.Table]) -> None:
        """One try; rows that were ``made`` for an earlier one are sent again."""
        open_results = [r for r in results if self._is_open(table, r)]
        if not open_results:
            return
        spans = ",".join(f"{r.partition}:{r.first_offset}-{r.last_offset}" for r in open_results)
        token = blake2b(f"{table.name}|{spans}".encode(), digest_size=16).hexdigest()
        if token not in made:
            made[token] = rows_of(table.name, open_results)
        try:
            self._clickhouse.insert_where(table.name, structure_of(table), made[token], self._newest(), token)
        except Unavailable:
            # It may have been applied, or still be on its way: once the server works on none any more, the next try
            # asks the table first.
            self._patiently(lambda: wait_for_running_inserts(self._clickhouse))
            self._fences = self._patiently(lambda: read_fences(self._clickhouse))
            raise

    def _is_open(self, table: Table, result: ProcessedBatch) -> bool:
        reaches = result.fence(table.name)
        return reaches is not None and reaches > self._fences.get(result.partition, {}).get(table.name, -1)

    def _newest(self) -> str:
        generations = f"{self._clickhouse.database}.{GENERATIONS.name}"
        return f"(SELECT max(generation) FROM {generations} WHERE flow = 'clicks') <= {self._generation}"

    def _check_generation(self) -> None:
        newest = self._clickhouse.rows(
            f"SELECT max(generation) FROM {self._clickhouse.database}.{GENERATIONS.name} WHERE flow = 'clicks'"
        )[0][0]
        if newest > self._generation:
            raise Fenced(f"generation {newest} of the flow has taken over from {self._generation}")

    def _patiently(self, action: Callable[[], _Answer]) -> _Answer:
        attempt = 0
        while True:
            try:
                answer = action()
            except Unavailable as error:
                if self._give_up():
                    raise
                if attempt in (1, 10) or attempt % 60 == 59:
                    log.warning("waiting, nothing is lost: %s", error)
                self._report.beat(waiting=str(error))
                time.sleep(_BACKOFF.pause_seconds(attempt + 1))
                attempt += 1
            else:
                if attempt > 1:
                    log.warning("it answers again after %d tries", attempt)
                return answer


class SinkPartition(StatefulSinkPartition[ProcessedBatch, None]):
    """A partition's door to the worker's writer."""

    def __init__(self, writer: Writer, report: ProgressReport) -> None:
        self._writer, self._report = writer, report

    def write_batch(self, items: list[ProcessedBatch]) -> None:
        """Take results."""
        with noted(self._report):
            self._writer.add(items)

    def snapshot(self) -> None:
        """The epoch ends: the first partition to be asked writes for all of the worker's."""
        with noted(self._report):
            self._writer.flush()


class FencedSink(FixedPartitionedSink[ProcessedBatch, None]):
    """A sink with the source's partitions, so that the engine puts both on the same worker and nothing is exchanged."""

    def __init__(self, partitions: list[int], writer: Callable[[], Writer], report: ProgressReport) -> None:
        self._partitions, self._writer, self._report = partitions, writer, report

    def list_parts(self) -> list[str]:
        """The source's partitions, by the same names."""
        return [f"{partition:03d}" for partition in self._partitions]

    def part_fn(self, item_key: str) -> int:
        """The partition that a key names."""
        return self._partitions.index(int(item_key))

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> SinkPartition:
        """A door to this worker's writer."""
        with noted(self._report):
            return SinkPartition(self._writer(), self._report)
