"""Every stream-processing flow, declared once: what it reads, what it writes, and in which order.

Commands, provisioning, metrics, fences and tests read this table; a new flow is an entry here and a package of its own
below ``flows``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from marketplace.tables import CLICK_TABLES, DEAD_LETTERS, Table
from marketplace.topics import CLICKS_COLLECTED, CLICKS_DEAD, DEAD_LETTER_TOPICS, Topic

SOURCE_TOPIC: Final = "source_topic"

EXPIRED: Final = "expired"
"""The reason for records that the log's retention deleted before a flow had read them; they belong to no store."""


@dataclass(frozen=True)
class FlowSpec:
    """The declaration of a flow.

    Attributes:
        name: The name of its package below ``flows``, of its generations and in its consumer group.
        does: What it does, in one line.
        reads: Its topics.
        tables: The tables to which a batch is written, in this order, each with ``source_partition`` and
            ``source_offset``. A flow that reads several topics has ``source_topic`` in each of them as well.
        needs: The parts that it cannot work without.
        dead_topic: The topic for records that it cannot process; None if it can process every record.
        reads_headers: Whether its rules read headers of records, which then count for the bound on memory.
    """

    name: str
    does: str
    reads: tuple[Topic, ...]
    tables: tuple[Table, ...]
    needs: tuple[str, ...]
    dead_topic: Topic | None = None
    reads_headers: bool = False

    @property
    def group(self) -> str:
        """The consumer group in which applied offsets are published for lag tools."""
        return f"flows.{self.name}"

    @property
    def module(self) -> str:
        """The module that ``python -m`` runs as one process of the flow."""
        return f"flows.{self.name}"

    @property
    def checkpoint(self) -> Table:
        """The table that is written last: everything up to its fence is in all tables."""
        return self.tables[-1]

    @property
    def reads_several(self) -> bool:
        """Whether rows need a column for the topic they come from."""
        return len(self.reads) > 1


CLICKS_FLOW: Final = FlowSpec(
    name="clicks",
    does="collected clicks to facts, rollups, sessions, ledger and read models",
    reads=(CLICKS_COLLECTED,),
    tables=CLICK_TABLES,
    needs=("kafka", "mongo", "clickhouse", "redis"),
    dead_topic=CLICKS_DEAD,
)

DEAD_LETTERS_FLOW: Final = FlowSpec(
    name="dead_letters",
    does="dead letters of all topics to one table: by whom, why, from where, when and how large",
    reads=DEAD_LETTER_TOPICS,
    tables=(DEAD_LETTERS,),
    needs=("kafka", "mongo", "clickhouse"),
    reads_headers=True,
)

FLOWS: Final[tuple[FlowSpec, ...]] = (CLICKS_FLOW, DEAD_LETTERS_FLOW)


def flow_named(name: str) -> FlowSpec | None:
    """The flow of a name, or None."""
    return next((flow for flow in FLOWS if flow.name == name), None)
