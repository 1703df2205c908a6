"""Every ClickHouse table, declared once; ``ops`` provisions them and reports drift.

All tables of the click path share two columns: ``source_partition``, the Kafka partition that a row comes from (or the
first of several: ADR 14), and ``source_offset``, whose maximum per partition is the table's *fence*: everything up to
it has been applied. An insert is one block, and none of these tables is partitioned, so it becomes one part: it is
there wholly or not at all. See docs/explanation/delivery.md and docs/adr/0013-one-insert-one-part.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from marketplace.enrichments import ENRICHMENTS
from marketplace.rollups import DIMENSIONS


@dataclass(frozen=True)
class Column:
    """A column: its ClickHouse type and, where it has one, its default expression."""

    name: str
    type: str
    default: str = ""


@dataclass(frozen=True)
class Table:
    """The declaration of a table."""

    name: str
    columns: tuple[Column, ...]
    engine: str
    order_by: str
    partition_by: str = ""
    settings: str = ""

    def create(self, database: str) -> str:
        """The statement that creates it if it is missing."""
        columns = ",\n    ".join(f"{c.name} {c.type} {c.default}".rstrip() for c in self.columns)
        partition = f"\nPARTITION BY {self.partition_by}" if self.partition_by else ""
        settings = f"\nSETTINGS {self.settings}" if self.settings else ""
        return (
            f"CREATE TABLE IF NOT EXISTS {database}.{self.name} (\n    {columns}\n) ENGINE = {self.engine}"
            f"{partition}\nORDER BY ({self.order_by}){settings}"
        )


VISITOR_STATE: Final = "uniqCombined64(17)"
"""The mergeable set of visitors: a plain set of up to 4,096, then a HyperLogLog of 2**17 cells."""

VISITORS_EXACT_UP_TO: Final = 4_000
"""Numbers up to this are exact: a larger set would have to be estimated eight standard errors too low to appear so."""

VISITORS_RELATIVE_ERROR: Final = 0.0029
"""One standard error of an estimate, 1.04 / sqrt(2**17) (Flajolet and others, HyperLogLog, 2007)."""

_DEDUPLICATION: Final = "non_replicated_deduplication_window = 1000"
_SOURCE: Final = (Column("source_partition", "UInt16"), Column("source_offset", "UInt64"))


def _enrichment_columns() -> tuple[Column, ...]:
    columns: list[Column] = []
    for enrichment in ENRICHMENTS:
        columns += [Column(name, "LowCardinality(String)") for name in enrichment.columns]
        columns.append(Column(f"{enrichment.name}_version", "LowCardinality(String)"))
    return tuple(columns)


CLICKS: Final = Table(
    name="clicks",
    columns=(
        Column("store", "LowCardinality(String)"),
        Column("event_id", "String"),
        Column("dedupe_key", "UInt64"),
        Column("dedupe_hour", "UInt32"),
        Column("occurred_at", "DateTime64(3, 'UTC')"),
        Column("received_at", "DateTime64(3, 'UTC')"),
        Column("type", "LowCardinality(String)"),
        Column("origin", "LowCardinality(String)"),
        Column("outcome", "LowCardinality(String)"),
        Column("visitor", "UInt64"),
        Column("visitor_kind", "LowCardinality(String)"),
        Column("pair_key", "UInt64"),
        Column("is_bot", "UInt8"),
        Column("bot_reasons", "LowCardinality(String)"),
        Column("bot_kind", "LowCardinality(String)"),
        Column("bot_version", "LowCardinality(String)"),
        Column("time_note", "LowCardinality(String)"),
        Column("ip", "LowCardinality(String)"),
        Column("page", "String"),
        Column("product", "String"),
        Column("target", "String"),
        Column("name", "LowCardinality(String)"),
        Column("properties", "Map(LowCardinality(String), String)"),
        Column("sampling", "Float32"),
        *_enrichment_columns(),
        *_SOURCE,
        Column("INDEX occurred occurred_at", "TYPE minmax", "GRANULARITY 1"),
    ),
    engine="MergeTree",
    order_by="source_partition, dedupe_hour, store, visitor, occurred_at",
    settings=_DEDUPLICATION,
)
"""The facts: every event that was counted, flagged or recognised as a re-fire, once."""

ENTRY_COLUMNS: Final = tuple(
    dict.fromkeys(d.column for d in DIMENSIONS if d.column is not None and (d.stored or d.scope == "visit"))
)
"""Fact columns of the event that began a session, which the session keeps."""

EXIT_COLUMN: Final = "exit_page"
"""The page of the session's last event."""

SESSIONS: Final = Table(
    name="sessions",
    columns=(
        Column("store", "LowCardinality(String)"),
        Column("visitor", "UInt64"),
        Column("is_bot", "UInt8"),
        Column("started_at", "DateTime64(3, 'UTC')"),
        Column("ended_at", "DateTime64(3, 'UTC')"),
        Column("views", "UInt32"),
        Column("actions", "UInt32"),
        *(
            Column(name, "String" if name in ("page", "product") else "LowCardinality(String)")
            for name in ENTRY_COLUMNS
        ),
        Column(EXIT_COLUMN, "String"),
        Column("sign", "Int8"),
        *_SOURCE,
        Column("INDEX ended ended_at", "TYPE minmax", "GRANULARITY 1"),
        Column("INDEX started started_at", "TYPE minmax", "GRANULARITY 1"),
    ),
    engine="CollapsingMergeTree(sign)",
    order_by="source_partition, started_at, store, visitor, is_bot, ended_at, views, actions",
    settings=_DEDUPLICATION,
)
"""Sessions, with the attributes of the event that began them and the page of the one that ended them. A change is a row
with sign -1 (the earlier state) and one with sign 1; read with ``sum(sign)``."""

ROLLUPS: Final = Table(
    name="rollups",
    columns=(
        Column("store", "LowCardinality(String)"),
        Column("grain", "Enum8('quarter' = 1, 'day' = 2)"),
        Column("dimension", "LowCardinality(String)"),
        Column("bucket", "DateTime('UTC')"),
        Column("value", "String"),
        Column("is_bot", "UInt8"),
        Column("views", "SimpleAggregateFunction(sum, Int64)"),
        Column("actions", "SimpleAggregateFunction(sum, Int64)"),
        Column("refires", "SimpleAggregateFunction(sum, Int64)"),
        Column("sessions", "SimpleAggregateFunction(sum, Int64)"),
        Column("bounces", "SimpleAggregateFunction(sum, Int64)"),
        Column("duration_ms", "SimpleAggregateFunction(sum, Int64)"),
        Column("visitor_ids", "Array(UInt64)", "EPHEMERAL"),
        Column(
            "visitors",
            f"AggregateFunction({VISITOR_STATE}, UInt64)",
            f"DEFAULT arrayReduce('{VISITOR_STATE.replace('(', 'State(')}', visitor_ids)",
        ),
        Column("moved", "SimpleAggregateFunction(groupUniqArrayArray, Array(UInt64))"),
        Column("source_partition", "UInt16"),
        Column("source_offset", "SimpleAggregateFunction(max, UInt64)"),
    ),
    engine="AggregatingMergeTree",
    order_by="store, grain, dimension, bucket, value, is_bot, source_partition",
    settings=_DEDUPLICATION,
)
"""The numbers that reports read: deltas that ClickHouse merges. ``day`` buckets are labelled by the store's date. A
delta is for all partitions of an insert, under the first one's number, except in dimension ``all`` (ADR 14). A set of
visitors only grows: ``moved`` names those who were in it and whose visit came to have another value (ADR 38)."""

LEDGER: Final = Table(
    name="click_ledger",
    columns=(
        Column("store", "LowCardinality(String)"),
        Column("hour", "DateTime('UTC')"),
        Column("kind", "Enum8('received' = 1, 'outcome' = 2, 'note' = 3)"),
        Column("name", "LowCardinality(String)"),
        Column("events", "SimpleAggregateFunction(sum, UInt64)"),
        Column("source_partition", "UInt16"),
        Column("source_offset", "SimpleAggregateFunction(max, UInt64)"),
    ),
    engine="AggregatingMergeTree",
    order_by="store, hour, kind, name, source_partition",
    settings=_DEDUPLICATION,
)
"""The outcomes of all events, by the hour in which they were received. Written last: everything up to its fence is in
all tables."""

GENERATIONS: Final = Table(
    name="flow_generations",
    columns=(Column("flow", "LowCardinality(String)"), Column("generation", "UInt64")),
    engine="ReplacingMergeTree",
    order_by="flow, generation",
)
"""One row per start of a flow; inserts of any but the newest generation write nothing."""

CLICK_TABLES: Final[tuple[Table, ...]] = (CLICKS, ROLLUPS, SESSIONS, LEDGER)
"""Those of the click flow, in the order in which a batch is written."""

DEAD_LETTERS: Final = Table(
    name="dead_letters",
    columns=(
        Column("consumer_group", "LowCardinality(String)"),
        Column("reason", "LowCardinality(String)"),
        Column("topic", "LowCardinality(String)"),
        Column("partition", "Int32"),
        Column("offset", "Int64"),
        Column("store", "SimpleAggregateFunction(any, String)"),
        Column("detail", "SimpleAggregateFunction(any, String)"),
        Column("bytes", "SimpleAggregateFunction(max, UInt64)"),
        Column("letters", "SimpleAggregateFunction(sum, UInt64)"),
        Column("fingerprint", "UInt64"),
        Column("first_seen", "SimpleAggregateFunction(min, DateTime64(3, 'UTC'))"),
        Column("last_seen", "SimpleAggregateFunction(max, DateTime64(3, 'UTC'))"),
        Column("source_topic", "LowCardinality(String)"),
        Column("source_partition", "UInt16"),
        Column("source_offset", "SimpleAggregateFunction(max, UInt64)"),
    ),
    engine="AggregatingMergeTree",
    order_by="consumer_group, reason, topic, partition, offset, fingerprint, source_topic, source_partition",
    settings=_DEDUPLICATION,
)
"""One row for each record that was given up: by ``consumer_group``; ``topic``, ``partition`` and ``offset`` are its
position (the letter's, if it was never in a topic or its position cannot be read), and by ``fingerprint``, its bytes:
a topic that was made again has other records at the same positions. A letter that was written twice, after a crash of
its writer, adds to ``letters`` and to ``last_seen`` of the same row. ``source_*`` is the letter's own position. Bytes
stay in the topic."""

TABLES: Final[tuple[Table, ...]] = (*CLICK_TABLES, DEAD_LETTERS, GENERATIONS)


def insertable(table: Table) -> tuple[str, ...]:
    """Names of the columns of an insert."""
    return tuple(
        c.name for c in table.columns if not c.name.startswith("INDEX ") and not c.default.startswith("DEFAULT")
    )
