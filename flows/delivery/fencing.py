"""Fences and generations: what tables hold already, and which start of a flow may still write.

A *fence* is the highest offset of a partition in a table: what lies at or below it was applied and is skipped. A
*generation* is the number of a start: every insert carries the condition that no newer one is known, so a process that
was thought dead writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Final, Protocol

import pyarrow as pa

from connectors.clickhouse.client import ClickHouse
from connectors.clickhouse.insert_shape import structure_of
from connectors.errors import Fenced, Unavailable
from connectors.mongo.client import connect
from connectors.mongo.generations import Generations
from marketplace.flows import SOURCE_TOPIC, FlowSpec
from marketplace.tables import GENERATIONS, Table
from runtime.sections import Settings

Fences = dict[int, dict[str, int]]
"""Of one topic: for each partition, the highest applied offset by table name."""

REQUEST_SECONDS: Final = 25.0
"""What a request of a flow to ClickHouse may take: with the work around it less than a lease of its progress. An insert
that takes longer is not lost: the flow waits for its end and reads the fences again."""


class GenerationCounter(Protocol):
    """Gives each start of a flow its number; :class:`~connectors.mongo.generations.Generations` is one."""

    def next(self, flow: str, at_least: int) -> int:
        """A number larger than any given before, and than ``at_least``.

        Raises:
            Unavailable: Mongo does not answer.
        """


def read_fences(clickhouse: ClickHouse, flow: FlowSpec, tables: Iterable[Table] | None = None) -> dict[str, Fences]:
    """For each topic of a flow, and each partition that has rows: the highest offset in each of the tables.

    Args:
        clickhouse: Where the tables are.
        flow: Whose tables.
        tables: Only these; default all.

    Raises:
        Unavailable: ClickHouse does not answer.
    """
    fences: dict[str, Fences] = {topic.name: {} for topic in flow.reads}
    topic = SOURCE_TOPIC if flow.reads_several else f"'{flow.reads[0].name}'"
    for table in flow.tables if tables is None else tables:
        place = f"{clickhouse.database}.{table.name}"
        query = f"SELECT {topic}, source_partition, max(source_offset) FROM {place} GROUP BY 1, 2"
        for name, partition, offset in clickhouse.rows(query):
            fences.setdefault(str(name), {}).setdefault(int(partition), {})[table.name] = int(offset)
    return fences


def wait_for_running_inserts(clickhouse: ClickHouse, tables: Iterable[Table]) -> None:
    """Return once the server works on no insert into these tables: fences are read only after that.

    Raises:
        Unavailable: It still does; ask again.
    """
    prefixes = " OR ".join(f"query LIKE 'INSERT INTO {clickhouse.database}.{table.name} %'" for table in tables)
    running = int(clickhouse.rows(f"SELECT count() FROM system.processes WHERE {prefixes}")[0][0])
    if running:
        raise Unavailable(f"ClickHouse is still working on {running} inserts")


def is_newest(database: str, flow: FlowSpec, generation: int) -> str:
    """The condition under which an insert of a generation may write, as an SQL expression."""
    return f"({_newest(database, flow)}) <= {generation}"


def check_generation(clickhouse: ClickHouse, flow: FlowSpec, generation: int) -> None:
    """Return where no newer start is known.

    Raises:
        Fenced: There is one.
        Unavailable: ClickHouse does not answer.
    """
    newest = int(clickhouse.rows(_newest(clickhouse.database, flow))[0][0])
    if newest > generation:
        raise Fenced(f"generation {newest} of the flow has taken over from {generation}")


# Only connects; the rest is in `begin_generation`. The tests of the flows run both on real parts.
def take_generation(
    settings: Settings, flow: FlowSpec, step: Callable[[], None] = lambda: None
) -> int:  # pragma: no mutate block
    """The number of this start: from now on, inserts of earlier starts write nothing.

    Args:
        settings: Where everything is.
        flow: The flow that starts.
        step: Called before each question to a part.

    Raises:
        Unavailable: Mongo or ClickHouse does not answer.
    """
    with (
        closing(ClickHouse(settings.urls.clickhouse, settings.database, timeout_seconds=REQUEST_SECONDS)) as clickhouse,
        closing(connect(settings.urls.mongo)) as client,
    ):
        return begin_generation(clickhouse, Generations(client, settings.database), flow, step)


def begin_generation(
    clickhouse: ClickHouse, counter: GenerationCounter, flow: FlowSpec, step: Callable[[], None] = lambda: None
) -> int:
    """The same as :func:`take_generation`, with clients that are given.

    Args:
        clickhouse: Where the flow's tables are.
        counter: Numbers the starts.
        flow: The flow that starts.
        step: Called before each question to a part.

    Raises:
        Unavailable: Mongo or ClickHouse does not answer, or an insert of an earlier start still runs.
    """
    step()
    newest = int(clickhouse.rows(_newest(clickhouse.database, flow))[0][0])
    step()
    generation = counter.next(flow.name, newest)
    row = pa.table({"flow": [flow.name], "generation": pa.array([generation], pa.uint64())})
    step()
    clickhouse.insert_where(GENERATIONS.name, structure_of(GENERATIONS), row, "1", f"{flow.name}-{generation}")
    step()
    # Inserts of an earlier start were let in before the new generation came and may still land.
    wait_for_running_inserts(clickhouse, flow.tables)
    return generation


def _newest(database: str, flow: FlowSpec) -> str:
    return f"SELECT max(generation) FROM {database}.{GENERATIONS.name} WHERE flow = '{flow.name}'"
