"""The writer of every flow: what batches lead to is written in one order, and the order is the delivery promise.

For each epoch, of all its batches together:

1. records that could not be processed go to the dead-letter topic, and the broker confirms them;
2. rows go into the flow's tables, one after the other, each insert as one block, which is there wholly or not at all;
   after the last table, the checkpoint, a restart begins behind these batches;
3. the generation is checked: had a newer process taken over, none of these inserts would have written;
4. the flow hears that they are written, for what follows from the tables (read models);
5. the engine ends the epoch, and the source shows its offsets in the consumer group.

A crash between any two steps loses nothing (the checkpoint is not yet there, so the batches come again) and counts
nothing twice (each table knows its fence, batches are cut at fences, and what lies at or below a fence is skipped).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from hashlib import blake2b
from typing import Final, Generic, Protocol, TypeVar

import pyarrow as pa

from connectors.clickhouse.client import ClickHouse
from connectors.clickhouse.insert_shape import structure_of
from connectors.errors import Unavailable
from connectors.kafka.records import Record, RecordProducer
from flows.delivery.fencing import Fences, check_generation, is_newest, read_fences, wait_for_running_inserts
from flows.delivery.retry import UnavailableRetry
from marketplace.flows import FlowSpec
from marketplace.tables import Table

MAX_BUFFERED_EVENTS: Final = 200_000
"""More than this is written before the epoch ends, so that one insert stays one block."""

_DEAD_TIMEOUT_SECONDS: Final = 15.0


class WritableBatch(Protocol):
    """What the writer needs to know of a processed batch."""

    @property
    def topic(self) -> str:
        """Where its records come from."""

    @property
    def partition(self) -> int:
        """Where its records come from."""

    @property
    def first_offset(self) -> int:
        """Of its first record."""

    @property
    def last_offset(self) -> int:
        """Of its last record."""

    @property
    def events(self) -> int:
        """How many records it has."""

    def fence(self, table: str) -> int | None:
        """The highest offset in the batch's rows of a table; None where it has none."""

    def dead_letters(self) -> Sequence[Record]:
        """What goes to the dead-letter topic."""


Batch = TypeVar("Batch", bound=WritableBatch)
_Batch = TypeVar("_Batch", bound=WritableBatch, contravariant=True)


class WriteFollower(Protocol[_Batch]):
    """What follows from the tables and is brought up to date after them, such as read models."""

    def written(self, batches: Sequence[_Batch]) -> None:
        """These batches are in all tables."""

    def check_room(self) -> None:
        """Return where more may be written ahead of it.

        Raises:
            Unavailable: Not yet; ask again.
        """


class FencedWriter(Generic[Batch]):
    """Writes the batches of one worker, all partitions together.

    Args:
        flow: The order of its tables.
        clickhouse: Where the tables are.
        producer: Where dead letters go; None for a flow that has none.
        rows_of: From a table's name and batches that have rows of it, at least one, to the rows.
        generation: The number of this start; a newer one fences this process out.
        fences: What the tables held when this start took over, by topic.
        retry: Calls again while a part is unavailable, until the process is asked to leave.
        follower: What follows from the tables, if anything does.
    """

    def __init__(
        self,
        flow: FlowSpec,
        clickhouse: ClickHouse,
        producer: RecordProducer | None,
        rows_of: Callable[[str, Sequence[Batch]], pa.Table],
        generation: int,
        fences: dict[str, Fences],
        retry: UnavailableRetry,
        follower: WriteFollower[Batch] | None = None,
    ) -> None:
        self._flow, self._clickhouse, self._producer, self._rows_of = flow, clickhouse, producer, rows_of
        self._generation, self._follower, self._retry = generation, follower, retry
        self._buffer: list[Batch] = []
        self._buffered_events = 0
        self._fences = fences

    @property
    def condition(self) -> str:
        """Under which an insert of this start may write, as an SQL expression."""
        return is_newest(self._clickhouse.database, self._flow, self._generation)

    def add(self, batches: Iterable[Batch]) -> None:
        """Take batches; they are written at the end of the epoch, or earlier when they are many."""
        for batch in batches:
            self._buffer.append(batch)
            self._buffered_events += batch.events
            if self._buffered_events >= MAX_BUFFERED_EVENTS:
                self.flush()

    def flush(self) -> None:
        """Steps 1 to 4.

        Raises:
            Fenced: A newer process has taken over.
            Unavailable: A part does not answer and the process is asked to leave.
            Refused: A part does not take what it is given; the process stops loudly.
        """
        batches, self._buffer, self._buffered_events = self._buffer, [], 0
        if batches:
            self._write(batches)
            if self._follower is not None:
                self._follower.written(batches)
                self._retry(self._follower.check_room)

    def _write(self, batches: Sequence[Batch]) -> None:
        dead = [letter for batch in batches for letter in batch.dead_letters()]
        if dead:
            if self._producer is None:
                raise AssertionError(f"the flow {self._flow.name} has dead letters and no topic for them")
            self._retry(partial(self._producer.send_all, dead, _DEAD_TIMEOUT_SECONDS))
        for table in self._flow.tables:
            self._retry(partial(self._insert, table, batches, {}))
        self._retry(partial(check_generation, self._clickhouse, self._flow, self._generation))

    def _insert(self, table: Table, batches: Sequence[Batch], made: dict[str, pa.Table]) -> None:
        """One try; rows that were ``made`` for an earlier one are sent again."""
        open_batches = [batch for batch in batches if self._is_open(table, batch)]
        if not open_batches:
            return
        spans = ",".join(self._span(batch) for batch in open_batches)
        token = blake2b(f"{table.name}|{spans}".encode(), digest_size=16).hexdigest()
        if token not in made:
            made[token] = self._rows_of(table.name, open_batches)
        try:
            self._clickhouse.insert_where(table.name, structure_of(table), made[token], self.condition, token)
        except Unavailable:
            # It may have been applied, or still be on its way: once the server works on none any more, the next try
            # asks the table first.
            self._retry(partial(wait_for_running_inserts, self._clickhouse, self._flow.tables))
            self._fences = self._retry(partial(read_fences, self._clickhouse, self._flow))
            raise

    def _span(self, batch: Batch) -> str:
        span = f"{batch.partition}:{batch.first_offset}-{batch.last_offset}"
        return f"{batch.topic}:{span}" if self._flow.reads_several else span

    def _is_open(self, table: Table, batch: Batch) -> bool:
        reaches = batch.fence(table.name)
        fences = self._fences.get(batch.topic, {}).get(batch.partition, {})
        return reaches is not None and reaches > fences.get(table.name, -1)
